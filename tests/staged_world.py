"""Deliveries as a reader would hand them over, without files: a few people written as member rows, checkups, claims."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.identity import Key
from kenpo_analytics.ingest.records import REJECTED, STAGED, Batch
from kenpo_analytics.ingest.store import build as b
from kenpo_analytics.ingest.store import staging

KEY = Key(bytes(range(32)))
INSURER = "01240019"


def who(**given: Any) -> dict[str, Any]:
    """One person as written in a file; `given` replaces parts."""
    base = {"insurer": INSURER, "symbol": "24010203", "number": "15", "branch_number": "00"}
    return {**base, "birth": dt.date(1970, 5, 17), "sex": "M", "kana": "カクウ タロウ", **given}


def member(person: dict[str, Any], start: dt.date, end: dt.date | None = None, **given: Any) -> dict[str, Any]:
    base = {"birth_month": 197005, "fy_age_base": 1970, "relationship": "insured", "insured_kind": "一般"}
    base |= {"branch": "24", "municipality": "24201", "workplace_id": "W1"}
    return {**person, "valid_from": start, "valid_to": end, **base, **given}


def checkup(person: dict[str, Any], day: dt.date, **given: Any) -> dict[str, Any]:
    base = {"checkup_date": day, "institution": "2411000001", "kind": "生活習慣病予防健診", "fpg": 95.0}
    return {**person, **base, "received_month": None, "action": "put", **given}


def claim(person: dict[str, Any], month: int, claim_key: str, **given: Any) -> dict[str, Any]:
    base = {"treatment_month": month, "received_month": month + 1, "status": "normal", "kind": "入院外"}
    return {**person, **base, "institution": "2410000001", "points": 500, "days": 1, "claim_key": claim_key, **given}


def batch(rejected: list[dict[str, Any]] | None = None, removed: int = 0, **tables: list[dict[str, Any]]) -> Batch:
    """A batch; lines are numbered as the rows come."""
    rows = {}
    for name, records in tables.items():
        lined = [{"line": at, **row} if "line" in STAGED[name] else row for at, row in enumerate(records, start=2)]
        rows[name] = pl.DataFrame(lined, schema=STAGED[name])
    said = pl.DataFrame(rejected or [], schema=REJECTED)
    lost = said.filter(pl.col("level") == "row").height
    read = sum(frame.height for name, frame in rows.items() if name != "claim_fees") + lost + removed
    return Batch(rows, read, said, removed)


def source(name: str, layout: str = "mapped:test") -> Source:
    digest = KEY.seal(name).to_bytes(8, "big").hex()
    return Source(path=Path(name), name=name, digest=digest, layout=layout, size=1)


@contextlib.contextmanager
def opened(data: Path, *, key: Key = KEY, synthetic: bool = True) -> Iterator[staging.Store]:
    with staging.open(data, key, synthetic=synthetic) as store:
        yield store


def ingest(data: Path, *deliveries: tuple[str, Batch], month: int = 202504, key: Key = KEY) -> b.Summary:
    """Stage each delivery (name, batch) in order, then build."""
    with opened(data, key=key) as store:
        for name, each in deliveries:
            store.add(source(name), [each], received_month=month, received_from="option")
        return b.build(data, key)


def table(data: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data / f"{name}.parquet")


def balanced(summary: b.Summary) -> bool:
    """Does every file balance?"""
    s = summary.sources
    return bool((s["read"] == s["accepted"] + s["quarantined"] + s["duplicate"]).all())
