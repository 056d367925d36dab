"""What does page 09 show? The score of a year, what a rise would bring and what it rests on, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from kenpo_analytics.definitions import Definition
from kenpo_analytics.kpi.branches import eager, known_by
from kenpo_analytics.kpi.incentive import Score
from kenpo_analytics.kpi.incentive_doubts import (
    incentive_gaps,
    incentive_needs,
    incentive_place,
    incentive_sensitivity,
    incentive_year,
    score_or_reason,
)
from kenpo_analytics.kpi.readings import published
from kenpo_analytics.kpi.weights import Rules, incentive_rules, scored
from kenpo_analytics.kpi.what_if import needed_rise, what_if_rise
from kenpo_analytics.store import Tables


@dataclass(frozen=True)
class IncentivePage:
    """The frames of page 09, each as its own function gives it; None where there is no score, and `why` says why.

    `fiscal_year`: the year asked for, else the last with whole tables (`incentive_year`; `gaps`: the years passed over
    on the way). `needs`: the tables that it takes. `rules`: its definitions (None before the programme). `score`,
    `rises` (`what_if_rise`), `wanted` (`needed_rise`), `doubts` (`incentive_sensitivity`), `place` (a row at any rate).
    """

    branch: str
    fiscal_year: int
    rules: Rules | None
    needs: pl.DataFrame
    gaps: pl.DataFrame
    why: str
    place: pl.DataFrame
    score: Score | None = None
    rises: pl.DataFrame | None = None
    wanted: pl.DataFrame | None = None
    doubts: pl.DataFrame | None = None

    @property
    def used(self) -> tuple[Definition, ...]:
        """The definitions of the year; none before the programme."""
        return self.rules.used if self.rules else ()

    @property
    def top(self) -> int:
        """How many places are rewarded; 0 before the programme."""
        return self.rules.top if self.rules else 0

    @property
    def covers(self) -> str:
        """What the interval of a place covers, in words."""
        return self.score.covers if self.score else ""


def incentive_page(
    tables: Tables, *, branch: str, fiscal_year: int = 0, raised: str = "", points: float = 2.0
) -> IncentivePage:
    """What has the branch in the incentive programme, as known at the month of `tables`? All parts of page 09.

    Parameters
    ----------
    fiscal_year
        0: the last year whose 47-branch tables are whole.
    raised, points
        The indicator to raise (empty: each alone), by how many percentage points.

    Raises
    ------
    ParameterError
        `branch` is no code of a branch; no such indicator; `points` is no rise.
    """
    known, used = known_by(published(tables.folder), month=tables.month), tables.definitions
    gaps = eager(incentive_gaps(known, month=tables.month, definitions=used))
    year = fiscal_year or incentive_year(known, month=tables.month, definitions=used)
    score, why = score_or_reason(known, fiscal_year=year, definitions=used)
    parts: dict[str, pl.DataFrame] = {}
    if score is not None:
        rises = what_if_rise(score, branch=branch, points=points, indicators=[raised] if raised else [])
        doubts = incentive_sensitivity(known, score, branch=branch)
        parts = {"rises": rises, "wanted": needed_rise(score, branch=branch), "doubts": doubts}
    return IncentivePage(
        branch=branch,
        fiscal_year=year,
        rules=incentive_rules(year, definitions=used) if scored(year, definitions=used) else None,
        needs=eager(incentive_needs(known, fiscal_year=year, definitions=used)),
        gaps=gaps.head(0) if fiscal_year else gaps,  # a year that was asked for passes over none
        why=why,
        place=eager(incentive_place(score, branch=branch)),
        score=score,
        **{name: eager(part) for name, part in parts.items()},
    )
