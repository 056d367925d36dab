"""What is at the top of each sheet of this workbook (.xlsx)? Refused where opening it would take all memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.archives import Archive

MAX_CELLS = 20_000_000
"""Rows × columns up to the last filled cell of a sheet: the reader lays out all of them, 32 bytes each."""
MAX_UNFOLDED_BYTES = 2**30
AS_XLSX = "パスワードのない.xlsxか、CSVで保存し直してください。"
_CELL = re.compile(rb"""\br\s*=\s*["']([A-Z]{1,3})([0-9]{1,9})["']""")
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
    """The last row and column that a sheet names, but for empty formatted cells: a bound of what its reader lays out."""
    height = width = 0
    for piece in _pieces(stream):
        found = set(_CELL.findall(_EMPTY.sub(b"", piece)))
        height = max(height, *(int(row) for _, row in found), 0)
        width = max(width, *(_number(letters) for letters in {letters for letters, _ in found}), 0)
    return height, width


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
