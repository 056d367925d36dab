"""Is it chance? Funnel, shrinkage and rank intervals of an index (ranks also of rates): the same rows, more columns.

All three take repeat visitors into account (effective counts) and judge among the areas that have a rank; 県外 and 不明
keep their rows and get nulls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import eager
from kenpo_analytics.regional.index import Index
from kenpo_analytics.stats import funnel as funnels
from kenpo_analytics.stats.ranks import DIRECTION, First, bootstrap_ratios, rank_limits
from kenpo_analytics.stats.small_areas import shrink

DRAWS, SEED = 10_000, 20261123
RankMethod = Literal["posterior", "bootstrap"]


def funnel(index: Index, *, level: float = 0.998, centre: float | None = None) -> Index:
    """Which areas lie outside what areas of their size usually show (過分散を考慮したファネル)?

    Parameters
    ----------
    level
        Of the limits: 0.998 is 3 standard deviations.
    centre
        The index - 1 in the middle: 0 is the standard; None the areas' own mean.

    Returns
    -------
    Index whose rows have also: funnel_centre (index - 1), funnel_tau (standard deviation between areas, of the square
    root of the ratio), funnel_lower, funnel_upper (index - 1, at this area's size), funnel_level, funnel_z (distance in
    standard deviations), funnel_method.
    """

    def judge(part: pl.DataFrame) -> pl.DataFrame:
        expected = part["effective_expected"]
        found = funnels.funnel(part["effective_events"], expected, centre=None if centre is None else 1 + centre)
        limits = funnels.funnel_limits(expected, centre=found.centre, tau2=found.tau2, level=level)
        return part.select("_row").with_columns(
            funnel_centre=pl.lit(found.centre - 1),
            funnel_tau=pl.lit(found.tau2**0.5),
            funnel_lower=pl.Series(limits.lower - 1),
            funnel_upper=pl.Series(limits.upper - 1),
            funnel_level=pl.lit(level),
            funnel_z=pl.Series(found.z),
            funnel_method=pl.lit(found.method),
        )

    return _with(index, judge)


def shrunken(index: Index) -> Index:
    """What is each area's index likely to be, given that few events scatter widely (縮小推定)?

    Returns
    -------
    Index whose rows have also: shrunk (posterior mean of the index - 1), shrunk_lower, shrunk_upper (at the row's
    level), shrunk_method. A small area moves far towards the areas' mean, a large one hardly.

    Raises
    ------
    EstimateError
        Fewer than 5 areas with a rank.
    """

    def judge(part: pl.DataFrame) -> pl.DataFrame:
        found = shrink(part["effective_events"], part["effective_expected"])
        limits = found.limits(level=part["level"][0])
        return part.select("_row").with_columns(
            shrunk=pl.Series(found.estimate - 1),
            shrunk_lower=pl.Series(limits.lower - 1),
            shrunk_upper=pl.Series(limits.upper - 1),
            shrunk_method=pl.lit("gamma-poisson-grid"),
        )

    return _with(index, judge)


def ranks(index: Index | Any, *, worst: int = 10, method: RankMethod = "posterior") -> Any:
    """Between which places does each area truly stand (順位の区間)?

    Parameters
    ----------
    index
        An `Index`, or the rows of `standardised_rate`; the same comes back.
    worst
        How many of the last places (the highest index where rank 1 is the lowest) count for `p_worst`.
    method
        "posterior": of the gamma-Poisson model, full Bayes. "bootstrap": sensitivity analysis.

    Returns
    -------
    Rows that have also: rank_median, rank_lower, rank_upper (whole places, at the row's level), worst, p_worst
    (probability of being among the last `worst`), rank_method. `rank` stays the place of the observed index.
    """
    if method not in ("posterior", "bootstrap"):
        raise EstimateError(
            f"順位の区間の方法が不明です: {method}", hint="posterior または bootstrap を指定してください。"
        )

    def judge(part: pl.DataFrame) -> pl.DataFrame:
        size = "effective_expected" if "effective_expected" in part.columns else "effective_denominator"
        events, expected = part["effective_events"], part[size]
        if method == "posterior":
            draws = shrink(events, expected).draws(DRAWS, seed=SEED)
        else:
            draws = bootstrap_ratios(events, expected, size=DRAWS, seed=SEED)
        found = rank_limits(draws, first=_first(part), worst=worst, level=part["level"][0], method=method)
        return part.select("_row").with_columns(
            rank_median=pl.Series(found.median).cast(pl.Int64),
            rank_lower=pl.Series(found.lower).cast(pl.Int64),
            rank_upper=pl.Series(found.upper).cast(pl.Int64),
            worst=pl.lit(worst),
            p_worst=pl.Series(found.worst),
            rank_method=pl.lit(method),
        )

    return _with(index, judge) if isinstance(index, Index) else _judged(index, judge)


def _first(part: pl.DataFrame) -> First:
    return "highest" if part["rank_direction"][0] == DIRECTION["highest"] else "lowest"


def _with(index: Index, judge: Callable[[pl.DataFrame], pl.DataFrame]) -> Index:
    return replace(index, rows=_judged(index.rows, judge))


def _judged(frame: Any, judge: Callable[[pl.DataFrame], pl.DataFrame]) -> Any:
    """The rows with the columns that `judge` adds, level by level; columns of an earlier call are replaced."""
    rows = eager(frame).with_row_index("_row")
    ranked = rows.filter(pl.col("rank").is_not_null())
    found = pl.concat([judge(part) for _, part in ranked.group_by(["level"], maintain_order=True)])
    kept = [name for name in rows.columns if name == "_row" or name not in found.columns]
    joined = rows.select(kept).join(found, on="_row", how="left", maintain_order="left", validate="1:1").drop("_row")
    return small(joined, source_of(frame))
