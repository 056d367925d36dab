"""Which rows of the member lists say something new? A list that comes every month repeats nearly all of the last."""

from __future__ import annotations

import polars as pl

_PLACE = ("seq", "made", "entry", "line")
_BITS = {"made": 38, "seq": 24, "line": 0}
"""A date of eight digits, 16,384 deliveries and 16 million lines: where a row stands as one integer that sorts."""


def listed(staged: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which staged member rows tell who was enrolled when? (rows; repeated: how many of each delivery were left out).

    Of rows that are alike in all but their place the first and the last stay: when something was first and last said
    is all that the others could add. Rows without 枝番 and name stay all, for two in one file may be twins.
    `listed_until` is the day after the latest first day in the row's delivery: what is open there was so until then.

    Memory is bounded by what differs, not by the number of lists.
    """
    place = pl.sum_horizontal(pl.col(name).cast(pl.Int64).fill_null(0) * (1 << bits) for name, bits in _BITS.items())
    bare = pl.col("id_kana").is_null() & pl.col("id_number").is_null()
    rows = staged.with_columns(place=place).with_columns(own=pl.when(bare).then("place"))
    alike = [name for name in rows.collect_schema().names() if name not in (*_PLACE, "place")]
    alike_rows = rows.group_by(alike).agg(first=pl.col("place").min(), last=pl.col("place").max())
    ends = alike_rows.select("first", "last").collect(engine="streaming")
    places = pl.concat([ends["first"], ends["last"]]).unique().to_frame("place")
    kept = rows.join(places.lazy(), on="place", how="semi").drop("place", "own").collect(engine="streaming")
    each = staged.group_by("seq").agg(
        rows=pl.len().cast(pl.Int64), listed_until=pl.col("valid_from").max() + pl.duration(days=1)
    )
    lists = each.collect(engine="streaming")
    left = lists.join(kept.group_by("seq").agg(held=pl.len().cast(pl.Int64)), on="seq", how="left")
    repeated = left.select("seq", rows=pl.col("rows") - pl.col("held").fill_null(0))
    kept = kept.join(lists.select("seq", "listed_until"), on="seq", how="left")
    return kept.sort(_PLACE), repeated.filter(pl.col("rows") > 0).sort("seq")
