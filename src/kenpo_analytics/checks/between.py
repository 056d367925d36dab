"""What must hold between rows and between tables? Keys, stretches of one person, ids that refer to another table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.checks.opened import FIRST, ROW, Opened, finding, first_rows, length, why_not
from kenpo_analytics.checks.rules import State
from kenpo_analytics.frames import sure
from kenpo_analytics.months import day_number

REFERENCES = (
    ("checkups", "person_id", "members"),
    ("claims", "person_id", "members"),
    ("claim_fees", "person_id", "members"),
    ("claim_fees", "claim_id", "claims"),
    ("guidance", "person_id", "members"),
    ("mailings", "person_id", "members"),
)
SHARE = 2_000_000
_FOREVER = 10_000_000


def key_results(opened: Opened) -> list[dict[str, Any]]:
    """Same key, other content is an error; the same row again is not, since it can be dropped without a choice."""
    table, key = opened.table, list(opened.table.key)
    if not key:
        return []
    label, names = "+".join(key), ("key_duplicated", "row_repeated")
    if not set(key) <= set(opened.readable):
        return [finding(table.name, label, name, why_not(opened, table.key), 0, 0) for name in names]
    keyed = opened.lazy.drop_nulls(key)
    judged = length(keyed)
    held = pl.concat([_contents(opened, part, key) for part in _shares(keyed, key, judged)], how="vertical_relaxed")
    results = []
    for name, which in zip(names, (held["_contents"] > 1, held["_contents"] == 1), strict=True):
        rows = int((held.filter(which)["_rows"] - 1).sum())
        state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
        later = _later(keyed, held.filter(which).select(key), key) if rows and opened.numbered else None
        results.append(finding(table.name, label, name, state, rows, judged, later))
    return results


def _shares(keyed: nw.LazyFrame, key: list[str], rows: int) -> list[nw.LazyFrame]:
    """Split by the key itself, so that looking for equal keys holds no more than `SHARE` of them in memory."""
    parts = rows // SHARE + 1
    if parts == 1 or not keyed.collect_schema()[key[0]].is_integer():
        return [keyed]
    rest = (nw.col(key[0]) % parts + parts) % parts  # engines differ in the sign of a negative remainder
    return [keyed.filter(rest == part) for part in range(parts)]


def _contents(opened: Opened, keyed: nw.LazyFrame, key: list[str]) -> pl.DataFrame:
    """Of each key that comes more than once: how many different rows, and how many rows in all?"""
    many = keyed.group_by(key).agg(nw.len().alias("_rows")).filter(nw.col("_rows") > 1).select(*key)
    if not length(many):  # the other columns need not be read
        return pl.DataFrame(schema=dict.fromkeys(key, pl.Null) | {"_contents": pl.Int64, "_rows": pl.Int64})
    contents = keyed.join(many, on=key, how="inner").group_by(list(opened.readable)).agg(nw.len().alias("_copies"))
    counts = (nw.len().cast(nw.Int64).alias("_contents"), nw.col("_copies").sum().cast(nw.Int64).alias("_rows"))
    return frames.collect(contents.group_by(key).agg(*counts).sort(key))


def _later(keyed: nw.LazyFrame, keys: pl.DataFrame, key: list[str]) -> list[int]:
    """The numbers of the rows beyond the first of each of these keys."""
    native: pl.LazyFrame = nw.to_native(keyed)
    rows = native.join(keys.lazy(), on=key).select(*key, ROW).filter(pl.col(ROW) > pl.col(ROW).min().over(key))
    return rows.select(pl.col(ROW).sort().head(FIRST)).collect()[ROW].to_list()


def overlap_result(opened: Opened) -> dict[str, Any]:
    """Does a stretch begin before an earlier one of the same person has ended? Same first day: see the key rules."""
    needs = ("person_id", "valid_from", "valid_to")
    if not set(needs) <= set(opened.readable):
        return finding("members", "valid_from", "overlap", why_not(opened, needs), 0, 0)
    end = day_number(nw.col("valid_to")).fill_null(_FOREVER)
    number = [nw.col(ROW).min()] if opened.numbered else []
    starts = (
        opened.lazy.drop_nulls(["person_id", "valid_from"])
        .with_columns(_start=day_number(nw.col("valid_from")), _end=end)
        .filter(nw.col("_end") > nw.col("_start"))
        .group_by("person_id", "_start")
        .agg(nw.col("_end").max(), *number)
        .with_columns(_reach=nw.col("_end").cum_max().over("person_id", order_by="_start"))
        .with_columns(_before=nw.col("_reach").shift(1).over("person_id", order_by="_start"))
    )
    late = starts.filter(sure(nw.col("_before") > nw.col("_start")))
    judged, rows = (length(plan) for plan in (starts, late))
    state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
    return finding(
        "members", "valid_from", "overlap", state, rows, judged, first_rows(late) if rows and number else None
    )


def reference(name: str, column: str, target: str, found: Mapping[str, Opened]) -> dict[str, Any]:
    """Which ids of a table are not in the one it refers to? Of different types, none could be found: an error."""
    here, there = found[name], found[target]
    if column not in here.readable or column not in there.readable:
        return finding(name, column, "orphan", "not_evaluated", 0, 0)
    types = {opened.lazy.collect_schema()[column] for opened in (here, there)}
    ids = here.lazy.drop_nulls([column])
    judged = length(ids)
    if len(types) > 1:
        return finding(name, column, "id_type", "fail", judged, judged)
    lost = ids.join(there.lazy.select(column), on=column, how="anti")
    rows = length(lost)
    state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
    return finding(name, column, "orphan", state, rows, judged, first_rows(lost) if rows and here.numbered else None)
