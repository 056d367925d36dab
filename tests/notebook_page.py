"""What does a committed notebook say? Its tables and sentences, read back from the outputs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat

from kenpo_analytics.disclosure import is_stamped

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


class Page:
    """The outputs of a committed notebook."""

    def __init__(self, name: str) -> None:
        self.path = NOTEBOOKS / f"{name}.ipynb"
        self.notebook = nbformat.read(self.path, as_version=4)
        self.code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        self.outputs = [output for cell in self.code for output in cell.outputs]

    def text(self, begins: str) -> str:
        """The plain text of the one output that begins so."""
        found = [o["data"]["text/plain"] for o in self.outputs if o["data"].get("text/plain", "").startswith(begins)]
        assert len(found) == 1, (begins, len(found))
        return found[0]

    def table(self, title: str) -> list[dict[str, str]]:
        """The rows of the one table with this title, by heading."""
        found = [o["data"]["text/html"] for o in self.outputs if o["data"].get("text/plain") == f"<表: {title}>"]
        assert len(found) == 1, (title, len(found))
        parser = _Cells()
        parser.feed(re.sub(r"<style>.*?</style>|<tfoot.*?</tfoot>", "", found[0], flags=re.S))
        head, *body = [[cell.strip() for cell in row] for row in parser.rows if row]
        return [dict(zip(head, row, strict=True)) for row in body if len(row) == len(head)]

    def must_be_publishable(self) -> None:
        """Executed in order, no error, every rich output stamped, small, banner and watermark words present."""
        assert self.path.stat().st_size <= 400_000
        assert [cell.execution_count for cell in self.code] == list(range(1, len(self.code) + 1))
        assert {output.output_type for output in self.outputs} == {"display_data"}
        assert all(is_stamped(output) for output in self.outputs)
        assert "合成データ" in self.outputs[0]["data"]["text/plain"]
        titles = [line for cell in self.notebook.cells for line in cell.source.splitlines() if line.startswith("## ")]
        assert [title.split()[1] for title in titles] == [str(n) for n in range(1, 10)]
