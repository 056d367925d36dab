"""What does the page of a fiscal year need? Holders and levels of several years, and small counts of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.cohorts.flow import Cohort
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.frames import kind_of, small, source_of
from kenpo_analytics.regional.cells import eager
from kenpo_analytics.risks.decrease import guidance_decrease
from kenpo_analytics.risks.holders import risk_holders
from kenpo_analytics.risks.levels import FIRST_YEAR, LEVELS, guidance_levels

_BY_SEX = {"M": (pl.col("sex") == "M").sum(), "F": (pl.col("sex") == "F").sum(), "n": pl.len()}
_ORDER = {name: at for at, name in enumerate(LEVELS)}
_TALLY: dict[str, Any] = {"fiscal_year": pl.Int64, "version": pl.String, "level": pl.String}


def holders_of_years(checkups: Any, members: Any, *, years: Sequence[int], **asked: Any) -> dict[int, Cohort]:
    """Who carried which risk in each fiscal year? Collected `risk_holders` by year; `asked` goes to it."""
    return {year: risk_holders(checkups, members, fiscal_year=year, **asked).collect() for year in years}


def people_of(cohorts: Mapping[int, Cohort]) -> Any:
    """The people of all these years, one below the other (`fiscal_year` tells them apart)."""
    people = [cohort.people for cohort in cohorts.values()]
    return small(pl.concat([eager(each) for each in people]), source_of(people[0]))


def examined_by_age(people: Any) -> Any:
    """How many men and women of each age were examined? age_band, M, F, n."""
    rows = eager(people).group_by("age_band").agg(**_BY_SEX).sort("age_band")
    return small(rows, source_of(people))


def unknown_by_risk(rates: Any) -> Any:
    """How many could not be judged? label, persons, denominator (judged), unknown, over the rows of `risk_rates`."""
    rows = eager(rates).group_by("label", maintain_order=True).agg(pl.col("persons", "denominator", "unknown").sum())
    return small(rows, source_of(rates))


def levels_of_years(checkups: Any, members: Any, *, fiscal_year: int, **asked: Any) -> dict[int, Cohort]:
    """Which level of 特定保健指導 had everybody this year and the year before? Only years whose rules are known.

    Collected `guidance_levels` by year; `asked` goes to it. No year before `FIRST_YEAR`.
    """
    years = [year for year in (fiscal_year - 1, fiscal_year) if year >= FIRST_YEAR]
    return {year: guidance_levels(checkups, members, fiscal_year=year, **asked).collect() for year in years}


def level_counts(levels: Mapping[int, Cohort]) -> Any:
    """How many men and women have each level? fiscal_year, version, level, M, F, n; no rows without a year."""
    parts = [eager(each.people).group_by(*_TALLY).agg(**_BY_SEX) for each in levels.values()]
    empty = pl.DataFrame(schema=_TALLY | dict.fromkeys(_BY_SEX, pl.UInt32))
    counted = pl.concat(parts or [empty]).sort("fiscal_year", pl.col("level").replace_strict(_ORDER))
    return _as_people(counted, levels)


def target_levels(levels: Mapping[int, Cohort], *, fiscal_year: int) -> Any:
    """Which levels had the targets of 特定保健指導 in a fiscal year? level, n; no rows where it is not there."""
    parts = [eager(levels[fiscal_year].people)] if fiscal_year in levels else []
    empty = pl.DataFrame(schema={"level": pl.String, "target": pl.Boolean})
    targets = pl.concat(parts or [empty]).filter(pl.col("target"))
    return _as_people(targets.group_by("level").agg(n=pl.len()).sort(pl.col("level").replace_strict(_ORDER)), levels)


def _as_people(rows: pl.DataFrame, levels: Mapping[int, Cohort]) -> Any:
    return next((small(rows, source_of(each.people)) for each in levels.values()), rows)


def decrease_of_year(
    checkups: Any, members: Any, guidance: Any, *, levels: Mapping[int, Cohort], definitions: Definitions, **asked: Any
) -> tuple[Any, Any] | None:
    """Which share of last year's targets is none this year, as each year was judged, and by this year's rules alone?

    `levels` of `levels_of_years`; `guidance` the canonical table, or None. Two results of `guidance_decrease`; None
    where the table, or the level of either year, is not there.
    """
    if guidance is None or len(levels) != 2:
        return None
    (before, last), (year, this) = levels.items()
    same = guidance_levels(checkups, members, fiscal_year=before, rules_of=year, definitions=definitions, **asked)
    guided = guidance if kind_of(guidance) == "pandas" else eager(guidance)  # collected people are not in DuckDB either
    own, aligned = (
        guidance_decrease(each, this.people, guided, definitions=definitions)
        for each in (last.people, same.collect().people)
    )
    return own, aligned
