"""What would the rate be with the same ages? Directly standardised rates and shares by area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import Aligned, Area, align, levels_of
from kenpo_analytics.regional.index import NOT_RANKED, refuse_empty, with_rank
from kenpo_analytics.stats import standardise
from kenpo_analytics.stats.ranks import First


def standardised_rate(
    cells: Any,
    standard: Any,
    *,
    area: str = "area",
    strata: Sequence[str] = ("age_band",),
    level: float | Sequence[float] = 0.95,
    kind: Literal["rate", "share"] = "rate",
    per: float = 1.0,
    first: First = "lowest",
    unranked: Sequence[str] = NOT_RANKED,
    standard_id: str | None = None,
) -> Any:
    """What rate would each area have with the standard's age mix, and how sure is it?

    Parameters
    ----------
    cells, standard
        Rows with the strata columns, `events` and `denominator` (and `area` in `cells`), as in `regional_index`.
    kind
        "rate": events per person-time (Dobson's interval; with `events_sq` also the one for repeat visitors).
        "share": people among people (Wilson's interval at the effective sample size); `per` must be 1.
    first
        Which end is rank 1: "lowest" for risks, "highest" for participation.

    Returns
    -------
    pandas for pandas, polars otherwise: area, events, denominator, rate (crude), estimate (standardised), lower,
    upper, lower_repeat, upper_repeat, standard_rate, gap (estimate - standard_rate), effective_events,
    effective_denominator (as many independent events in as much person-time would give this rate with this precision:
    what `ranks` takes), level, method, standard, rank, ranked, rank_direction.

    Raises
    ------
    StrataError
        Strata that do not match, or a stratum in which an area has nobody.
    """
    if kind not in ("rate", "share") or (kind == "share" and per != 1.0):
        raise EstimateError(
            f"率の種類と単位の組が不明です: {kind}, {per}", hint="kind は rate か share(share の per は1)です。"
        )
    levels = levels_of(level)
    aligned = align(cells, standard, area=area, strata=strata, visit_type=None)
    refuse_empty(aligned)
    id_ = standard_id or f"基準集団(分母{aligned.standard.denominator.sum():,.0f}、層 {'×'.join(strata)})"
    records = [_row(aligned, one, kind, value, per) for value in levels for one in aligned.areas]
    rows = pl.DataFrame(records, infer_schema_length=None).rename({"area": area})
    rows = rows.with_columns(pl.lit(id_).alias("standard"))
    return small(with_rank(rows, area, "estimate", first, unranked), source_of(cells))


def _row(aligned: Aligned, one: Area, kind: str, level: float, per: float) -> dict[str, Any]:
    base = aligned.standard
    events, months = one.events.sum(axis=1), one.denominator
    if kind == "share":
        found = standardise.direct_share(events, months, base.denominator, level=level)
    else:
        found = standardise.direct(events, months, base.denominator, events_sq=one.squares, level=level)
    nation = float(base.events.sum() / base.denominator.sum()) * per
    size = found.value / found.variance if found.variance > 0 else float(months.sum())  # nobody, or everybody
    return {
        "area": one.name,
        "events": float(events.sum()),
        "denominator": float(months.sum()),
        "rate": float(events.sum() / months.sum()) * per,
        "estimate": found.value * per,
        "lower": found.lower * per,
        "upper": found.upper * per,
        "lower_repeat": None if found.lower_repeat is None else found.lower_repeat * per,
        "upper_repeat": None if found.upper_repeat is None else found.upper_repeat * per,
        "standard_rate": nation,
        "gap": found.value * per - nation,
        "effective_events": found.value * size,
        "effective_denominator": size,
        "level": level,
        "method": found.method,
    }
