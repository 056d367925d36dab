"""How does a year run up to its end? Development factors of past years, and how well they would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kenpo_analytics.kpi.readings import Reading
from kenpo_analytics.months import fiscal_months

Years = Mapping[int, Sequence[float]]
"""Fiscal year to its twelve monthly values, April first."""
LAST = 11


@dataclass(frozen=True)
class Projected:
    """A year-end value with its interval; `half` is half the interval on the scale on which it is symmetric."""

    estimate: float
    lower: float
    upper: float
    half: float


@dataclass(frozen=True)
class Try:
    """One year-end that is known, as it would have been projected from an earlier month without knowing it.

    `score` is the error over half the interval's width: up to 1 the interval covered. `last_year` is the year-end
    before, the simplest forecast; None where it is not known.
    """

    fiscal_year: int
    position: int
    truth: float
    estimate: float
    score: float
    last_year: float | None


def complete_years(held: Sequence[Reading], version: str, before: int) -> dict[int, list[float]]:
    """Which fiscal years before `before` have twelve final months under this definition version?"""
    known = {r.month: r.value for r in held if r.version == version and r.final}
    years = range(min((month // 100 for month in known), default=before) - 1, before)
    return {
        year: [known[month] for month in fiscal_months(year)]
        for year in years
        if all(month in known for month in fiscal_months(year))
    }


def factors(years: Years, position: int) -> dict[int, float]:
    """By how much did each year still grow from this month to its end? Years that stood at 0 say nothing."""
    return {
        year: values[LAST] / values[position]
        for year, values in years.items()
        if values[position] > 0 and values[LAST] > 0
    }


def project(now: float, grown: Sequence[float], level: float) -> Projected:
    """Where does a year end that stands at `now`, if it grows as other years did?

    Mean of the log factors with a t interval for one more year (n - 1 degrees of freedom; spread times
    sqrt(1 + 1/n)); needs two factors.
    """
    from scipy.stats import t

    logs = np.log(np.asarray(grown, dtype=float))
    n, middle = len(logs), float(np.log(now) + logs.mean())
    half = float(t.ppf((1 + level) / 2, n - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / n))
    return Projected(float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half)), half)


def tries(years: Years, level: float) -> list[Try]:
    """How would each known year-end have been projected from each earlier month, by the other years alone?"""
    made = []
    for year, values in years.items():
        for position in range(LAST):
            others = [factor for other, factor in factors(years, position).items() if other != year]
            if len(others) < 2 or values[position] <= 0 or values[LAST] <= 0:
                continue
            found = project(values[position], others, level)
            error = abs(float(np.log(values[LAST] / found.estimate)))
            before = years[year - 1][LAST] if year - 1 in years else None
            made.append(Try(year, position, values[LAST], found.estimate, _score(error, found.half), before))
    return made


def _score(error: float, half: float) -> float:
    """An interval without width covers only what it hits."""
    return error / half if half > 0 else (0.0 if error < 1e-12 else float("inf"))
