"""Which rows does a CSV hold? Cut at the separator, block by block; a row that does not fit is refused by its line.

Blocks without quotes are cut by polars, others line by line. A quoted cell may hold line breaks; a quote that is never
closed costs its own line only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from kenpo_analytics.ingest.lines import Lines

QUOTED_LINES = 50
"""A cell that stays open over more lines than this was never meant to be quoted."""
Row = tuple[int, int, list[str] | None]
"""First and last line, and cells; null cells where a quote is not closed."""


@dataclass
class Table:
    """A piece of a CSV: rows that fit the header row as text columns, their lines, (line, rule) of others."""

    columns: list[pl.Series]
    lines: pl.Series
    refused: list[tuple[int, str]] = field(default_factory=list)


def rows_of(block: Lines, separator: str) -> Iterator[Row]:
    """The rows of a block, one by one."""
    lines = block.text[:-1].split("\n")
    at = 0
    while at < len(lines):
        number, line, taken = block.first + at, lines[at], 1
        if '"' not in line:
            yield number, number, line.split(separator)
        else:
            quotes = line.count('"')
            while quotes % 2 and taken < QUOTED_LINES and at + taken < len(lines):
                quotes += lines[at + taken].count('"')
                taken += 1
            cells = None if quotes % 2 else _cut("\n".join(lines[at : at + taken]), separator)
            taken = taken if cells is not None else 1
            yield number, number + taken - 1, cells
        at += taken


def _cut(line: str, separator: str) -> list[str] | None:
    try:
        found = list(csv.reader((part + "\n" for part in line.split("\n")), delimiter=separator))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def whole_blocks(blocks: Iterator[Lines]) -> Iterator[Lines]:
    """Blocks in which every quote is closed, if the next block closes it."""
    for block in blocks:
        if block.text.count('"') % 2 and (more := next(blocks, None)):
            block = Lines(block.text + more.text, block.first, (*block.bad, *more.bad))
        yield block


def after(block: Lines, line: int) -> Lines:
    """The lines of a block that come after this line."""
    rest = block.text.split("\n", line - block.first + 1)[-1]
    return Lines(rest, line + 1, tuple(number for number in block.bad if number > line))


def first_rows(block: Lines, separator: str, count: int) -> list[tuple[int, list[str]]]:
    """The first rows, each with the line it ends on."""
    return [(last, cells or []) for _, last, cells in islice(rows_of(block, separator), count)]


def table(block: Lines, separator: str, width: int) -> Table:
    """The rows of a block that have `width` cells; empty rows are passed over, cells beyond may be blank."""
    if not block.text:
        return Table([pl.Series([], dtype=pl.String)] * width, pl.Series([], dtype=pl.Int64))
    return (_by_line if '"' in block.text or width < 2 else _by_polars)(block, separator, width)


def _by_polars(block: Lines, separator: str, width: int) -> Table:
    """The lines that fit are cut by polars, the others looked at one by one."""
    lines = pl.Series(block.text[:-1].split("\n"), dtype=pl.String)
    numbers = pl.int_range(block.first, block.first + len(lines), dtype=pl.Int64, eager=True)
    blank = lines.str.strip_chars(separator + " \u3000") == ""
    bad = numbers.is_in(list(block.bad))
    fits = (lines.str.count_matches(separator, literal=True) == width - 1) & ~blank & ~bad
    columns = _columns("\n".join(lines.filter(fits)) + "\n", separator) if fits.any() else None
    if columns is None or len(columns) != width or len(columns[0]) != fits.sum():
        return _by_line(block, separator, width)
    others, places = lines.filter(~fits), numbers.filter(~fits)
    text = "".join(f"{line}\n" for line in others)
    odd = _by_line(Lines(text, 0, tuple(bad.filter(~fits).arg_true())), separator, width)
    return Table(
        [pl.concat([column, more]) for column, more in zip(columns, odd.columns, strict=True)],
        pl.concat([numbers.filter(fits), places.gather(odd.lines)]),
        [(places[at], rule) for at, rule in odd.refused],
    )


def _columns(text: str, separator: str) -> list[pl.Series]:
    made = pl.read_csv(text.encode(), has_header=False, separator=separator, quote_char=None, infer_schema=False)
    return made.get_columns()


def _by_line(block: Lines, separator: str, width: int) -> Table:
    bad, lines, kept, refused = set(block.bad), [], [], []
    for number, last, cells in rows_of(block, separator):
        unreadable = bool(bad) and not bad.isdisjoint(range(number, last + 1))
        if cells is not None and not any(map(str.strip, cells)):
            continue
        if cells is not None and len(cells) > width and not any(map(str.strip, cells[width:])):
            cells = cells[:width]
        if cells is not None and len(cells) == width and not unreadable:
            lines.append(number)
            kept.append(cells)
        else:
            refused.append((number, "encoding" if unreadable else "ragged" if cells else "open_quote"))
    columns: Sequence[Sequence[str]] = list(zip(*kept, strict=True)) if kept else [()] * width
    return Table([pl.Series(column, dtype=pl.String) for column in columns], pl.Series(lines, dtype=pl.Int64), refused)
