"""Is a packaged CSV that a branch may edit what it should be? Its rows, and refusals that name line and column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kenpo_analytics.errors import DefinitionError

STATUSES = ("確認済", "仮定", "支部設定")


@dataclass(frozen=True)
class Row:
    """One row as text, and where it stands."""

    file: str
    line: int
    text: dict[str, str]

    def wrong(self, column: str, why: str, hint: str | None = None) -> DefinitionError:
        """The refusal of one cell: file, line, column, what stands there and why it cannot."""
        return DefinitionError(f"{self.file} の{self.line}行目の {column}「{self.text[column]}」は{why}", hint=hint)

    def filled(self, *columns: str) -> None:
        """Refuse the row where one of these is empty."""
        for column in columns:
            if not self.text[column]:
                raise self.wrong(column, "空にできません")

    def one_of(self, column: str, known: Collection[str], what: str) -> str:
        """The word, one of those there are."""
        if self.text[column] not in known:
            shown = f"使える値: {'、'.join(known)}" if len(known) <= len(STATUSES) + 2 else None
            raise self.wrong(column, what, hint=shown)
        return self.text[column]

    def number(self, column: str) -> float:
        """The number, written plainly (69.5); 69.5% and 1e3 are none."""
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", self.text[column], re.ASCII):
            raise self.wrong(column, "数として読めません", hint="単位を付けず、69.5 のように書きます。")
        return float(self.text[column])


def rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """The rows of a file, with every cell stripped.

    Raises
    ------
    DefinitionError
        Not UTF-8, other columns than these, or a row with more or fewer cells.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path.name} はUTF-8ではありません", hint="「CSV UTF-8」で保存してください。") from error
    read = csv.reader(io.StringIO(content, newline=""))
    head = [name.strip() for name in next(read, [])]
    if set(head) != set(columns) or len(head) != len(columns):
        raise DefinitionError(f"{path.name} の列が違います: {', '.join(head)}", hint=f"列: {', '.join(columns)}")
    for cells in read:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(head):
            raise DefinitionError(
                f"{path.name} の{read.line_num}行目の列の数が違います({len(cells)}列、見出しは{len(head)}列)",
                hint='カンマを含む文は "…" で囲みます。',
            )
        yield Row(path.name, read.line_num, {name: cell.strip() for name, cell in zip(head, cells, strict=True)})
