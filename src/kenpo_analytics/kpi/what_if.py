"""What would a rise bring? The score of one branch with an indicator raised, the other 46 branches held as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.definitions.branch_codes import BRANCHES, branch_code
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.kpi.deviation import indicator_points
from kenpo_analytics.kpi.incentive import METHOD, SEED, Score
from kenpo_analytics.kpi.incentive_tables import redrawn, smallest_of
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.ranks import rank_limits

STEP = 0.1
"""What is needed is looked for in tenths of a percentage point, as KPIs are printed."""


def what_if_rise(score: Score, *, branch: str, points: float, indicators: Sequence[str] = (), seed: int = SEED) -> Any:
    """How would points and place change if one indicator of the branch were higher by so many percentage points?

    Parameters
    ----------
    score
        From `incentive_score`.
    points
        Percentage points on top of this year's value, not negative; the number of people rises with it.
    indicators
        Keys (checkup, guidance, reduction, visit, generic), or one; all of them by default, each raised alone.

    Returns
    -------
    pandas for a score of pandas, polars otherwise.
    One row per indicator: indicator, label, counts, numerator, denominator, last_numerator, last_denominator,
    estimate, room (1 - before; 伸びしろ), raised (percentage points), estimate_raised, points, points_raised (of the
    indicator), total, total_raised, gain, rank, rank_raised with rank_raised_lower and rank_raised_upper (null without
    counts), gap_raised (to the line of the last place within the top, recomputed), reason (why there is no number:
    above 100 %), smallest and smallest_all (the smallest group of people of any of the 47 branches behind the indicator
    and behind all of them: what the disclosure check needs).

    Notes
    -----
    The mean and the standard deviation of the 47 move with the branch; the values of the other 46 do not. They will in
    truth: other branches rise too.

    Raises
    ------
    ParameterError
        `points` below 0, or `branch` is no code of a branch.
    DefinitionError
        An indicator that the rules do not know.
    """
    at, everything = BRANCHES.index(branch_code(branch)), [each.item.key for each in score.counted]
    indicators = [indicators] if isinstance(indicators, str) else indicators
    for key in indicators:
        score.rules.indicator(key)
    if not (math.isfinite(points) and points >= 0):
        raise ParameterError(
            f"上げる幅は0以上の数です: {points:g}",
            hint="ポイントで書きます(2ポイント上げるなら 2)。下げた場合は計算しません。",
        )
    wanted = [key for key in everything if not indicators or key in indicators]
    rows = [_row(score, everything.index(key), at, points, seed) for key in wanted]
    return small(pl.DataFrame(rows, infer_schema_length=None), source_of(score.totals))


def needed_rise(score: Score, *, branch: str) -> Any:
    """By how much must one indicator rise, alone, for the branch to come within the top (rank 15)?

    Returns
    -------
    pandas for a score of pandas, polars otherwise.
    One row per indicator: indicator, label, counts, numerator, denominator, last_numerator, last_denominator,
    estimate, room, needed (percentage points, the smallest step of 0.1 that reaches it with the others held fixed; 0
    when it is there already; null when 100 % would not be enough), estimate_needed, needed_people (null for drug units
    and without counts), top, reason, smallest, smallest_all.
    """
    at = BRANCHES.index(branch_code(branch))
    rows = [_needed(score, n, at) for n in range(len(score.counted))]
    return small(pl.DataFrame(rows, infer_schema_length=None), source_of(score.totals))


def _observed(score: Score) -> list[FloatArray]:
    return [
        indicator_points(each.item, each.values, rise=score.rules.rise, sd=score.rules.sd) for each in score.counted
    ]


def _raised(score: Score, n: int, at: int, points: FloatArray) -> FloatArray:
    """The points of the indicator with the branch raised: one row per element of `points`."""
    each = score.counted[n]
    values = each.values.raised(at, points, each.total)
    return indicator_points(each.item, values, rise=score.rules.rise, sd=score.rules.sd)


def _base(score: Score, n: int, at: int) -> dict[str, Any]:
    each = score.counted[n]
    before = each.values.before
    return {
        "indicator": each.item.key,
        "label": each.item.label,
        "counts": "people" if each.people else "units",
        "numerator": _one(each.values.taken, at),
        "denominator": _one(each.total, at),
        "last_numerator": _one(each.values.taken_before, at),
        "last_denominator": _one(each.total_before, at),
        "estimate": float(each.values.now[at]),
        "room": None if before is None else float(1 - before[at]),
        "smallest": each.smallest,
        "smallest_all": smallest_of(score.counted),
    }


def _one(values: FloatArray | None, at: int) -> float | None:
    return None if values is None else float(values[at])


def _row(score: Score, n: int, at: int, points: float, seed: int) -> dict[str, Any]:
    held = _observed(score)
    total = np.sum(held, axis=0)
    row = _base(score, n, at) | {
        "raised": points,
        "estimate_raised": None,
        "points": float(held[n][at]),
        "points_raised": None,
        "total": float(total[at]),
        "total_raised": None,
        "gain": None,
        "rank": None if score.drawn is None else _place(total, at),
        **dict.fromkeys(("rank_raised", "rank_raised_lower", "rank_raised_upper")),
        "gap_raised": None,
        "reason": None,
    }
    goal = row["estimate"] + points / 100
    if goal > 1:
        return row | {"reason": "100%を超える"}
    raised = _raised(score, n, at, np.array([points]))[0]
    after = total - held[n] + raised
    line = float(np.sort(after)[::-1][score.rules.top - 1])
    return row | {
        "estimate_raised": goal,
        "points_raised": float(raised[at]),
        "total_raised": float(after[at]),
        "gain": float(after[at] - total[at]),
        "gap_raised": float(after[at]) - line,
        **_raised_rank(score, n, at, after, goal, seed),
    }


def _raised_rank(score: Score, n: int, at: int, after: FloatArray, goal: float, seed: int) -> dict[str, int]:
    if score.drawn is None:
        return {}
    each, others = score.counted[n], [drawn for i, drawn in enumerate(score.drawn) if i != n]
    draws = max(len(drawn) for drawn in score.drawn)
    shown = {"rise": score.rules.rise, "sd": score.rules.sd}
    now = each.values.now.copy()
    now[at] = goal
    if each.people:
        mine = indicator_points(each.item, redrawn(each, draws, [seed, n], now), **shown)
    else:
        mine = _raised(score, n, at, np.array([100 * (goal - each.values.now[at])]))
    limits = rank_limits(
        np.broadcast_to(sum(others) + mine, (draws, len(BRANCHES))), first="highest", level=score.level, method=METHOD
    ).with_observed(after, first="highest")
    return {
        "rank_raised": _place(after, at),
        "rank_raised_lower": int(limits.lower[at]),
        "rank_raised_upper": int(limits.upper[at]),
    }


def _place(total: FloatArray, at: int) -> int:
    return 1 + int((total > total[at]).sum())


def _needed(score: Score, n: int, at: int) -> dict[str, Any]:
    each, held = score.counted[n], _observed(score)
    row = _base(score, n, at) | {"needed": None, "estimate_needed": None, "needed_people": None}
    row |= {"top": score.rules.top, "reason": None}
    steps = np.arange(0, math.floor(round((1 - each.values.now[at]) * 100 / STEP, 6)) + 1) * STEP
    totals = np.sum(held, axis=0) - held[n] + _raised(score, n, at, steps)
    places = 1 + (totals > totals[:, at][:, None]).sum(axis=1)
    reached = np.flatnonzero(places <= score.rules.top)
    if not len(reached):
        return row | {"reason": f"100%にしても{score.rules.top}位に届かない(ほかの支部と指標はそのまま)"}
    needed = round(float(steps[reached[0]]), 6)
    counted = each.people and each.total is not None
    people = math.ceil(round(needed / 100 * float(each.total[at]), 6)) if counted and each.total is not None else None
    return row | {"needed": needed, "estimate_needed": row["estimate"] + needed / 100, "needed_people": people}
