"""Which rows has a CSV file? All columns as text with their line numbers, block by block; damaged lines one by one.

Blocks are parsed by polars. One that does not come out line for line (quoted line breaks, a stray quote) is read again
by the csv module, each line by itself, so that a damaged line never swallows its neighbours.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import polars as pl
from polars.exceptions import PolarsError

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.lines import Lines

HEADER_WITHIN = 30  # lines from the top of the file
MAX_COLUMNS = 5_000
_QUOTED_LINES = 20  # physical lines one record can span
_SAMPLE = 200  # lines that tell how many fields a row has
_END = "\x1f"  # stands after the last field of every line: where it comes out tells how many fields there were


class Rows(NamedTuple):
    """Rows of a block: `frame` has String columns c0, c1 … and `line` (first physical line of the row).

    `refused` are (line, rule) of lines that are no row of the table; rules: "ragged", "encoding".
    """

    frame: pl.DataFrame
    refused: list[tuple[int, str]]


def fields(line: str) -> list[str]:
    """Which fields has one line? Empty where it is no CSV line by itself."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


class Top(NamedTuple):
    """The top of a file: the rows above the header, the header itself (empty where none was found), the lines below."""

    above: list[list[str]]
    header: list[str]
    below: Iterator[Lines]


def find_header(lines: Iterator[Lines], score: Callable[[Sequence[str]], int]) -> Top:
    """Which row is the header? The one of the first `HEADER_WITHIN` lines with the highest score above 0."""
    block = next(lines, None)
    if block is None:
        return Top([], [], iter(()))
    top = block.text.split("\n", HEADER_WITHIN)
    found = [fields(line) for line in top[:HEADER_WITHIN]]
    best = max(range(len(found)), key=lambda at: (score(found[at]), -at))
    if score(found[best]) <= 0:
        return Top(found, [], chain([block], lines))
    start = sum(len(line) + 1 for line in top[: best + 1])
    bad = tuple(n for n in block.bad if n > block.first + best)
    rest = Lines(block.text[start:], block.first + best + 1, bad)
    return Top(found[:best], found[best], chain([rest], lines))


def rows(lines: Iterator[Lines], header: Sequence[str], *, comments: bool = True) -> Iterator[Rows]:
    """Which rows follow the header? Blank and, with `comments`, comment (#) lines are none.

    A row has as many fields as most of the first ones (a file may end all its lines in a comma), but not fewer than the
    header names; fields beyond the named ones are empty. Any other line is refused as "ragged": one field too many or
    too few anywhere shifts every value after it.

    Raises
    ------
    IngestError
        No column, or more than 5,000.
    """
    named = max((at + 1 for at, name in enumerate(header) if name.strip()), default=0)
    width = 0
    for block in whole(lines):
        width = width or _width(block.text, named, len(header))
        if not 0 < width <= MAX_COLUMNS:
            raise IngestError(f"表の列の数が1～{MAX_COLUMNS}ではありません。", hint="区切り文字を確かめてください。")
        if block.text:
            yield _block(block, named, width, comments)


def _width(text: str, named: int, full: int) -> int:
    counts = Counter(len(found) for line in text.split("\n", _SAMPLE)[:_SAMPLE] if any(found := fields(line)))
    common = counts.most_common(1)[0][0] if counts else full
    return common if common >= named else full


def whole(lines: Iterator[Lines]) -> Iterator[Lines]:
    """Blocks in which no quoted field goes on into the next one."""
    kept: Lines | None = None
    for block in lines:
        if kept is not None:
            block = Lines(kept.text + block.text, kept.first, kept.bad + block.bad)
            kept = None
        if block.text.count('"') % 2:
            kept, block = _cut(block)
        yield block
    if kept is not None:
        yield kept


def _cut(block: Lines) -> tuple[Lines | None, Lines]:
    """The last lines, from the one that opens a quote, apart from the block; None where it is far up."""
    tail = block.text.rsplit("\n", _QUOTED_LINES + 1)[1:-1]
    at = next((at for at in range(len(tail) - 1, -1, -1) if tail[at].count('"') % 2), None)
    if at is None:
        return None, block
    size = sum(len(line) + 1 for line in tail[at:])
    first = block.first + block.text.count("\n", 0, len(block.text) - size)
    bad = tuple(n for n in block.bad if n >= first)
    return Lines(block.text[-size:], first, bad), Lines(block.text[:-size], block.first, block.bad[: -len(bad) or None])


def _block(block: Lines, named: int, width: int, comments: bool) -> Rows:
    frame = _parsed(block, width)
    refused: list[tuple[int, str]] = []
    if frame is None:
        frame, refused = _careful(block, width)
    ragged = pl.any_horizontal(pl.col("end") != _END, *(pl.col(f"c{at}") != "" for at in range(named, width)))
    bad = pl.col("line").is_in(list(block.bad)) if block.bad else pl.lit(False)
    unfilled = (pl.col("c0") < "$") | pl.col("c0").str.starts_with("\u3000")  # "", spaces, # and what sorts with them
    odd = frame.select(ragged | bad | unfilled).to_series()
    if not odd.any():
        frame.drop_in_place("end")
        return Rows(frame, refused)
    blank = pl.all_horizontal(pl.col("^c[0-9]+$").str.strip_chars(f" \u3000{_END}") == "")
    rule = pl.when(bad).then(pl.lit("encoding")).when(ragged).then(pl.lit("ragged"))
    comment = pl.col("c0").str.contains(r"^\s*#") & pl.lit(comments)
    looked = frame.filter(odd).filter(~blank & ~comment).with_columns(rule=rule)
    refused += looked.drop_nulls("rule").select("line", "rule").iter_rows()
    kept = pl.concat([frame.filter(~odd), looked.filter(pl.col("rule").is_null()).drop("rule")]).sort("line")
    return Rows(kept.drop("end"), sorted(refused))


def _parsed(block: Lines, width: int) -> pl.DataFrame | None:
    """All lines at once, or None where lines and rows are not one to one."""
    raw = block.text.encode()
    if b"\0" in raw or _END.encode() in raw:
        return None
    quoted = b'"' in raw
    names = ",".join([*(f"c{at}" for at in range(width)), "end\n"])
    try:
        frame = pl.read_csv(
            b"".join([names.encode(), raw.replace(b"\n", f",{_END}\n".encode())]),
            infer_schema=False,
            quote_char='"' if quoted else None,
            empty_string_is_null=False,
            truncate_ragged_lines=True,
        )
    except PolarsError:
        return None
    if frame.height != raw.count(b"\n") or (quoted and _stray(frame)):
        return None
    return frame.with_columns(line=pl.int_range(block.first, block.first + frame.height, dtype=pl.Int64))


def _stray(frame: pl.DataFrame) -> bool:
    """Does a quote stand inside a field? Then the parser may have taken it for another thing than csv does."""
    return frame.select(pl.any_horizontal(pl.all().str.contains('"', literal=True).any())).item() or False


def _careful(block: Lines, width: int) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """The same line by line: a record spans lines only where its quotes do and its fields then come out right."""
    found = list(records(block, width))
    kept = [(line, row) for line, row in found if row is not None]
    columns = {f"c{at}": [row[at] if at < len(row) else "" for _, row in kept] for at in range(width)}
    columns["end"] = [_END if len(row) == width else "" for _, row in kept]
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).with_columns(
        line=pl.Series([line for line, _ in kept], dtype=pl.Int64)
    )
    refused = [(line, "encoding" if line in block.bad else "ragged") for line, row in found if row is None]
    return frame, refused


def records(block: Lines, width: int | None = None) -> Iterator[tuple[int, list[str] | None]]:
    """Which records are in this block? First physical line and fields of each; None for a line that is no CSV.

    Lines are joined to one record only where a quote opened in the first is closed in a later one, within 20 lines,
    (where `width` is given) the fields come out right, and no field has swallowed a line. Blank lines are none.
    """
    lines = block.text.split("\n")[:-1]
    odd = [line.count('"') % 2 == 1 for line in lines]
    at = 0
    while at < len(lines):
        closed = next((n for n in range(1, _QUOTED_LINES) if at + n < len(lines) and odd[at + n]), 0) if odd[at] else 0
        found = _record(lines[at : at + closed + 1])
        if closed and (not found or len(found) != (width or len(found)) or _swallows(found)):
            closed, found = 0, []
        if found and "\0" not in lines[at]:
            yield block.first + at, found
        elif lines[at].strip():
            yield block.first + at, None
        at += closed + 1


def _swallows(found: list[str]) -> bool:
    """Do stray quotes of two lines meet? Then what they hide has as many separators as a row has."""
    return sum(field.count(",") for field in found if "\n" in field) >= len(found) - 1


def _record(lines: list[str]) -> list[str]:
    try:
        found = list(csv.reader([*(line + "\n" for line in lines[:-1]), lines[-1]], strict=True))
    except csv.Error:
        return []
    return found[0] if len(found) == 1 else []
