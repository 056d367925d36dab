"""What do checkup CSV files say? Files of CC2X-like tools and FKAC167 become staged checkups; FKAC522: see `fkac522`.

Columns are found by their headers, never by position. All is read as text, in blocks of lines: memory is constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from kenpo_analytics.ingest.checkups.headers import FKAC167, PEOPLE, plain
from kenpo_analytics.ingest.checkups.items import columns_to_checkups
from kenpo_analytics.ingest.checkups.people import KEYS, NEEDED, NO_INSURER, read_people
from kenpo_analytics.ingest.checkups.unread import looks_read, unread
from kenpo_analytics.ingest.files import csv_rows
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.sources import DAMAGE, Source
from kenpo_analytics.ingest.records import Batch, refused_file, rejected
from kenpo_analytics.ingest.values import text
from kenpo_analytics.ingest.values.columns import distinct
from kenpo_analytics.ingest.values.text import item_code
from kenpo_analytics.months import ERAS

_NAME_ROWS = 3  # rows of Japanese names that can follow a header of codes


class _Plan(NamedTuple):
    """Which column (by place) is which key, which (place, code, header) are measurements, and which (place, header)
    look like either and are not read."""

    keys: Mapping[str, int]
    items: list[tuple[int, str, str]]
    unread: list[tuple[int, str]]


def read_cc2x(source: Source) -> Iterator[Batch]:
    """Which checkups are in a CSV with 17-digit JLAC10 codes as headers (CC2X, C2XD and their like)?

    The header is the row with most codes; comment rows (#) and the row of Japanese names below it are no records. One
    column a method; person, exam date, 報告区分 and プログラム種別 by name, also where only a row of names beside the
    codes has them. Item columns may repeat. See `read_people` for what a row must have and for `kind`, `to_checkups`
    for the values, `csv_rows.rows` for lines that are no row. When the file was made it does not say: `filed` is null.
    """
    return _read(source, lambda row: sum(map(bool, map(item_code, row))), item_code)


def read_fkac167(source: Source) -> Iterator[Batch]:
    """Which checkups are in FKAC167 (特定健診等データ管理システム 健診結果一覧)?

    Columns by Japanese header, compared as `plain` does; of headers that repeat (既往歴 …) the first counts. ＨＬ…
    flags, judgements and all other columns are not read; those that look like ours are told (`unread`). A 生年月日元号
    column goes before a birth date of six digits. Layout: public programs that read such files (no official text was
    found).
    """
    known = {name for names in PEOPLE.values() for name in names} | FKAC167.keys()
    return _read(source, lambda row: len(set(map(plain, row)) & known), lambda cell: FKAC167.get(plain(cell)))


def _read(source: Source, score: Callable[[Sequence[str]], int], code: Callable[[str], str | None]) -> Iterator[Batch]:
    line, plan, filled = 1, None, dict[int, str]()
    try:
        with source.open() as stream:
            top = csv_rows.find_header(decode(stream)[1], score)
            for block in csv_rows.rows(top.below, top.header) if top.header else ():
                if plan is None:
                    names, block = _name_rows(block)
                    width = sum(name.startswith("c") for name in block.frame.columns)
                    plan = _plan([top.header, *names, *reversed(top.above)], code, width)
                if plan is None:
                    yield refused_file("no_header")
                    return
                line = max([line, *block.frame["line"].tail(1), *(at for at, _ in block.refused[-1:])])
                filled |= {
                    at: name for at, name in plan.unread if (block.frame[f"c{at}"].str.strip_chars() != "").any()
                }
                yield _batch(block, plan)
            if plan is not None:
                yield Batch({}, 0, _notes(plan, filled, len(top.above) + 1))
        if plan is None and _plan([top.header, *reversed(top.above)], code, len(top.header)) is None:
            yield refused_file("no_header")
    except DAMAGE:
        yield refused_file("unreadable", line=line)


def _name_rows(block: csv_rows.Rows) -> tuple[list[list[str]], csv_rows.Rows]:
    """Rows at the top without any number or date: Japanese names of the columns, no record."""
    names: list[list[str]] = []
    for row in block.frame.head(_NAME_ROWS).drop("line").iter_rows():
        if any(text.number(cell).value is not None or text.date(cell)[0] for cell in row):
            break
        names.append(list(row))
    return names, csv_rows.Rows(block.frame.slice(len(names)), block.refused)


def _plan(tops: list[list[str]], code: Callable[[str], str | None], width: int) -> _Plan | None:
    """The columns by the header, then by the rows of names beside it; None where no person or day can be told."""
    header, places = tops[0], {}
    for key, names in PEOPLE.items():
        found = (
            row.index(name) for row in ([plain(cell) for cell in top] for top in tops) for name in names if name in row
        )
        place = next(found, None)
        if place is not None and place < width:
            places[key] = place
    items = [(at, known, " ".join(cell.split())) for at, cell in enumerate(header) if (known := code(cell)) is not None]
    first = {plain(name): at for at, _, name in reversed(items)}
    items = [item for item in items if item_code(item[2]) or first[plain(item[2])] == item[0]]
    if not {"day", "birth"} <= places.keys():
        return None
    read = {*places.values(), *(at for at, _, _ in items)}
    named = ((at, next((top[at] for top in tops if at < len(top) and top[at].strip()), "")) for at in range(width))
    return _Plan(places, items, [(at, name) for at, name in named if at not in read and looks_read(name, places)])


def _notes(plan: _Plan, filled: Mapping[int, str], line: int) -> pl.DataFrame:
    """What is told once of the file: columns that go unread though they look like ours, no insurer anywhere."""
    insurer = [] if "insurer" in plan.keys else [{"line": line, **NO_INSURER}]
    return rejected([*unread([filled[at] for at in sorted(filled)], line), *insurer])


def _batch(block: csv_rows.Rows, plan: _Plan) -> Batch:
    frame = block.frame
    raw = frame.select("line", *(pl.col(f"c{at}").alias(key) for key, at in plan.keys.items() if key in KEYS))
    if "era" in plan.keys:
        raw = raw.with_columns(birth=_with_era(pl.col("birth"), frame[f"c{plan.keys['era']}"]))
    people = read_people(raw, needed=tuple(key for key in NEEDED if key in raw.columns))
    kept = frame.filter(people.fit)
    columns = ((code, header, kept[f"c{at}"]) for at, code, header in plan.items)
    rows, refused = columns_to_checkups(columns, people.header)
    lost = [{"line": at, "level": "row", "item": "line", "rule": rule} for at, rule in block.refused]
    every = pl.concat([rejected(lost), people.rejected, refused])
    return Batch({"checkups": rows}, frame.height + len(lost), every)


_ERA_CODES = {sign: era.code for era in ERAS for sign in (era.letter, era.code, era.name, era.name[0])}


def _with_era(birth: pl.Expr, era: pl.Series) -> pl.Expr:
    """A birth date of six digits (YYMMDD) with the era of its own column before it: 昭和 and 480601 are 3480601."""
    code = distinct(era, lambda said: _ERA_CODES.get(plain(said).upper()))
    short = birth.str.strip_chars().str.contains(r"^[0-9]{6}$")
    return pl.when(short).then(pl.concat_str(pl.lit(code), birth.str.strip_chars())).otherwise(birth)
