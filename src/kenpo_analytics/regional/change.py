"""Is the change from the year before more than chance? Intervals where the standard is itself a small count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from kenpo_analytics.errors import StrataError
from kenpo_analytics.frames import columns_of, small, source_of
from kenpo_analytics.regional.cells import VISIT, eager, listed, named, total_of
from kenpo_analytics.regional.index import regional_index
from kenpo_analytics.stats._checks import normal_quantile


def index_change(
    now: Any, before: Any, *, strata: Sequence[str] = ("age_band",), visit_type: str | None = None, level: float = 0.95
) -> Any:
    """By what share has one area's rate changed since the year before, at equal age, and is it more than chance?

    Parameters
    ----------
    now, before
        Cells of the one area in the two years, with `events_sq` (as `regional_index` takes them).

    Returns
    -------
    One row (pandas for pandas, polars otherwise): area, events, persons, expected, estimate (ratio - 1), lower, upper,
    level, method. On the log scale, with the chance of both years and of repeat visits. People who come in both years
    make the true interval narrower; first and return visits of one person are bounded (Cauchy-Schwarz).
    """
    base = total_of(before, by=(VISIT, *listed(strata)))
    asked: dict[str, Any] = {"strata": strata, "visit_type": visit_type, "level": level}
    here, there = (eager(regional_index(cells, base, **asked).rows).row(0, named=True) for cells in (now, before))
    ratio = here["estimate"] + 1
    spread = 1 / here["effective_events"] + 1 / there["effective_events"]
    factor = math.exp(normal_quantile(level) * math.sqrt(spread))
    kept = {name: here[name] for name in ("area", "events", "persons", "expected", "estimate")}
    limits = {"lower": ratio / factor - 1, "upper": ratio * factor - 1}
    return small(pl.DataFrame([kept | limits | {"level": level, "method": "log-normal-compound"}]), source_of(now))


def contribution_changes(
    now: Any, before: Any, *, by: str | Sequence[str], strata: str | Sequence[str] = ("age_band",), level: float = 0.95
) -> Any:
    """How sure is what each class of visits adds to the change since the year before?

    Parameters
    ----------
    now, before
        Cells of the one area in the two years by `strata` and `by` (hours, visit_type), the same classes in both.
    by, strata
        Names of columns, or of one.

    Returns
    -------
    A row per class: by, events, persons, expected, contribution, lower, upper. The contributions add up to the change.
    With A and B the age-standardised visits of the class now and before, E all visits before and c = (A - B) / E:
    var(c) = (var A + var B + 2 c var B + c^2 var E) / E^2, variances from the sums of squared visits of each person.

    Raises
    ------
    StrataError
        A column that either table lacks.
    """
    by, numbers = listed(by), ["events", "events_sq", "persons", "denominator"]
    keys = [*by, *listed(strata)]
    for side, table in (("今年度の表", now), ("前年度の表", before)):
        if lacking := [name for name in (*keys, *numbers) if name not in columns_of(table)]:
            raise StrataError(f"{side}に列がありません: {named(lacking)}", hint="by と strata は表の列の名前です。")
    left, right = (eager(cells).group_by(keys).agg(pl.col(numbers).sum()) for cells in (now, before))
    both = left.join(right, on=keys, how="left", validate="1:1", suffix="_before").sort(keys)
    whole, noise = float(right["events"].sum()), float(right["events_sq"].sum())
    weight = pl.col("denominator_before") / pl.col("denominator")
    rows = both.group_by(by, maintain_order=True).agg(
        pl.col("events", "persons").sum(),
        expected=(pl.col("events_before") / weight).sum(),
        contribution=(weight * pl.col("events") - pl.col("events_before")).sum() / whole,
        va=(weight**2 * pl.col("events_sq")).sum(),
        vb=pl.col("events_sq_before").sum(),
    )
    c = pl.col("contribution")
    variance = (pl.col("va") + pl.col("vb") * (1 + 2 * c) + c**2 * noise) / whole**2
    half = normal_quantile(level) * variance.sqrt()
    return small(rows.with_columns(lower=c - half, upper=c + half).drop("va", "vb"), source_of(now))
