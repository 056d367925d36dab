"""Which place among the 47 has each KPI of the status table? A place with its interval, or the reason for none."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.kpi.branches import eager, ranked

NONE = "47支部の値なし"
_COLUMNS = ("rank", "rank_lower", "rank_upper", "published_rank")


def with_ranks(rows: Any, published: Any, *, month: int | str, branch: str, level: float = 0.95) -> Any:
    """The rows of `kpi.status` with the branch's place among the 47, where all 47 are published.

    Returns
    -------
    The same rows and, of the last month with all 47 branches (`kpi.ranked`): rank, rank_lower, rank_upper,
    published_rank (as headquarters prints it), rank_month, rank_direction, rank_reason (why there is no rank, else
    null). A rank under another definition version than the row's is left out, and the reason says so.

    Raises
    ------
    ParameterError
        `branch` is no code of a branch.
    """
    table = eager(rows)
    found = eager(ranked(published, month=month, branch=branch_code(branch), level=level))
    places = found.select(
        "kpi_id",
        *_COLUMNS,
        rank_month=pl.when(pl.col("rank").is_not_null()).then("month"),
        rank_direction="rank_direction",
        rank_reason="reason",
        rank_source="source",
        ranked_version="definition_version",
    )
    joined = table.join(places, on="kpi_id", how="left", validate="1:1", maintain_order="left")
    other = pl.col("ranked_version") != pl.col("definition_version")
    blank = [pl.when(~other.fill_null(False)).then(name).alias(name) for name in (*_COLUMNS, "rank_month")]
    told = (
        pl.when(pl.col("ranked_version").is_null())
        .then(pl.lit(NONE))
        .when(other)
        .then(pl.format("47支部の値は定義の版が違う({})", "ranked_version"))
        .otherwise("rank_reason")
    )
    made = joined.with_columns(*blank, told.alias("rank_reason")).drop("ranked_version")
    return frames.small(made, frames.source_of(rows))
