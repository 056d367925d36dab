"""Where will the year land? Projections with an interval where the past allows one, and what is still needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.kpi import Kpi, Target, kpi
from kenpo_analytics.kpi import backtest, development, levels
from kenpo_analytics.kpi.development import LAST, Projected, Try, Years
from kenpo_analytics.kpi.judging import YEAR_END
from kenpo_analytics.kpi.readings import Reading, readings
from kenpo_analytics.kpi.remaining import remaining
from kenpo_analytics.kpi.standing import stand
from kenpo_analytics.months import fiscal_year_of, months_between, parse_month
from kenpo_analytics.stats._checks import tail

ENOUGH = 3
"""Complete years from which on an interval is given."""
_COUNTED = ("実施",)
_TEXT = ("kpi_id", "label", "short", "group", "unit", "counts")
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(_TEXT, pl.String),
    "digits": pl.Int64,
    **dict.fromkeys(("fiscal_year", "month", "years"), pl.Int64),
    **dict.fromkeys(("numerator", "denominator", "current"), pl.Float64),
    "method": pl.String,
    **dict.fromkeys(("estimate", "lower", "upper", "level", "widen", "mae", "mae_last_year", "coverage"), pl.Float64),
    "tried": pl.Int64,
    **dict.fromkeys(("target", "national"), pl.Float64),
    "national_month": pl.Int64,
    "outlook": pl.String,
    "remaining": pl.Int64,
    **dict.fromkeys(("needed", "needed_national", "pace_last_year"), pl.Int64),
    **dict.fromkeys(("latest_month", "latest_remaining", "at_most", "at_most_national"), pl.Int64),
    **dict.fromkeys(("per_month", "per_month_national"), pl.Int64),
    **dict.fromkeys(("needed_reason", "reason", "brief"), pl.String),
}
_KEPT = (
    *_TEXT,
    *("digits", "fiscal_year", "month", "numerator", "denominator", "target", "national", "national_month"),
)
_BACKTEST: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "short", "unit", "method"), pl.String),
    **dict.fromkeys(("digits", "calendar_month", "years", "compared"), pl.Int64),
    **dict.fromkeys(("mae", "mae_last_year", "coverage"), pl.Float64),
}


@dataclass(frozen=True)
class Landing:
    """Where the year will land (`rows`, one per KPI), and how such projections did in the past (`backtest`)."""

    rows: Any
    backtest: Any


def landing(
    monthly: Any,
    *,
    month: int | str,
    branch: str,
    plan: Sequence[Target] | None = None,
    nation: Any = None,
    level: float = 0.80,
) -> Landing:
    """Where will each KPI stand at the end of the fiscal year, and how much is still needed?

    Parameters
    ----------
    monthly, month, branch, plan, nation
        As in `status`. Projected is from the latest 確定 month: months that are still coming in stand too low.
    level
        Of the prediction interval.

    Returns
    -------
    `rows`: kpi_id, label, short, group, unit, counts, digits, fiscal_year, month (projected from), years (complete
    ones), numerator, denominator, current, method ("development_factor", "ets", "range", "observed", "none"), estimate,
    lower, upper (for "range" the span of past growth, no interval), level, widen, mae, mae_last_year, coverage and
    tried (the back-test), target, national with national_month, outlook, remaining (months), needed and per_month
    (people to the target), needed_national and per_month_national, pace_last_year (people a month in the same months
    of the last complete year), needed_reason (why there is none to the target), reason, and in short (brief) where
    there is no projection. A KPI of the plan that cannot be projected has its row too, with the reason.
    `backtest`: kpi_id, short, unit, digits, method, calendar_month (projected from), years, mae, mae_last_year (of the
    same `compared` years), coverage.

    Notes
    -----
    Sums over the year: development factor (year-end over the same month) of at least 3 complete years under one
    definition version, t interval on the log. Levels: exponential smoothing of at least 36 months (ETSModel, additive
    errors, level or damped trend by AICc). Each is tried on the known years (one left out; levels by what came
    before): where last year's value was no worse, a range only; where an interval covered less than 70%, it is
    widened. With two complete years a range, with fewer no projection.
    """
    at = parse_month(month)
    tail(level)  # no number before it is known to be a level
    held = readings(monthly, branch=branch, month=at)
    rows: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    known = stand(held, at, branch, "final", plan, nation).filter(pl.col("kind") != "unknown")
    for row in known.iter_rows(named=True):
        item = kpi(row["kpi_id"])
        found, tried = _one(item, row, held.get(item.id, []), level)
        rows.append({name: row[name] for name in _KEPT} | {"current": row["estimate"]} | found)
        names = {"kpi_id": item.id, "short": item.short, "unit": item.unit, "digits": item.digits}
        records += [names | line for line in tried]
    source = frames.source_of(monthly)
    return Landing(
        frames.small(pl.DataFrame(rows, schema=_SCHEMA), source),
        frames.small(pl.DataFrame(records, schema=_BACKTEST), source),
    )


def _one(item: Kpi, row: dict[str, Any], held: list[Reading], level: float) -> tuple[dict[str, Any], list[dict]]:
    """One KPI's landing and the record of its method."""
    year, version = row["fiscal_year"], row["definition_version"]
    if row["month"] is None:
        lacking = remaining(item, row, held, {}, None)
        return _none(row["reason"], _absent(held, year, version)) | lacking, []
    years = development.complete_years(held, version, year)
    found: dict[str, Any] = {"years": len(years)}
    position = LAST - months_between(row["month"], (year + 1) * 100 + YEAR_END)
    made: list[Try] = []
    if position == LAST:
        return found | {"method": "observed", "estimate": row["estimate"], "reason": "年度末の値"}, []
    if item.unit in _COUNTED or item.accumulates == "every":
        found |= _none("年度末の見込みを計算する指標ではない", "見込む指標でない")
    elif not years:
        found |= _none(f"同じ定義の版で12か月そろった過去の年度がない({version})", "過去の年度なし")
    elif item.accumulates == "level":
        run = levels.run_up(held, version, row["month"])
        made, more = _level(run, years, position, level)
        found |= more
    else:
        made, more = _sum(row["estimate"], years, position, level)
        found |= more
    found |= _bounded(item, found)
    found |= {"outlook": _outlook(row["rule"], row["target"], found)} | remaining(item, row, held, years, position)
    method = "ets" if item.accumulates == "level" else "development_factor"
    return found, [one | {"method": method} for one in backtest.by_month(made)]


def _none(reason: str, brief: str) -> dict[str, Any]:
    return {"method": "none", "reason": reason, "brief": brief}


def _absent(held: list[Reading], year: int, version: str) -> str:
    """Why is there no final month to project from, in short?"""
    versions = {r.version for r in held if fiscal_year_of(r.month) == year}
    return "確定した月なし" if version in versions else "定義の版が違う" if versions else "実績なし"


def _sum(now: float, years: Years, position: int, level: float) -> tuple[list[Try], dict[str, Any]]:
    grown = list(development.factors(years, position).values())
    if now <= 0 or not grown:
        return [], _none("この月の累計が0のため、伸びから見込めない", "累計が0")
    ends = [now * factor for factor in grown]
    if len(grown) < ENOUGH:
        told = "12か月そろった過去の年度" if len(grown) == len(years) else "この月の累計が0でない、そろった過去の年度"
        return [], _range(ends, f"{told}が{len(grown)}年度だけのため")
    made = development.tries(years, level)
    kept = backtest.record(made, position, level)
    if not kept.usable:
        return made, _range(ends, kept.reason) | _told(kept)
    found = development.project(now, grown, level)
    reach = math.exp(found.half * kept.widen)
    limits = {"lower": found.estimate / reach, "upper": found.estimate * reach}
    return made, _interval("development_factor", found, limits, kept, level)


def _level(run: list[Reading], years: Years, position: int, level: float) -> tuple[list[Try], dict[str, Any]]:
    values = [r.value for r in run]
    moved = [values[-1] + year[LAST] - year[position] for year in years.values()]
    if len(run) < levels.ENOUGH or len(years) < ENOUGH:
        return [], _range(moved, f"続いた月が{len(run)}か月だけのため({levels.ENOUGH}か月から予測)")
    model = levels.choose(values)
    made = levels.tries(run, model, level)
    kept = backtest.record(made, position, level)
    if not kept.usable:
        return made, _range(moved, kept.reason) | _told(kept)
    found = levels.forecast(values, LAST - position, model, level)
    half = found.half * kept.widen
    return made, _interval("ets", found, {"lower": found.estimate - half, "upper": found.estimate + half}, kept, level)


def _interval(
    method: str, found: Projected, limits: dict[str, float], kept: backtest.Record, level: float
) -> dict[str, Any]:
    said = {"method": method, "estimate": found.estimate, "level": level, "reason": kept.reason}
    return said | limits | _told(kept)


def _range(ends: Sequence[float], reason: str) -> dict[str, Any]:
    if len(ends) < 2:
        return _none(f"{reason}、幅も示さない(1年度では幅にならない)", "過去は1年度だけ")
    said = reason if reason.endswith("示す") else f"{reason}、幅だけを示す"
    return {"method": "range", "lower": min(ends), "upper": max(ends), "reason": said}


def _told(kept: backtest.Record) -> dict[str, Any]:
    return {
        "widen": kept.widen,
        "mae": kept.mae,
        "mae_last_year": kept.mae_last_year,
        "coverage": kept.coverage,
        "tried": kept.tried,
    }


def _bounded(item: Kpi, found: dict[str, Any]) -> dict[str, Any]:
    """A share ends between 0 and 1, and no count below 0, whatever the growth of other years says."""
    top = 1.0 if item.unit == "%" else math.inf
    return {name: min(max(found[name], 0.0), top) for name in ("estimate", "lower", "upper") if name in found}


def _outlook(rule: str | None, target: float | None, found: dict[str, Any]) -> str | None:
    if target is None or rule is None or "lower" not in found:
        return None
    low, high = found["lower"], found["upper"]
    if rule in ("le", "le_prev"):
        low, high, target = -high, -low, -target
    if found["method"] == "range":
        return "判断しない(幅だけ)"
    return "届く見込み" if low >= target else "届かない見込み" if high < target else "どちらともいえない"
