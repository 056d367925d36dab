"""What do the documents of a 特定健診 XML delivery say? Archives and folders of h*.xml become staged checkups.

Layout: 送付用アーカイブファイル仕様, 特定健診情報ファイル仕様説明書 (厚生労働省). `cda` reads a document, `cda_header`
judges the headers of many, `items` turns what was measured into columns.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.checkups import cda
from kenpo_analytics.ingest.checkups.cda_header import Head, read_header
from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.checkups.items import to_checkups
from kenpo_analytics.ingest.checkups.xml_tree import MAX_BYTES, REASONS, RefusedDocument
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.records import IDENTITY, TRACE, Batch, rejected

BATCH, BATCH_BYTES = 2_000, 64 * 2**20
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, IngestError)
_OF_CHECKUP = ("checkup_date", "received_month", "institution", "kind", "action")
_ODD = {
    "code_system": ("code_system", "項目コードのコード体系が健診項目コードではありません。"),
    "negated_value": ("conflict", "未実施(negationInd)とされた項目に値があります。"),
}


def read_checkup_xml(source: Source) -> Iterator[Batch]:
    """Which checkups are in this archive, folder or document?

    One document is one record; 2,000 or 64 MiB make a batch. A document that cannot be read, or names no valid exam
    date, birth date, sex or kind of checkup, is one rejected row. `filed` is the day the archive was made (ix08
    creationTime), else the day the document was made (ClinicalDocument/effectiveTime), null where it lies before the
    exam; `received_month` its month.

    `kind`: プログラム種別 030 or 報告区分 41 is 事業者健診; 010, or 報告区分 10/19 with 000, 990 or none, is 特定健診;
    報告区分 40/49 (特定健診以外) with 000, 990 or none under a 協会けんぽ number (01…) is 生活習慣病予防健診, what
    協会けんぽ itself gives its insured (仮定); any other is rejected (広域連合, 学校, がん検診 … are not our checkups).
    報告区分 19 and 49 take the record back (`action` "delete").
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
    except (*_DAMAGE, RefusedDocument):
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
        self._heads: list[Head] = []
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
        except _DAMAGE:
            return self._refuse(entry, "unreadable")
        found = cda.observations(root, self._codes)
        self._heads.append((entry, self.day, *cda.header(root)))
        self._found += found
        self._counts.append(len(found))
        return None

    def _refuse(self, entry: str | None, rule: str) -> None:
        place = {"entry": entry, "line": 1, "level": "row", "item": "ClinicalDocument"}
        self._refused.append({**place, "rule": rule, "reason": REASONS[rule]})

    def batch(self) -> Batch:
        header, problems = read_header(self._heads)
        rows, values = _measured(header, _long(self._found, self._counts))
        return Batch({"checkups": rows}, self.read, pl.concat([rejected(self._refused), problems, values]))


def _long(found: list[cda.Observation], counts: list[int]) -> pl.DataFrame:
    columns = list(zip(*found, strict=True)) or [()] * 5
    named = dict(zip(("code", "value", "unit", "code_system", "state"), columns, strict=True))
    record = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    frame = pl.DataFrame({"record": record, **named}, schema={"record": pl.UInt32, **dict.fromkeys(named, pl.String)})
    return frame.with_columns(path=pl.format("observation[{}]", "code"))


def _measured(header: pl.DataFrame, long: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Staged rows of the documents that are records, and the rejected values of those."""
    fit = header["fit"].to_numpy()
    place = np.cumsum(fit) - 1  # row number among the records that are kept
    long = long.filter(fit[long["record"].to_numpy()])
    long = long.with_columns(record=pl.Series(place[long["record"].to_numpy()], dtype=pl.UInt32))
    header = header.filter("fit").select(*TRACE, *IDENTITY, *_OF_CHECKUP)
    odd = pl.col("state").is_in(list(_ODD))
    rows, refused = to_checkups(long.filter(~odd), header)
    return rows, pl.concat([refused, _odd(long.filter(odd), header)])


def _odd(long: pl.DataFrame, header: pl.DataFrame) -> pl.DataFrame:
    """Rejections of what no table holds: items of an unknown code list, values of what was not done."""
    rules = {state: rule for state, (rule, _) in _ODD.items()}
    reasons = {state: reason for state, (_, reason) in _ODD.items()}
    at = header[long["record"]]
    state = pl.col("state")
    return long.select(
        entry=at["entry"],
        line=at["line"],
        level=pl.lit("value"),
        item="path",
        rule=state.replace_strict(rules, return_dtype=pl.String),
        reason=state.replace_strict(reasons, return_dtype=pl.String),
        institution=at["institution"],
        month=at["checkup_date"].dt.year() * 100 + at["checkup_date"].dt.month(),
    )
