"""What do the documents of a 特定健診 XML delivery say? Archives and folders of h*.xml become staged checkups.

Layout: 送付用アーカイブファイル仕様, 特定健診情報ファイル仕様説明書 (厚生労働省). `cda` reads a document, `people`
judges the headers of many, `items` turns what was measured into columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.ingest.checkups import cda
from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.checkups.items import label_of, placed, to_checkups
from kenpo_analytics.ingest.checkups.people import NEEDED, read_people
from kenpo_analytics.ingest.checkups.xml_tree import MAX_BYTES, RefusedDocument
from kenpo_analytics.ingest.files.sources import DAMAGE, Source
from kenpo_analytics.ingest.records import Batch, rejected
from kenpo_analytics.ingest.values.columns import rule_where

BATCH, BATCH_BYTES = 2_000, 64 * 2**20
_ODD = ("code_system", "done_and_not_done")
_HEAD = ("entry", "archived", *cda.Header._fields)
_STAMP = r"^([0-9]{8})(?:[0-9]{2,6}(?:\.[0-9]+)?(?:[+-][0-9]{4})?)?$"  # HL7 TS; \d would take other scripts' digits


def read_checkup_xml(source: Source) -> Iterator[Batch]:
    """Which checkups are in this archive, folder or document?

    One document is one record; 2,000 or 64 MiB make a batch. A document that cannot be read is one rejected row.
    `filed` is the day the document was made (ClinicalDocument/effectiveTime), so that versions rank alike however they
    were packed; `received_month` that of the archive (ix08 creationTime). Each stands in for the other. What a header
    must say, and what makes a `kind`: `read_people`; the values: `to_checkups`.
    """
    pile = _Pile(_index_day(source))
    for entry in source.entries or (None,):
        pile.add(source, entry)
        if pile.full:
            yield pile.batch()
            pile = _Pile(pile.day)
    if pile.read:
        yield pile.batch()


def _index_day(source: Source) -> str | None:
    """creationTime of the archive's index, where there is one that can be read."""
    if source.index is None:
        return None
    try:
        return cda.creation_time(_bytes(source, source.index))
    except (*DAMAGE, RefusedDocument):
        return None


def _bytes(source: Source, entry: str | None) -> bytes:
    with source.open(entry) as stream:
        return stream.read(MAX_BYTES + 1)


class _Pile:
    """Documents on their way into one batch, as parallel lists."""

    def __init__(self, day: str | None) -> None:
        self.day = day
        self.read = self._size = 0
        self._codes = items().keys()
        self._heads: list[tuple[str | None, ...]] = []
        self._found: list[cda.Observation] = []
        self._counts: list[int] = []
        self._refused: list[dict[str, Any]] = []

    @property
    def full(self) -> bool:
        return self.read >= BATCH or self._size >= BATCH_BYTES

    def add(self, source: Source, entry: str | None) -> None:
        self.read += 1
        try:
            data = _bytes(source, entry)
            self._size += len(data)
            root = cda.parse(data)
        except RefusedDocument as refusal:
            return self._refuse(entry, refusal.rule)
        except DAMAGE:
            return self._refuse(entry, "unreadable")
        found = cda.observations(root, self._codes)
        self._heads.append((entry, self.day, *cda.header(root)))
        self._found += found
        self._counts.append(len(found))
        return None

    def _refuse(self, entry: str | None, rule: str) -> None:
        self._refused.append({"entry": entry, "line": 1, "level": "row", "item": "file", "rule": rule})

    def batch(self) -> Batch:
        raw = pl.DataFrame(self._heads, schema=dict.fromkeys(_HEAD, pl.String), orient="row")
        raw = raw.with_columns(line=1, day="checkup_date", made="filed")
        people = read_people(raw, needed=(*NEEDED, "report"), days=_stamps)
        long = people.of_fit(_long(self._found, self._counts))
        odd = pl.col("state").is_in(_ODD)
        rows, values = to_checkups(long.filter(~odd), people.header)
        noted = [rejected(self._refused), people.rejected, values, _odd(long.filter(odd), people.header)]
        return Batch({"checkups": rows}, self.read, pl.concat(noted))


def _stamps(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Days written as HL7 TS, and nothing else."""
    days = texts.str.extract(_STAMP).str.to_date("%Y%m%d", strict=False)
    return days, rule_where(days.is_null() & texts.is_not_null(), "not_a_date")


def _long(found: list[cda.Observation], counts: list[int]) -> pl.DataFrame:
    columns = list(zip(*found, strict=True)) or [()] * 5
    named = dict(zip(("code", "value", "unit", "code_system", "state"), columns, strict=True))
    record = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    frame = pl.DataFrame({"record": record, **named}, schema={"record": pl.UInt32, **dict.fromkeys(named, pl.String)})
    return frame.with_columns(path="code")


def _odd(long: pl.DataFrame, header: pl.DataFrame) -> pl.DataFrame:
    """Rejections of what no table holds: items of an unknown code list, values of what was not done."""
    known = {code: item.column for code, item in items().items()}
    label = {code: label_of(item, code) for code, item in items().items()}
    code = pl.col("code")
    noted = long.select("record", rule="state", item=code.replace_strict(known, return_dtype=pl.String),
                        label=code.replace_strict(label, return_dtype=pl.String))  # fmt: skip
    return placed(noted, header)
