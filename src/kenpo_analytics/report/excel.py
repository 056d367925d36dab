"""May I have the tables in Excel? The same checked tables as a workbook: a sheet each, with version and source."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kenpo_analytics.definitions.kpi import kpi, version_at
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, must_be_checked
from kenpo_analytics.report._format import DIGITS, MARKS, Col, columns_of, footnotes, of_row, write
from kenpo_analytics.report.attachments import Attachment, made
from kenpo_analytics.report.tables import show

VERSION, SOURCE = "定義の版", "出典"
_OWN = "支部のデータ"
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_TEXT_LIKE = ("month", "year", "text", "auto", "done", "nothing")
_TOP = 4
"""Rows above the heading of a table: title, data label, notes, and an empty one."""


@dataclass(frozen=True)
class Sheet:
    """One table of the workbook: the name of its sheet and title, the checked table, and its columns."""

    title: str
    checked: Checked
    columns: Mapping[str, Col | str]
    note: str = ""
    source: str = ""


class Sheets(list[Sheet]):
    """The tables of a page: each is shown, and kept as a sheet of the workbook."""

    def show(
        self,
        checked: Checked,
        *,
        title: str,
        columns: Mapping[str, Col | str],
        note: str = "",
        empty: str | None = None,
    ) -> None:
        """Show a table as `report.show` does, and keep it."""
        self.append(Sheet(title, checked, columns, note))
        show(checked, title=title, columns=columns, note=note or None, empty=empty)


def workbook(sheets: Sequence[Sheet], *, name: str, title: str, month: int) -> Attachment:
    """The checked tables as one Excel file, a sheet per table with rows: what the page masks is masked here too.

    Every sheet says 合成データ where the page does, every row its definition version (定義の版) and source (出典).
    Numbers are rounded as on the page and stay numbers; every text is written as text, never as a formula. The bytes
    are the same in every run on the same results. `month` (YYYYMM) is also the file's date.
    """
    import xlsxwriter

    raw = io.BytesIO()
    book = xlsxwriter.Workbook(raw, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": title, "created": datetime(month // 100, month % 100, 1)})
    formats: dict[str, Any] = {}
    for number, sheet in enumerate((sheet for sheet in sheets if len(must_be_checked(sheet.checked))), 1):
        page = book.add_worksheet(f"{number} {_plain(sheet.title)}"[:31])
        _fill(book, page, sheet, formats, month)
    book.close()
    return made(name, title, raw.getvalue())


def _plain(title: str) -> str:
    return "".join(letter for letter in title if letter not in r"[]:*?/\'")


def _fill(book: Any, page: Any, sheet: Sheet, formats: dict[str, Any], month: int) -> None:
    checked = must_be_checked(sheet.checked)
    columns = columns_of(checked, {k: v for k, v in sheet.columns.items() if k != "definition_version"})
    synthetic = CONTEXT.synthetic and not checked.public
    bold = _format(book, formats, "bold")
    page.write_string(0, 0, sheet.title, bold)
    page.write_string(1, 0, f"{SYNTHETIC}(実在の加入者・事業所の情報ではない)" if synthetic else "", bold)
    page.write_string(2, 0, " ".join([*([sheet.note] if sheet.note else []), *footnotes(checked, columns)]))
    heads = [label for col in columns.values() for label in _labels(col)]
    added = [label for label in (VERSION, SOURCE) if label not in heads]
    for at, label in enumerate([*heads, *added]):
        page.write_string(_TOP, at, label, _format(book, formats, "head"))
        page.set_column(at, at, 34 if label == SOURCE else max(11, min(30, 2 * len(label))))
    for at, (row, states) in enumerate(zip(checked.table.to_dicts(), checked.states.to_dicts(), strict=True), _TOP + 1):
        found = [cell for name, col in columns.items() for cell in _cells(name, of_row(col, row), row, states)]
        origin = [(text, "") for label, text in _origin(sheet, row, month).items() if label in added]
        for place, (value, look) in enumerate([*found, *origin]):
            _write(page, at, place, value, _format(book, formats, look))
    page.freeze_panes(_TOP + 1, 1)
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 0)
    page.repeat_rows(_TOP)


def _labels(col: Col) -> list[str]:
    return [f"{col.label}(下限)", f"{col.label}(上限)"] if col.upper else [col.label]


def _cells(name: str, col: Col, row: Mapping[str, Any], states: Mapping[str, str]) -> list[tuple[Any, str]]:
    """The value or values of one cell of the page, each with its number format ("" for text)."""
    single = replace(col, upper=None)
    return [_cell(row[key], states[key], single) for key in ([name, col.upper] if col.upper else [name])]


def _cell(value: Any, state: str, col: Col) -> tuple[Any, str]:
    if state != "shown" or value is None or isinstance(value, bool | str) or col.style in _TEXT_LIKE:
        return write(value, state, col) if value is not None or state != "shown" else MARKS["missing"], ""
    if math.isinf(float(value)) or col.style == "p":
        return write(value, state, col), ""  # no number that a sheet could hold as it is read
    places = col.digits if col.digits is not None else DIGITS.get(col.style, 0)
    decimals = "0" + ("." + "0" * places if places else "")
    unit = f'"{col.unit}"' if col.unit else ""
    if col.style == "percent":
        return round(float(value), places + 2), f"{decimals}%"
    shown = round(float(value) * (100 if col.style in ("points", "distance") else 1), places)
    signed = f"+{decimals}{unit};-{decimals}{unit};{decimals}{unit}"
    if col.style == "plain":
        return shown, f"{decimals}{unit}"
    return shown, signed if col.style in ("points", "index") else f"#,##{decimals}{unit}"


def _origin(sheet: Sheet, row: Mapping[str, Any], month: int) -> dict[str, str]:
    """Under which version was the row counted, and where does it come from?"""
    id, version = row.get("kpi_id"), row.get("definition_version")
    source = row.get("source") or sheet.source or sheet.checked.source or _OWN
    if id is not None:
        try:
            version = version or version_at(id, row.get("month") or month).version
            source += f"。指標の定義: {kpi(id).source}"
        except DefinitionError:
            version = version or "登録なし"
    return {VERSION: version or "―", SOURCE: source}


def _write(page: Any, at: int, place: int, value: Any, look: Any) -> None:
    """Text is text: a cell that begins like a formula is written with Excel's own mark for text (')."""
    if isinstance(value, str):
        page.write_string(at, place, value, look[1] if value.startswith(_RISKY) else look[0])
    else:
        page.write_number(at, place, value, look[0])


def _format(book: Any, formats: dict[str, Any], look: str) -> Any:
    if look not in formats:
        if look in ("bold", "head"):
            line = {"bold": True} | ({"bottom": 1, "text_wrap": True, "valign": "top"} if look == "head" else {})
            formats[look] = book.add_format(line)
        else:
            quoted = book.add_format({"quote_prefix": True})
            formats[look] = (book.add_format({"num_format": look} if look else {}), quoted)
    return formats[look]
