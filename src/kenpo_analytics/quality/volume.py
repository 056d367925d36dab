"""Did as many rows come as in other years? Month by month, by event and by receipt."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.months import add_months, month_range, months_between
from kenpo_analytics.quality.inventory import Overview

YEARS = 3
"""The same month of so many other years makes a usual level whatever one of them was; of fewer it is not sure."""
NEAR = 3
JUDGED_LIKE = {"checkups": "checkups", "claims": "claims", "claim_fees": "claims"}
"""Whose arrival says how far the months of a table are complete."""
_SCHEMA: dict[str, Any] = {
    "table": pl.String,
    "clock": pl.String,
    "month": pl.Int32,
    "rows": pl.Int64,
    "persons": pl.Int64,
    "usual": pl.Float64,
    "ratio": pl.Float64,
    "state": pl.String,
}


def monthly_volume(loaded: Overview, *, definitions: Definitions | None = None) -> pl.DataFrame:
    """In which months came far more or far fewer rows than usual, or none?

    Usual is the median of the same calendar month in the other years: checkups follow the seasons. Of fewer than three
    years one odd month would spoil it; then a month is also compared with the median of the months up to three away,
    and the nearer of the two is its usual level. Months without any row count as 0.

    Parameters
    ----------
    loaded
        From `overview`.
    definitions
        `quality.volume.ratio` (flagged beyond this multiple or fraction of the usual) and `quality.volume.rows` (a
        usual level below this is not judged).

    Returns
    -------
    polars.DataFrame
        table, clock (event, received), month, rows, persons, usual (null where there is none), ratio (rows / usual),
        state: pass, fail, or not_evaluated (not all arrived yet or too little to tell; by receipt also the first
        months, to which the rows of earlier events are missing). Tables that come month by month only.
    """
    used = definitions or define()
    runs = {row["table"]: row for row in loaded.maturity.to_dicts()}
    lines: list[tuple[Any, ...]] = []
    for table, like in JUDGED_LIKE.items():
        for clock in ("event", "received"):
            here = loaded.coverage.filter(table=table, clock=clock).filter(pl.col("month") % 100 <= 12)
            counts = {month: (rows, people) for month, rows, people in here.select("month", "rows", "persons").rows()}
            if counts:
                span = _span(clock, runs[like], counts, loaded.month)
                lines += [(table, clock, *line) for line in _judged(counts, span, used)]
    return pl.DataFrame(lines, schema=_SCHEMA, orient="row")


def usual_rows(month: int, rows: float, counts: Mapping[int, int], least: float) -> float | None:
    """How many rows has this month usually, judged from the others in `counts`? None when that is not known.

    `rows` decides between two levels where neither is sure; a level below `least` is none.
    """
    others = {other: n for other, n in counts.items() if other != month}
    same = [n for other, n in others.items() if other % 100 == month % 100]
    near = [n for other, n in others.items() if abs(months_between(other, month)) <= NEAR]
    levels = [median(same)] if len(same) >= YEARS else [median(held) for held in (same, near) if len(held) >= 2]
    return min((level for level in levels if level >= least), key=lambda level: abs(level - rows), default=None)


def _span(clock: str, run: Mapping[str, Any], counts: Mapping[int, Any], through: int) -> tuple[int, int] | None:
    """From which to which month is everything there? None when nobody can tell."""
    if run["run_out"] is None:
        return None
    if clock == "event":
        return min(counts), min(run["complete_through"], through)
    return add_months(min(counts), run["run_out"]), through


def _judged(
    counts: Mapping[int, tuple[int, int]], span: tuple[int, int] | None, used: Definitions
) -> list[tuple[Any, ...]]:
    factor, least = used.number("quality.volume.ratio"), used.number("quality.volume.rows")
    months = month_range(min(counts), max(max(counts), span[1] if span else 0))
    judged = {m: counts.get(m, (0, 0))[0] for m in months if span and span[0] <= m <= span[1]}
    lines = []
    for month in months:
        rows, persons = counts.get(month, (0, 0))
        usual = usual_rows(month, rows, judged, least) if month in judged else None
        state = "not_evaluated" if usual is None else "pass" if usual / factor <= rows <= usual * factor else "fail"
        lines.append((month, rows, persons, usual, rows / usual if usual else None, state))
    return lines
