"""What is in a list whose columns a mapping explains? CSV and Excel lists become staged records, batch by batch.

CSV is read in constant memory; a row with more or fewer cells than the header row, or with bytes that are no text, is
refused by its line. Of an Excel file every visible sheet whose headers fit is read; the others are named.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest import text
from kenpo_analytics.ingest.cells import Cells
from kenpo_analytics.ingest.list_tables import READERS
from kenpo_analytics.ingest.mapping import HEADER_ROWS, Mapping
from kenpo_analytics.ingest.mapping_toml import Field
from kenpo_analytics.ingest.records import Batch, rejected
from kenpo_analytics.ingest.sources import Source

BATCH_ROWS = 50_000
QUOTED_LINES = 50
"""A cell that stays open over more lines than this was never meant to be quoted."""
_ZIP = b"PK\x03\x04"
_REASONS = {
    "ragged": "列の数が見出し行と違います。",
    "open_quote": "閉じない引用符があり、行の終わりが分かりません。",
    "no_header": "対応表の見出し行が、初めの20行にありません。",
    "no_sheet": "対応表に書かれたシートがありません。",
    "sheet_ignored": "対応表の見出しがないか、非表示のため、このシートは読みませんでした。",
}
Row = tuple[int, list[str] | None]
"""Line number and cells; null cells where the line cannot be cut into cells."""


def read_mapped(source: Source, mapping: Mapping) -> Iterator[Batch]:
    """Which staged records are in this list? Batches of at most 50,000 rows.

    Parameters
    ----------
    source
        A CSV (CP932 or UTF-8; tabs too) or .xlsx file. The header row is the one of the first 20 rows with most of the
        mapping's headers.
    mapping
        Which header gives which key; derivations and requirements by table are in `list_tables`.

    Damaged rows and values are rejections. A file or sheet that cannot be read at all is one rejected row.
    """
    try:
        with source.open() as stream:
            head = stream.read(4)
        yield from _read_excel(source, mapping) if head == _ZIP else _read_csv(source, mapping)
    except (IngestError, OSError) as error:
        reason = error.message if isinstance(error, IngestError) else text.reason("unreadable")
        yield _refused_file("unreadable", reason)


def _refused_file(rule: str, reason: str, entry: str | None = None) -> Batch:
    row = {"level": "row", "rule": rule, "reason": reason, "entry": entry}
    return Batch({}, 1, rejected([row]))


def header_place(rows: Sequence[Sequence[str]], mapping: Mapping) -> int | None:
    """Which of the first rows is the header row? The one with most keys, if it has all that is required."""
    found = [(len(mapping.found(row)), -place) for place, row in enumerate(rows) if not mapping.missing(row)]
    return -max(found)[1] if found else None


# --- CSV -----------------------------------------------------------------------------------------------


def _read_csv(source: Source, mapping: Mapping) -> Iterator[Batch]:
    with source.open() as stream:
        _, blocks = text.decode(stream)
        bad: set[int] = set()
        first = next(blocks, None)
        if first is None:
            return
        lines = _numbered(chain([first], blocks), bad)
        tab = first.text.count("\t") > first.text.count(",")
        rows = _rows(lines, "\t" if tab else ",")
        top = list(islice(rows, HEADER_ROWS))
        place = header_place([cells or [] for _, cells in top], mapping)
        if place is None:
            yield _refused_file("no_header", _REASONS["no_header"])
            return
        headers = top[place][1] or []
        body = chain(top[place + 1 :], rows)
        while piece := list(islice(body, BATCH_ROWS)):
            yield _batch(piece, headers, mapping, bad)


def _numbered(blocks: Iterator[Any], bad: set[int]) -> Iterator[tuple[int, str]]:
    for block in blocks:
        bad.update(block.bad)
        yield from enumerate(block.text[:-1].split("\n"), block.first)


def _rows(lines: Iterator[tuple[int, str]], mark: str) -> Iterator[Row]:
    """Rows cut at the separator; a quoted cell may hold line breaks, an unclosed quote costs its own line only."""
    waiting: list[tuple[int, str]] = []
    while True:
        number, line = waiting.pop(0) if waiting else next(lines, (0, None))
        if line is None:
            return
        if '"' not in line:
            yield number, line.split(mark)
            continue
        taken = [line]
        while "".join(taken).count('"') % 2 and len(taken) < QUOTED_LINES:
            following = waiting[len(taken) - 1] if len(taken) <= len(waiting) else next(lines, None)
            if following is None:
                break
            if len(taken) > len(waiting):
                waiting.append(following)
            taken.append(following[1])
        cells = _cut("\n".join(taken), mark)
        if cells is not None:
            del waiting[: len(taken) - 1]
        yield number, cells


def _cut(line: str, mark: str) -> list[str] | None:
    if line.count('"') % 2:
        return None
    try:
        return next(csv.reader([line + "\n"] if "\n" not in line else line.splitlines(True), delimiter=mark))
    except (csv.Error, StopIteration):
        return None


def _batch(piece: list[Row], headers: Sequence[str], mapping: Mapping, bad: set[int]) -> Batch:
    """Rows of one piece: refused by their shape, or cells by key."""
    width, refused, lines, table = len(headers), [], [], []
    for number, cells in piece:
        rule = "open_quote" if cells is None else "encoding" if number in bad else None
        if cells is not None and len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            cells = cells[:width]
        if cells is not None and not any(map(str.strip, cells)):
            continue
        if rule is None and cells is not None and len(cells) == width:
            lines.append(number)
            table.append(cells)
        else:
            refused.append((number, rule or "ragged"))
    columns = list(zip(*table, strict=True)) if table else [()] * width
    by_key = _by_key(headers, [pl.Series(column, dtype=pl.String) for column in columns], mapping)
    cells_ = Cells(by_key, mapping.defaults, None, pl.Series("line", lines, dtype=pl.Int64))
    return _staged(cells_, mapping, refused)


def _by_key(
    headers: Sequence[str], columns: Sequence[pl.Series], mapping: Mapping
) -> dict[str, list[tuple[str, Field, pl.Series]]]:
    return {
        key: [(headers[place], meaning, columns[place]) for place, meaning in places]
        for key, places in mapping.found(headers).items()
    }


def _staged(cells: Cells, mapping: Mapping, refused: list[tuple[int, str]]) -> Batch:
    shape = [
        {"line": line, "level": "row", "rule": rule, "reason": _REASONS.get(rule) or text.reason(rule)}
        for line, rule in refused
    ]
    rows, values = READERS[mapping.table](cells)
    noted = pl.concat([rejected(shape), values])
    return Batch({mapping.table: rows}, cells.height + len(refused), noted)


# --- Excel ---------------------------------------------------------------------------------------------


def _read_excel(source: Source, mapping: Mapping) -> Iterator[Batch]:
    import fastexcel

    with source.open() as stream:
        content = stream.read()
    try:
        book = fastexcel.read_excel(content)
        names = book.sheet_names
    except Exception:
        raise IngestError("Excelファイルとして読めません。") from None
    if mapping.sheet is not None and mapping.sheet not in names:
        yield _refused_file("no_sheet", _REASONS["no_sheet"])
        return
    ignored, read = [], 0
    for name in [mapping.sheet] if mapping.sheet is not None else names:
        frame, shown = _sheet(book, name)
        top = [[cell or "" for cell in row] for row in frame.head(HEADER_ROWS).iter_rows()]
        place = header_place(top, mapping) if shown or name == mapping.sheet else None
        if place is None:
            ignored += [name] if frame.height else []
            continue
        read += 1
        yield from _sheet_batches(frame, name, place, mapping)
    if not read:
        yield _refused_file("no_header", _REASONS["no_header"])
    elif ignored:
        yield Batch({}, 0, rejected([_ignored(name) for name in ignored]))


def _ignored(name: str) -> dict[str, Any]:
    return {"entry": name, "level": "value", "rule": "sheet_ignored", "reason": _REASONS["sheet_ignored"]}


def _sheet(book: Any, name: str) -> tuple[pl.DataFrame, bool]:
    """All cells of a sheet as text, from its first row; and whether it is shown."""
    try:
        sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        return sheet.to_polars(), sheet.visible == "visible"
    except Exception:
        raise IngestError("Excelのシートを読めません。") from None


def _sheet_batches(frame: pl.DataFrame, name: str, place: int, mapping: Mapping) -> Iterator[Batch]:
    headers = [cell or "" for cell in frame.row(place)]
    filled = pl.any_horizontal((pl.exclude("line").str.strip_chars() != "").fill_null(False))
    body = frame.with_row_index("line", offset=1).slice(place + 1).filter(filled)
    for start in range(0, body.height, BATCH_ROWS):
        piece = body.slice(start, BATCH_ROWS)
        columns = piece.drop("line").get_columns()
        line = piece["line"].cast(pl.Int64)
        yield _staged(Cells(_by_key(headers, columns, mapping), mapping.defaults, name, line, serial=True), mapping, [])
