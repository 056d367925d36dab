"""What is at the top of each sheet of this workbook (.xlsx)? Refused where opening it would take all memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.archives import Archive

MAX_CELLS = 20_000_000
"""Rows × columns up to the last filled cell of a sheet: the reader lays out all of them, 32 bytes each."""
MAX_UNFOLDED_BYTES = 2**30
AS_XLSX = "パスワードのない.xlsxか、CSVで保存し直してください。"
_USUAL = re.compile(rb' r="([A-Z]{1,3})'), re.compile(rb' r="[A-Z]{0,3}([0-9]{1,9})"')
_ANY = re.compile(rb"""\br\s*=\s*["']([A-Z]{1,3})"""), re.compile(rb"""\br\s*=\s*["'][A-Z]{0,3}([0-9]{1,9})["']""")
_UNUSUAL = (b"='", *(a + b for space in (b" ", b"\t", b"\r", b"\n") for a, b in ((space, b"="), (b"=", space))))
"""Spellings of attributes that no spreadsheet software writes; the fast patterns would not see them."""
_UNUSUAL += (b"\tr", b"\rr", b"\nr")
_EMPTY = re.compile(rb"""<c r="[A-Z]+[0-9]+"(?: s="[0-9]+")?/>""")
_CHUNK_BYTES = 2**20


class Sheet(NamedTuple):
    """A sheet's name, its first rows as text, and how many rows it has."""

    name: str
    rows: list[list[str]]
    height: int


def sheets(data: bytes, rows: int) -> list[Sheet]:
    """What are the first `rows` of each sheet?

    Raises
    ------
    IngestError
        Damaged, not .xlsx, or with more cells than can be laid out (one stray cell at the far end is enough for that).
    """
    import fastexcel

    _check(Archive(io.BytesIO(data)))
    found = []
    try:
        book = fastexcel.read_excel(data)
        for name in book.sheet_names:
            sheet = book.load_sheet(name, header_row=None, n_rows=rows, dtypes="string")
            cells = [["" if cell is None else cell for cell in row] for row in sheet.to_polars().rows()]
            found.append(Sheet(name, cells, sheet.total_height))
    except Exception:  # fastexcel's own errors have no other base, and any of them means the same
        raise _unreadable() from None
    return found


def _unreadable() -> IngestError:
    return IngestError("Excelとして読めません。", hint=AS_XLSX)


def _check(parts: Archive) -> None:
    if "xl/workbook.xml" not in parts.members:
        raise _unreadable()
    if sum(info.file_size for info in parts.members.values()) > MAX_UNFOLDED_BYTES:
        raise IngestError("Excelの中身が大きすぎます。", hint="CSVで保存し直してください。")
    for name in parts.members:
        with parts.open(name) as stream:
            height, width = _extent(stream)
        if height * width > MAX_CELLS:
            raise IngestError(
                f"Excelのシートの範囲が広すぎます({MAX_CELLS:,}セルまで)。",
                hint="表の外の離れたセルを消すか、CSVで保存し直してください。",
            )


def _extent(stream: BinaryIO) -> tuple[int, int]:
    """The last row and column that a sheet names: a bound of what its reader lays out, which leaves out empty cells."""
    height = width = 0
    for piece in _pieces(stream):
        rows, columns = _named(piece)
        if max(height, rows) * max(width, columns) > MAX_CELLS:
            rows, columns = _named(_EMPTY.sub(b"", piece))
        height, width = max(height, rows), max(width, columns)
    return height, width


def _named(piece: bytes) -> tuple[int, int]:
    columns, rows = _ANY if any(mark in piece for mark in _UNUSUAL) else _USUAL
    return (
        max(map(int, set(rows.findall(piece))), default=0),
        max(map(_number, set(columns.findall(piece))), default=0),
    )


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes in pieces that end where a tag begins."""
    rest = b""
    while data := stream.read(_CHUNK_BYTES):
        data = rest + data
        cut = data.rfind(b"<")
        cut = cut if cut > 0 else len(data)
        rest = data[cut:]
        yield data[:cut]
    yield rest


def _number(letters: bytes) -> int:
    """The number of a column: A is 1, XFD is 16384."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
