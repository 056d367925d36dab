"""What became of every delivered file? Read, accepted, put aside, linked: from the tables that ingest writes."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.tables import QUARANTINE, SOURCES

COUNTS = ("read", "accepted", "quarantined", "duplicate", "values_rejected")
LINKS = ("linked_number", "linked_birth", "linked_kana", "linked_record")


def file_balance(sources: pl.LazyFrame | None, used: Definitions) -> pl.DataFrame:
    """Did every file give what was read of it, by file type and table, and whom do the records belong to?

    layout, table, files, first_received, last_received, read, accepted, quarantined, duplicate, values_rejected,
    unbalanced (files whose parts do not add up to what was read), quarantined_share, linked (records that were linked,
    by any rule), linked_number … linked_record (without the list of members), linked_share (to that list), and the
    states balance, quarantine, linkage. Without `sources` it has no rows.
    """
    names = ("layout", "table", "source", "received_month", *COUNTS, *LINKS)
    lazy = sources if sources is not None else pl.LazyFrame(schema=_types(SOURCES))
    lazy = _whole(lazy, names)
    off = pl.sum_horizontal("accepted", "quarantined", "duplicate") != pl.col("read")
    month = pl.col("received_month")
    rows = (
        lazy.group_by("layout", "table")
        .agg(
            pl.col("source").n_unique().cast(pl.Int64).alias("files"),
            month.min().alias("first_received"),
            month.max().alias("last_received"),
            *(pl.col(name).sum() for name in COUNTS),
            off.sum().cast(pl.Int64).alias("unbalanced"),
            *(pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name) for name in LINKS),
        )
        .sort("table", "layout")
        .collect()
    )
    linked = pl.when(pl.any_horizontal(pl.col(LINKS).is_not_null())).then(pl.sum_horizontal(LINKS))
    rows = rows.with_columns(linked.alias("linked"), _share("quarantined", "read"))
    known = pl.col("linked") - pl.col("linked_record").fill_null(0)
    rows = rows.with_columns(pl.when(pl.col("linked") > 0).then(known / pl.col("linked")).alias("linked_share"))
    few = pl.col("quarantined_share") <= used.number("quality.quarantine.share")
    return rows.with_columns(
        _state(pl.col("files") > 0, pl.col("unbalanced") == 0, "balance"),
        _state(pl.col("read") > 0, few, "quarantine"),
        pl.when(pl.col("linked").is_null())
        .then(pl.lit("not_applicable"))
        .otherwise(_state(pl.col("linked") > 0, pl.col("linked_share") >= used.number("quality.linkage.share"), ""))
        .alias("linkage"),
    )


def rejections(quarantine: pl.LazyFrame | None, sources: pl.LazyFrame | None) -> pl.DataFrame:
    """What was put aside, by file type, level (row, value) and rule?

    layout (null where sources does not tell), level, rule, reason (the most frequent one, of no item), rows, files,
    first_month, last_month (of the checkups or treatments, null where unknown). Without `quarantine` it has no rows.
    """
    names = ("source", "level", "rule", "reason", "month")
    lazy = _whole(quarantine if quarantine is not None else pl.LazyFrame(schema=_types(QUARANTINE)), names)
    held = sources if sources is not None else pl.LazyFrame(schema=_types(SOURCES))
    layouts = held.group_by("source").agg(pl.col("layout").first())
    said = (
        pl.col("reason").str.replace(r"^[^:。]+: ", "").str.replace(r"。\([^。]*\)$", "。")
    )  # without item and heading
    rows = lazy.with_columns(said).join(layouts, on="source", how="left").group_by("layout", "level", "rule")
    month = pl.col("month")
    counted = rows.agg(
        pl.col("reason").mode().min(),
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("source").n_unique().cast(pl.Int64).alias("files"),
        month.min().alias("first_month"),
        month.max().alias("last_month"),
    )
    return counted.sort("layout", "level", "rule", nulls_last=True).collect()


def _types(table: Any) -> dict[str, Any]:
    kinds = {"int": pl.Int64, "month": pl.Int32}
    return {column.name: kinds.get(column.kind, pl.String) for column in table.columns}


def _whole(lazy: pl.LazyFrame, names: tuple[str, ...]) -> pl.LazyFrame:
    """Only these columns; optional ones that are absent as null, in the type they would have."""
    present, types = lazy.collect_schema().names(), _types(SOURCES) | _types(QUARANTINE)
    return lazy.select((pl.col(n) if n in present else pl.lit(None)).cast(types[n]).alias(n) for n in names)


def _share(part: str, whole: str) -> pl.Expr:
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole)).alias(f"{part}_share")


def _state(judged: pl.Expr, sound: pl.Expr, name: str) -> pl.Expr:
    state = pl.when(~judged).then(pl.lit("not_evaluated"))
    return state.when(sound).then(pl.lit("pass")).otherwise(pl.lit("fail")).alias(name or "state")
