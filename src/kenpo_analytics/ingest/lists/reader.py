"""What is in a list whose columns a mapping explains? CSV and Excel lists become staged records, batch by batch.

CSV is read in constant memory; a row with more or fewer cells than the header row, or with bytes that are no text, is
refused by its line. Of an Excel file every visible sheet whose headers fit is read; the others are named.
So are the columns that nothing reads (`unread`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files import csv_rows
from kenpo_analytics.ingest.files.lines import Lines, decode
from kenpo_analytics.ingest.files.sources import DAMAGE, Source
from kenpo_analytics.ingest.lists.cells import Cells
from kenpo_analytics.ingest.lists.mapping import HEADER_ROWS, Mapping
from kenpo_analytics.ingest.lists.mapping_toml import Field
from kenpo_analytics.ingest.lists.tables import READERS
from kenpo_analytics.ingest.lists.unread import Unread
from kenpo_analytics.ingest.records import Batch, refused_file, rejected

BATCH_ROWS = 50_000
_ZIP = b"PK\x03\x04"


def read_mapped(source: Source, mapping: Mapping) -> Iterator[Batch]:
    """Which staged records are in this list? Batches of at most 50,000 rows.

    Parameters
    ----------
    source
        A CSV (CP932 or UTF-8) or .xlsx file. The header row is the one of the first 20 rows with most of the
        mapping's headers.
    mapping
        Which header gives which key; derivations and requirements by table are in `list_tables`.

    Damaged rows and values are rejections. A file or sheet that cannot be read at all is one rejected row.
    """
    try:
        with source.open() as stream:
            head = stream.read(4)
        yield from _read_excel(source, mapping) if head == _ZIP else _read_csv(source, mapping)
    except DAMAGE as error:
        yield refused_file("unreadable", reason=error.message if isinstance(error, IngestError) else None)


def header_place(rows: Sequence[Sequence[str]], mapping: Mapping) -> int | None:
    """Which of the first rows is the header row? The one with most keys, if it has all that is required."""
    found = [(len(mapping.found(row)), -place) for place, row in enumerate(rows) if not mapping.missing(row)]
    return -max(found)[1] if found else None


# --- CSV -----------------------------------------------------------------------------------------------


def _read_csv(source: Source, mapping: Mapping) -> Iterator[Batch]:
    with source.open() as stream:
        _, blocks = decode(stream, encoding=mapping.encoding)
        first = next(blocks, None)
        if first is None:
            return
        top = list(islice(csv_rows.records(first), HEADER_ROWS))
        place = header_place([cells or [] for _, cells in top], mapping)
        if place is None:
            yield refused_file("no_header")
            return
        line, headers = top[place][0], top[place][1] or []
        below = _after(first, line + sum(cell.count("\n") for cell in headers))
        unread = Unread(headers, mapping)
        for rows in csv_rows.rows(chain([below], blocks), headers, comments=False):
            yield from _csv_batches(rows, headers, mapping, unread)
        yield from unread.notes()


def _after(block: Lines, line: int) -> Lines:
    """The lines of a block that come after this line."""
    rest = block.text.split("\n", line - block.first + 1)[-1]
    return Lines(rest, line + 1, tuple(number for number in block.bad if number > line))


def _csv_batches(rows: csv_rows.Rows, headers: Sequence[str], mapping: Mapping, unread: Unread) -> Iterator[Batch]:
    refused = rows.refused
    for start in range(0, max(rows.frame.height, 1), BATCH_ROWS):
        frame = rows.frame.slice(start, BATCH_ROWS)
        columns = [frame[f"c{place}"] for place in range(min(len(headers), frame.width - 1))]
        unread.see(columns)
        yield _staged(
            Cells(_by_key(headers, columns, mapping), mapping.defaults, None, frame["line"]), mapping, refused
        )
        refused = []


def _by_key(
    headers: Sequence[str], columns: Sequence[pl.Series], mapping: Mapping
) -> dict[str, list[tuple[str, Field, pl.Series]]]:
    return {
        key: [(headers[place], meaning, columns[place]) for place, meaning in places]
        for key, places in mapping.found(headers).items()
    }


def _staged(cells: Cells, mapping: Mapping, refused: list[tuple[int, str]]) -> Batch:
    shape = [{"line": line, "level": "row", "item": "line", "rule": rule} for line, rule in refused]
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
        yield refused_file("no_sheet")
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
        yield refused_file("no_header")
    elif ignored:
        yield Batch({}, 0, rejected([{"entry": name, "item": "file", "rule": "sheet_ignored"} for name in ignored]))


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
    unread = Unread(headers, mapping, name)
    body = frame.with_row_index("line", offset=1).slice(place + 1).filter(filled)
    for start in range(0, body.height, BATCH_ROWS):
        piece = body.slice(start, BATCH_ROWS)
        columns = piece.drop("line").get_columns()
        unread.see(columns)
        line = piece["line"].cast(pl.Int64)
        yield _staged(Cells(_by_key(headers, columns, mapping), mapping.defaults, name, line, serial=True), mapping, [])
    yield from unread.notes()
