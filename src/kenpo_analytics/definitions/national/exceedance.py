"""How many at or above a line, when some cells are masked? Bounds that respect the printed totals.

Within a printed row (one bin, all ages), masked cells lie between 0 and the residual (row total minus visible
cells), and together they make exactly the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import polars as pl

from kenpo_analytics.definitions.national.published import NATION, UNKNOWN, ndb_checkup_bins
from kenpo_analytics.errors import DefinitionError

_ROW = ["metric", "unit", "area", "prefecture", "sex", "low", "high"]
_CELL = ["metric", "unit", "area", "prefecture", "sex", "age_band"]


def ndb_exceedance(metric: str, threshold: float) -> pl.DataFrame:
    """How many examined people are at or above `threshold`, by prefecture, sex and age band?

    Parameters
    ----------
    metric
        BMI, HbA1c, SBP or LDL.
    threshold
        One of the printed bin edges.

    Returns
    -------
    One row per area (47 prefectures, 不明 = 都道府県判別不可, 全国 = their sum, rebuilt), sex and age band: metric,
    unit, threshold, area, prefecture, sex, age_band, events, events_low, events_high, denominator, denominator_low,
    denominator_high, masked, event_residual, other_residual, tested_share.

    `events` and `denominator` take an equal part of the residual for each masked cell (so they may be fractional and
    still add up to the printed totals over ages); `_low` and `_high` take none and all of it. `event_residual` and
    `other_residual` are the people hidden in masked cells of this age on either side of the threshold: the same people
    for every masked age of the row, so never add them over ages. `tested_share`: people with HbA1c over people with
    SBP measured, per prefecture and sex.

    Raises
    ------
    DefinitionError
        Unknown metric, or a threshold inside a bin.
    """
    bins = _with_residual().filter(pl.col("metric") == metric)
    if bins.is_empty():
        known = "、".join(sorted(_with_residual()["metric"].unique()))
        raise DefinitionError(f"公表値にない検査項目です: {metric}", hint=f"使えるもの: {known}")
    edges = sorted(bins["low"].drop_nulls().unique())
    if threshold not in edges:
        printed = "、".join(f"{edge:g}" for edge in edges)
        raise DefinitionError(f"{metric}の{threshold:g}は公表階級の境目ではありません。", hint=f"使える値: {printed}")
    cells = _cells(bins.with_columns(above=(pl.col("low") >= threshold).fill_null(False)))
    nation = cells.group_by(["metric", "unit", "sex", "age_band"]).agg(
        pl.lit(NATION).alias("area"), pl.lit(NATION).alias("prefecture"), pl.col(_SUMS).sum(), pl.col("masked").any()
    )
    table = pl.concat([cells, nation.select(cells.columns)])
    return (
        table.join(tested_share(), on=["area", "sex"], how="left", validate="m:1")
        .with_columns(pl.lit(float(threshold)).alias("threshold"))
        .select("metric", "unit", "threshold", pl.exclude("metric", "unit", "threshold"))
        .sort(["area", "sex", "age_band"])
    )


@cache
def tested_share() -> pl.DataFrame:
    """What share of the examined had HbA1c measured? People with HbA1c over people with SBP: area, sex, tested_share.

    From printed row totals, so masked cells do not matter. 全国 is rebuilt from the 47 prefectures and 判別不可.
    """
    rows = ndb_checkup_bins().filter(pl.col("metric").is_in(["HbA1c", "SBP"])).unique([*_ROW]).select(
        "metric", "area", "sex", "row_total"
    )  # fmt: skip
    rows = pl.concat([rows, rows.with_columns(area=pl.lit(NATION))])
    return (
        rows.group_by(["area", "sex"])
        .agg(
            tested_share=pl.col("row_total").filter(pl.col("metric") == "HbA1c").sum()
            / pl.col("row_total").filter(pl.col("metric") == "SBP").sum()
        )
        .sort(["area", "sex"])
    )


_SUMS = (
    "events", "events_low", "events_high", "denominator", "denominator_low", "denominator_high",
    "event_residual", "other_residual",
)  # fmt: skip


@cache
def _with_residual() -> pl.DataFrame:
    """Add each row's residual (people hidden in its masked cells) and the equal part of it per masked cell."""
    row = (
        ndb_checkup_bins()
        .group_by(_ROW)
        .agg(
            residual=pl.col("row_total").first() - pl.col("people").sum(),
            blanks=pl.col("masked").sum(),
        )
    )
    odd = row.filter((pl.col("residual") < 0) | ((pl.col("blanks") == 0) & (pl.col("residual") != 0)))
    if not odd.is_empty():
        raise DefinitionError(f"公表値の行計と年齢階級の和が合わない行が{len(odd)}行あります。")
    per_area = row.filter(pl.col("blanks") > 0).group_by(["metric", "area", "sex"]).len()
    if not per_area.filter(pl.col("len") > 1).is_empty():  # the bounds below fill one row at a time
        raise DefinitionError("同じ都道府県・性別に秘匿された行が複数あり、境界を計算できません。")
    joined = ndb_checkup_bins().join(row, on=_ROW, how="left", nulls_equal=True, validate="m:1")
    hidden = pl.when("masked").then(pl.col("residual")).otherwise(0)
    return joined.with_columns(
        visible=pl.col("people").fill_null(0),
        hidden=hidden,
        part=pl.when("masked").then(pl.col("residual") / pl.col("blanks")).otherwise(0.0),
    )


def _cells(bins: pl.DataFrame) -> pl.DataFrame:
    above = pl.col("above")
    return bins.group_by(_CELL).agg(
        events=(pl.col("visible") + pl.col("part")).filter(above).sum(),
        events_low=pl.col("visible").filter(above).sum(),
        events_high=(pl.col("visible") + pl.col("hidden")).filter(above).sum(),
        denominator=(pl.col("visible") + pl.col("part")).sum(),
        denominator_low=pl.col("visible").sum(),
        denominator_high=(pl.col("visible") + pl.col("hidden")).sum(),
        masked=pl.col("masked").any(),
        event_residual=pl.col("hidden").filter(above).sum(),
        other_residual=pl.col("hidden").filter(~above).sum(),
    )


def allocations(residual: int, blanks: int) -> Sequence[tuple[int, ...]]:
    """In which ways can `residual` people be spread over `blanks` masked cells?"""
    if blanks <= 1:
        return [(residual,)] if blanks else [()]
    return [(first, *rest) for first in range(residual + 1) for rest in allocations(residual - first, blanks - 1)]


UNRANKED = (UNKNOWN, NATION)
