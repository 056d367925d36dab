"""What does a FKAC522 file say? 国保連 一括登録 of checkups: row types 1, 2, 5 and 9 become staged checkups.

Layout: public programs that read such files (no official text was found). Row 1: 1, 保険者番号, 保険者名, 作成日,
FKAC522. Row 2: 2, 健診機関番号, 機関名, 健診実施日, …, from the seventh field on JLAC10 codes. Rows 5: 5, …, 氏名,
記号番号, 生年月日, 受診券整理番号, then the values under the codes of the last row 2. Row 9: 9, the number of rows 5.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.checkups.items import LONG, to_checkups
from kenpo_analytics.ingest.checkups.people import KEYS, NO_INSURER, read_people
from kenpo_analytics.ingest.checkups.unread import looks_read, unread
from kenpo_analytics.ingest.files import csv_rows
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.sources import DAMAGE, Source
from kenpo_analytics.ingest.records import Batch, rejected
from kenpo_analytics.ingest.values import text
from kenpo_analytics.ingest.values.text import item_code

BATCH = 5_000
_FIRST_ITEM = 6
_SEPARATOR = re.compile(r"[\s・･/:,‐‑‒–—―−ー-]+")
_OTHER_ROWS = ("3", "4", "6", "7", "8")  # types of the family of layouts that hold no checkup


@dataclass
class _File:
    """What the rows so far say, and the records gathered for the next batch."""

    insurer: str = ""
    made: str = ""
    institution: str = ""
    day: str = ""
    codes: list[tuple[int, str]] | None = None
    unread: list[tuple[int, str]] = field(default_factory=list)
    width: int = 0
    count: int = 0
    since_end: int = 0
    ended: bool = False
    no_insurer: bool = False
    filled: dict[str, None] = field(default_factory=dict)
    people: list[dict[str, Any]] = field(default_factory=list)
    found: list[tuple[int, str, str]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)

    def lose(self, line: int, rule: str, level: str | None = "row") -> None:
        item = "count" if rule == "count_mismatch" else "line"
        self.lost.append({"line": line, "level": level, "item": item, "rule": rule})


def read_fkac522(source: Source) -> Iterator[Batch]:
    """Which checkups are in this FKAC522 file?

    作成日 is `filed` and its month `received_month`. The layout has no sex and no 枝番: they stay null. 記号番号 is one
    field: split where exactly one separator (・, a dash, a space …) stands in it, else all of it is `number` and
    `symbol` is null; linking falls back on name and birth date. A row 5 that has not as many fields as its row 2 is
    refused ("ragged"); a wrong or missing count in row 9 (a truncated file) is told as "count_mismatch", a note, as are
    a file without 保険者番号 and columns that look like an item and are not read (`unread`).
    """
    file, line = _File(), 1
    try:
        with source.open() as stream:
            for block in csv_rows.whole(decode(stream)[1]):
                texts = block.text.split("\n")
                for line, row in csv_rows.records(block):
                    if row is None or line in block.bad:
                        _damaged(file, line, texts[line - block.first], line in block.bad)
                    elif any(cell.strip() for cell in row):
                        _take(file, line, row)
                    if len(file.people) >= BATCH:
                        yield _batch(file)
        if not file.ended or file.since_end:
            file.lose(line, "count_mismatch", None)
        file.lost += unread(list(file.filled), 1) + [{"line": 1, **NO_INSURER}] * file.no_insurer
    except DAMAGE:
        file.lose(line, "unreadable")
    yield _batch(file)


def _damaged(file: _File, line: int, said: str, bad: bool) -> None:
    """A line that is no CSV. Unless it was a row 5, the rows after it may belong to another institution and day."""
    if not said.startswith("5"):
        file.codes = None
    file.lose(line, "encoding" if bad else "ragged")


def _take(file: _File, line: int, row: list[str]) -> None:
    kind = unicodedata.normalize("NFKC", row[0]).strip()
    if kind == "1" and any(cell.strip() == "FKAC522" for cell in row):
        file.insurer, file.made = row[1], row[3] if len(row) > 3 else ""
    elif kind == "2" and len(row) > _FIRST_ITEM:
        _institution(file, row)
    elif kind == "5" and not any(map(item_code, row[_FIRST_ITEM:])):
        _person(file, line, row)
    elif kind == "9":
        told = text.number(row[1]).value if len(row) > 1 else None
        if told not in (file.count, file.since_end):
            file.lose(line, "count_mismatch", None)
        file.ended, file.since_end = True, 0
    elif kind not in _OTHER_ROWS:
        file.codes = None
        file.lose(line, "record_type")


def _institution(file: _File, row: list[str]) -> None:
    known = items()
    file.institution, file.day, file.width = row[1], row[3], len(row)
    cells = list(enumerate(row))[_FIRST_ITEM:]
    file.codes = [(at, code) for at, cell in cells if (code := item_code(cell)) in known]
    file.unread = [(at, cell) for at, cell in cells if looks_read(cell, KEYS)]


def _person(file: _File, line: int, row: list[str]) -> None:
    file.count += 1
    file.since_end += 1
    if file.codes is None or len(row) != file.width:
        file.lose(line, "no_institution_row" if file.codes is None else "ragged")
        return
    record = len(file.people)
    symbol, number = split_number(row[3])
    file.people.append(
        {"insurer": file.insurer, "symbol": symbol, "number": number, "kana": row[2], "birth": row[4], "day": file.day,
         "institution": file.institution, "line": line, "made": file.made}
    )  # fmt: skip
    file.found += [(record, code, row[at]) for at, code in file.codes if row[at]]
    file.filled |= {name: None for at, name in file.unread if row[at].strip()}
    file.no_insurer |= not file.insurer.strip()


def split_number(said: str) -> tuple[str | None, str]:
    """Which 記号 and 番号 are in one field? Two parts at one separator; (None, all of it) where it cannot be told."""
    plain = unicodedata.normalize("NFKC", said).strip()
    parts = _SEPARATOR.split(plain)
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else (None, plain)


def _batch(file: _File) -> Batch:
    """The records gathered so far; the file goes on without them."""
    schema = {**dict.fromkeys(KEYS, pl.String), "line": pl.Int64}
    raw = pl.DataFrame(file.people, schema=schema)
    if file.no_insurer and not (raw["insurer"].str.strip_chars() != "").any():
        raw = raw.drop("insurer")
    people = read_people(raw, needed=("day", "birth"))
    long = pl.DataFrame(file.found, schema={"record": pl.UInt32, "code": pl.String, "value": pl.String}, orient="row")
    null = pl.lit(None, pl.String)
    long = long.with_columns(unit=null, code_system=null, state=pl.lit("value"), path="code").select(*LONG)
    rows, refused = to_checkups(people.of_fit(long), people.header)
    lost = sum(one["level"] == "row" for one in file.lost)
    every = pl.concat([rejected(file.lost), people.rejected, refused])
    file.people, file.found, file.lost = [], [], []
    return Batch({"checkups": rows}, raw.height + lost, every)
