"""Which records are in this claims file? One row a physical line, fields as text, whatever their number.

Source: 支払基金「オンライン又は光ディスク等による請求に係る記録条件仕様」: comma separated, CP932, CRLF, 0x1A last.
The insurer's copy (RECODEINFO) puts データ識別, 行番号 and 枝番号 before each record and may quote fields.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from kenpo_analytics.ingest.files.lines import Lines, decode

NARROW, WIDE = 9, 44
"""Fields every record needs, and those of RE (name in kana) and SI (31 days)."""
_TAIL_BYTES = 2**16
_QUOTED = re.compile(r'(^|,)"((?:[^"]|"")*)"(?=,|$)')


class Readable(Protocol):
    """Anything bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


class Block(NamedTuple):
    """Rows of a file: `rows` holds row, line, bad (undecodable), fields (how many), p0.. (prefix) and u0..u8.

    `wide` (row and u9..u43) is there for RE and for SI of the codes that are looked for: most lines are neither.
    """

    rows: pl.DataFrame
    wide: pl.DataFrame


def records(stream: Readable, prefix: int, fees: Collection[str]) -> Iterator[Block]:
    """Which records does the file hold? A field that is missing or empty is null.

    A line is always one row: a quote that is not closed on its line is a character like any other, so that no damage
    swallows a neighbour. Commas inside quotes become full-width ones.
    """
    _, blocks = decode(stream)  # type: ignore[arg-type]
    row = 0
    for block in blocks:
        text, numbers = _plain(block)
        if numbers:
            yield _parsed(text.encode(), numbers, block.bad, prefix, fees, row)
            row += len(numbers)


def _plain(block: Lines) -> tuple[str, list[int] | range]:
    """The lines without quotes, 0x1A and blank lines, and their physical numbers."""
    text, first = block.text, block.first
    if not any(sign in text for sign in ('"', "\x1a", "\n\n")) and not text.startswith("\n"):
        return text, range(first, first + text.count("\n"))
    kept: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(text.split("\n"), start=first):
        for piece in line.split("\x1a"):
            if piece.strip():
                kept.append(_without_quotes(piece) if '"' in piece else piece)
                numbers.append(number)
    return "\n".join([*kept, ""]), numbers


def _without_quotes(line: str) -> str:
    commas = line.count(",")
    if line[0] == line[-1] == '"' and line.count('","') == commas and line.count('"') == 2 * commas + 2:
        return line.replace('"', "")  # every field quoted, no comma inside: the common case, without a pattern
    return _QUOTED.sub(_unquoted, line)


def _unquoted(match: re.Match[str]) -> str:
    return match[1] + match[2].replace('""', '"').replace(",", "，")


def _parsed(
    data: bytes, numbers: list[int] | range, bad: tuple[int, ...], prefix: int, fees: Collection[str], row: int
) -> Block:
    frame = _csv(data, [*(f"p{at}" for at in range(prefix)), *(f"u{at}" for at in range(NARROW))])
    if frame.height != len(numbers):
        raise AssertionError(f"{len(numbers)} lines gave {frame.height} rows")
    rows = pl.Series("row", range(row, row + frame.height), dtype=pl.Int64)
    line = pl.Series("line", numbers, dtype=pl.Int64)
    fields = pl.Series("fields", _commas(data) + 1 - prefix, dtype=pl.Int64)
    frame = frame.with_columns(rows, line, line.is_in(list(bad)).alias("bad"), fields)
    kind = frame["u0"]
    needed = ((kind == "RE") | ((kind == "SI") & frame["u3"].is_in(list(fees)))).fill_null(False)
    skipped = [f"_{at}" for at in range(prefix + NARROW)]
    wide = _csv(_lines_at(data, needed.arg_true().to_numpy()), [*skipped, *(f"u{at}" for at in range(NARROW, WIDE))])
    return Block(frame, wide.drop(skipped).with_columns(rows.filter(needed)))


def _csv(data: bytes, names: list[str]) -> pl.DataFrame:
    header = f"{','.join(names)}\n".encode()
    return pl.read_csv(io.BytesIO(header + data), infer_schema=False, quote_char=None, truncate_ragged_lines=True)


def _commas(data: bytes) -> np.ndarray:
    signs = np.frombuffer(data, np.uint8)
    before = np.searchsorted(np.flatnonzero(signs == ord(",")), np.flatnonzero(signs == ord("\n")))
    return np.diff(before, prepend=0)


def _lines_at(data: bytes, wanted: np.ndarray) -> bytes:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    starts = np.concatenate(([0], ends))
    return b"".join(data[starts[at] : ends[at]] for at in wanted)


class LastLine:
    """A stream that remembers how it ended: a file that breaks off in its last claim must not pass for a whole one."""

    def __init__(self, stream: Readable) -> None:
        self._stream, self._tail = stream, b""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._stream.read(size)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return data

    @property
    def unended(self) -> bool:
        """Has the last line neither a line end nor 0x1A behind it?"""
        last = self._tail.split(b"\n")[-1]
        return bool(last.strip()) and last[-1:] not in (b"\r", b"\x1a")

    @property
    def ends_empty(self) -> bool:
        """Is its last field empty?"""
        return self._tail[-1:] == b","

    @property
    def marked(self) -> bool:
        """Does 0x1A stand at the end of the file?"""
        return self._tail.rstrip().endswith(b"\x1a")
