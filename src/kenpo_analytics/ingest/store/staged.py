"""How does a delivery look on disk? Its records sealed, in files of about `FLUSH`, and what was read of it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.identity import SEALED, Key, seal_frame
from kenpo_analytics.ingest.records import IDENTITY, STAGED, Batch, rejections
from kenpo_analytics.tables import TABLES

FLUSH = 50_000
_MAIN = {"recodeinfo": "claims", "uke": "claims", "checkup_xml": "checkups", "cc2x": "checkups"}
_MAIN |= {"fkac522": "checkups", "fkac167": "checkups"}
_INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Entry:
    """One delivery that was read: `read` records in all, of them `rows` by table, `removed` inside the file.

    `seq` is the order of ingestion. `table` is the one that rejected rows without a table belong to. `received_month`
    is the file's own (`received_from` "file": the latest of its records) or the one the run gave, with its origin.
    `read_by` names how the content was understood (layout, mapping, code lists): another way reads it again.
    """

    name: str
    digest: str
    layout: str
    table: str
    seq: int
    received_month: int
    received_from: str
    read: int
    removed: int
    rows: dict[str, int] = field(default_factory=dict)
    read_by: str = ""


class Writer:
    """Takes the batches of one delivery and writes them in files of about `FLUSH` records."""

    def __init__(self, folder: Path, key: Key, seq: int, month: int) -> None:
        self.folder, self.key, self.seq, self.month = folder, key, seq, month
        self.read = self.removed = self.own_month = 0
        self.filled = self.repaired = False
        self.rows: defaultdict[str, int] = defaultdict(int)
        self.held: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
        self.files: defaultdict[str, int] = defaultdict(int)

    def take(self, batch: Batch) -> None:
        """Seal and hold the records of one batch."""
        self.read, self.removed = self.read + batch.read, self.removed + batch.removed
        self._hold("rejected", self._once(batch.rejected).with_columns(table=pl.lit(None, pl.String)))
        for table, frame in batch.rows.items():
            if table != "claim_fees":
                self.rows[table] += frame.height
            self._hold(table, self._staged(table, frame.select(list(STAGED[table]))))

    def _once(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """That a 保険者番号 was repaired is told once a delivery: the sender makes the same mistake in every row."""
        told, self.repaired = self.repaired, self.repaired or "insurer_repaired" in rejected["rule"]
        return rejected.filter(pl.col("rule") != "insurer_repaired") if told else rejected

    def _staged(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        month = pl.lit(self.month, pl.Int32)
        if table in ("checkups", "claims"):
            own = frame["received_month"]
            self.filled |= own.null_count() > 0
            self.own_month = max(self.own_month, *own.drop_nulls().unique().to_list(), 0)
            frame = frame.with_columns(pl.col("received_month").fill_null(month))
            month = pl.col("received_month")
        if "filed" in frame.columns:
            frame = frame.rename({"filed": "made"}).with_columns(pl.col("made").fill_null(month * 100))
        frame, refused = _without_gaps(table, *_in_range(table, frame))
        self._hold("rejected", refused)
        if "claim_key" in frame.columns:
            frame = frame.with_columns(claim_id=claim_ids(frame["claim_key"], self.key)).drop("claim_key")
        if "birth" in frame.columns:
            frame = seal_frame(frame, self.key)
        return frame.select(pl.lit(self.seq, pl.Int32).alias("seq"), pl.all()).select(list(sealed(table)))

    def _hold(self, table: str, frame: pl.DataFrame) -> None:
        if frame.height:
            self.held[table].append(frame)
            if sum(each.height for each in self.held[table]) >= FLUSH:
                self._flush(table)

    def _flush(self, table: str) -> None:
        frame = pl.concat(self.held.pop(table))
        if "seq" not in frame.columns:
            frame = frame.select(pl.lit(self.seq, pl.Int32).alias("seq"), pl.all())
        frame.write_parquet(self.folder / f"{table}.{self.files[table]:05d}.parquet", compression="zstd")
        self.files[table] += 1

    def finish(self, source: Source, received_from: str, read_by: str) -> Entry:
        """Write what is still held, and what was read."""
        for table in list(self.held):
            self._flush(table)
        own = self.own_month and not self.filled
        main = next(iter(self.rows), _MAIN.get(source.layout, "なし"))
        entry = Entry(
            name=source.name,
            digest=source.digest,
            layout=source.layout,
            table=main,
            seq=self.seq,
            received_month=self.own_month if own else self.month,
            received_from="file" if own else received_from,
            read=self.read,
            removed=self.removed,
            rows=dict(self.rows),
            read_by=read_by,
        )
        text = json.dumps(asdict(entry), ensure_ascii=False)
        (self.folder / "source.json").write_text(text, encoding="utf-8")
        return entry


def sealed(table: str) -> dict[str, Any]:
    """Which columns have the staged records of a table on disk?"""
    named = {"filed": "made", "claim_key": "claim_id"}
    own = {
        named.get(name, name): dtype for name, dtype in STAGED[table].items() if name == "sex" or name not in IDENTITY
    }
    own |= {"claim_id": pl.Int64} if "claim_id" in own else {}
    return {"seq": pl.Int32, **own, **(SEALED if "birth" in STAGED[table] else {})}


def claim_ids(keys: pl.Series, key: Key) -> pl.Series:
    """Which Int64 stands for each claim? A key of at most 18 digits for itself, any other by 63 bits of its HMAC."""
    short = keys.str.contains(r"^[0-9]{1,18}$")
    other = keys.filter(~short).unique().drop_nulls()
    sealed = pl.Series([key.seal(f"claim|{text}") for text in other], dtype=pl.Int64)
    made = keys.replace_strict(other, sealed, default=None, return_dtype=pl.Int64)
    return keys.set(~short, None).cast(pl.Int64).fill_null(made)


def _in_range(table: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Integers that no table could hold become null, and a rejection."""
    wide = [name for name, dtype in frame.schema.items() if dtype == pl.Int64 and name != "line"]
    wide = [name for name in wide if table != "national" and not frame[name].is_between(*_INT32).all()]
    found = [_refused(table, frame.filter(~pl.col(name).is_between(*_INT32)), name, None, "range") for name in wide]
    fits = [pl.when(pl.col(name).is_between(*_INT32)).then(pl.col(name)).alias(name) for name in wide]
    return frame.with_columns(fits), pl.concat([_refused(table, frame.clear(), "", None, "range"), *found])


def _without_gaps(table: str, frame: pl.DataFrame, found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A record without what its table requires is refused, whatever the reader let through."""
    if table == "claim_fees":
        return frame, found
    required = [c.name for c in TABLES[table].columns if c.required] if table in TABLES else ["status"]
    names = [name for name in required if name in frame.columns and (name != "sex" or table == "members")]
    for name in [*names, *(["claim_key"] if "claim_key" in frame.columns else [])]:
        if frame[name].null_count():
            found = found.vstack(_refused(table, frame.filter(pl.col(name).is_null()), name, "row", "missing"))
            frame = frame.filter(pl.col(name).is_not_null())
    return frame, found


def _refused(table: str, frame: pl.DataFrame, item: str, level: str | None, rule: str) -> pl.DataFrame:
    noted = frame.select(name for name in ("entry", "line", "institution") if name in frame.columns)
    return rejections(noted, level=level, item=item, rule=rule).with_columns(table=pl.lit(table))
