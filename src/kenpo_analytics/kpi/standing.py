"""Where do we stand? Every KPI of a month against its target, last year and the nation, with a status and a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.kpi import (
    NATION,
    Kpi,
    Target,
    in_year,
    kpi,
    kpis,
    targets,
    timings,
    version_at,
    versions,
)
from kenpo_analytics.errors import DefinitionError, EstimateError, ParameterError
from kenpo_analytics.kpi import judging
from kenpo_analytics.kpi.branches import eager, known_by
from kenpo_analytics.kpi.judging import MET, MISSED, RUNNING, UNKNOWN, YEAR_END
from kenpo_analytics.kpi.readings import Reading, published, readings
from kenpo_analytics.months import add_months, fiscal_year_of, format_month, parse_month
from kenpo_analytics.stats.proportions import newcombe, wilson

PLAN_BRANCH = "24"
"""The packaged targets are those of this branch."""
STATUSES = (MET, MISSED, RUNNING, UNKNOWN)
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "label", "short", "group", "kind", "unit"), pl.String),
    "digits": pl.Int64,
    "counts": pl.String,
    "fiscal_year": pl.Int64,
    "month": pl.Int64,
    "state": pl.String,
    "definition_version": pl.String,
    **dict.fromkeys(("numerator", "denominator", "estimate", "lower", "upper", "level"), pl.Float64),
    **dict.fromkeys(("method", "rule"), pl.String),
    **dict.fromkeys(("last_numerator", "last_denominator"), pl.Float64),
    **dict.fromkeys(("target", "gap", "last_year", "change", "change_lower", "change_upper", "national"), pl.Float64),
    "national_month": pl.Int64,
    **dict.fromkeys(("distance_target", "distance_national"), pl.Float64),
    **dict.fromkeys(("status", "reason", "note", "target_source", "national_source"), pl.String),
}


def status(
    monthly: Any,
    *,
    month: int | str,
    branch: str,
    use: Literal["latest", "final"] = "latest",
    plan: Sequence[Target] | None = None,
    nation: Any = None,
    level: float = 0.95,
    known_at: int | str | None = None,
) -> Any:
    """Where does every KPI of the fiscal year stand in a month?

    Parameters
    ----------
    monthly
        The table `kpi_monthly`, of any kind: totals by branch, KPI, month and definition version.
    month, branch
        Up to which month, and whose.
    use
        The latest month of the fiscal year, or the latest that is 確定.
    plan
        Targets; default those of the plan of 三重支部 for branch 24, none for others.
    nation
        Published values, as `published` gives them (the default); those known later (`as_of`) are not used.
    level
        Of the intervals.
    known_at
        The month of the page on which the nation's values stand, where it is a later one; default `month`.

    Returns
    -------
    One row per KPI in force, then ended ones and figures for reference that have a month in the data, then KPIs that
    nobody registered: kpi_id, label, short, group, kind, unit, digits, counts, fiscal_year, month (of the value),
    state, definition_version, numerator, denominator, estimate (shares as fractions, else in the unit), lower and
    upper (Wilson, shares of people or cases only), level, method, rule, target, gap (estimate - target; levels, and
    March), last_year (same month; not beside a 速報 value, which is not all there) with last_numerator and
    last_denominator, change with change_lower and change_upper (Newcombe; both months 確定), national with
    national_month, distance_target, distance_national (standard errors under the reference value; same month of the
    year only), status, reason, note, target_source and national_source (documents).

    Notes
    -----
    Never compared: values under different definition versions, nor a part-year sum with a full year. Before March a
    KPI is 進捗中, unless a sum over a fixed base has already reached its target. The reason tells the level it runs
    at, by the interval where there is one; of a share whose numerator follows its denominator (`Kpi.timing`) not.
    """
    if use not in ("latest", "final"):
        raise ParameterError(f"useの指定が違います: 「{use}」", hint="latest か final です。")
    at = parse_month(month)
    held = readings(monthly, branch=branch, month=at)
    known = None if known_at is None else parse_month(known_at)
    return frames.small(stand(held, at, branch, use, plan, nation, level, known), frames.source_of(monthly))


def stand(
    held: Mapping[str, list[Reading]],
    at: int,
    branch: str,
    use: str,
    plan: Sequence[Target] | None = None,
    nation: Any = None,
    level: float = 0.95,
    known_at: int | None = None,
) -> pl.DataFrame:
    """The rows of `status`, from what `readings` gave."""
    demands = {t.kpi_id: t for t in _plan(plan, branch) if t.fiscal_year == fiscal_year_of(at)}
    known = known_by(published() if nation is None else eager(nation), month=known_at or at)
    national = known.filter(pl.col("area") == NATION, pl.col("month") <= at)
    plans = [k for k in in_year(fiscal_year_of(at)) if k.kind != "reference"]
    shown = [*plans, *(k for k in kpis() if k not in plans and _begun(held.get(k.id, []), at))]
    rows = [_row(k, held.get(k.id, []), at, demands.get(k.id), national, use, level) for k in shown]
    rows += [_strange(id, at) for id in held if id not in {k.id for k in kpis()}]
    return pl.DataFrame(rows, schema=_SCHEMA)


def compare(
    monthly: Any, kpi_id: str, *, month: int | str, earlier: int | str, branch: str, level: float = 0.95
) -> dict[str, Any]:
    """How far has a KPI moved between two months?

    Returns a row: kpi_id, month, earlier, definition_version, estimate, before, change, lower, upper (Newcombe; null
    where the KPI is no share of people or cases).

    Raises
    ------
    DefinitionError
        The two months are counted under different definition versions, or one is part of a year and they are not the
        same month of the year: no number is given.
    EstimateError
        A month is not there.
    """
    later, first, item = parse_month(month), parse_month(earlier), kpi(kpi_id)
    held = readings(monthly, branch=branch, month=max(later, first)).get(kpi_id, [])
    now = _official(item, held, later)
    if now is None or not any(r.month == first for r in held):
        raise EstimateError(f"{item.label}の{format_month(later if now is None else first)}の実績がありません。")
    before = _find(held, first, now.version)
    if before is None:
        raise DefinitionError(
            f"{item.label}は{format_month(first)}と{format_month(later)}で定義の版が違うため、比較しません。{_why(item)}"
        )
    if item.accumulates != "level" and first % 100 != later % 100:
        raise DefinitionError(f"{item.label}は年度の累計のため、年度の同じ月とだけ比べます。")
    return {
        "kpi_id": kpi_id,
        "month": later,
        "earlier": first,
        "definition_version": now.version,
        "estimate": now.value,
        "before": before.value,
        **_change(item, now, before, level),
    }


def _plan(plan: Sequence[Target] | None, branch: str) -> Sequence[Target]:
    return plan if plan is not None else targets() if branch == PLAN_BRANCH else ()


def _begun(held: list[Reading], at: int) -> bool:
    return any(fiscal_year_of(r.month) == fiscal_year_of(at) for r in held)


def _why(item: Kpi) -> str:
    return " ".join(v.break_reason for v in versions(item.id) if v.break_reason)


def _find(held: list[Reading], month: int, version: str) -> Reading | None:
    return next((r for r in held if r.month == month and r.version == version), None)


def _official(item: Kpi, held: list[Reading], month: int) -> Reading | None:
    """The month as it is officially counted, else as it was reported at all."""
    found = [r for r in held if r.month == month]
    return _find(found, month, version_at(item.id, month).version) or (found[-1] if found else None)


def _row(
    item: Kpi,
    held: list[Reading],
    at: int,
    demand: Target | None,
    national: pl.DataFrame,
    use: str,
    level: float,
) -> dict[str, Any]:
    year = fiscal_year_of(at)
    row: dict[str, Any] = {name: getattr(item, name) for name in ("label", "short", "group", "kind", "unit", "digits")}
    row |= {"kpi_id": item.id, "counts": item.counts, "fiscal_year": year, "rule": demand.rule if demand else None}
    official = version_at(item.id, at).version
    begun = [r for r in held if fiscal_year_of(r.month) == year]
    usable = [r for r in begun if r.version == official and (use == "latest" or r.final)]
    now = usable[-1] if usable else None
    goal, lacking = judging.goal(item, demand, held, year, official)
    row |= {"target": goal, "target_source": judging.source(demand, year) if demand else None}
    row |= _nation(item, national, now, at, official)
    if now is None:
        return row | {"status": UNKNOWN, "reason": _absent(begun, official, use), "definition_version": official}
    measured = _measured(item, now, goal, row["national"], row["national_month"], held, level)
    return row | measured | judging.verdict(item, demand, now, goal, lacking, usable, measured)


def _absent(begun: list[Reading], official: str, use: str) -> str:
    if other := sorted({r.version for r in begun} - {official}):
        return f"定義の版が違う(実績は{'・'.join(other)}、この年度は{official})"
    return "この年度の確定した実績がない" if begun and use == "final" else "この年度の実績が届いていない"


def _measured(
    item: Kpi,
    now: Reading,
    goal: float | None,
    nation: float | None,
    nation_month: int | None,
    held: list[Reading],
    level: float,
) -> dict[str, Any]:
    before = _find(held, add_months(now.month, -12), now.version)
    moved = _change(item, now, before, level) if before is not None and before.final and now.final else {}
    limits: dict[str, Any] = {}
    if item.interval == "wilson":
        found = wilson(now.numerator, now.denominator, level=level)
        limits = {"lower": float(found.lower[0]), "upper": float(found.upper[0]), "level": level, "method": "wilson"}
    whole_year = item.accumulates == "level" or now.month % 100 == YEAR_END
    return {
        "month": now.month,
        "state": now.state,
        "definition_version": now.version,
        "numerator": now.numerator,
        "denominator": now.denominator,
        "estimate": now.value,
        "gap": None if goal is None or not whole_year else now.value - goal,
        "last_year": before.value if before is not None and now.final else None,
        "last_numerator": before.numerator if before is not None and now.final else None,
        "last_denominator": before.denominator if before is not None and now.final else None,
        "change": moved.get("change"),
        "change_lower": moved.get("lower"),
        "change_upper": moved.get("upper"),
        "distance_target": _distance(item, now, goal) if whole_year else None,
        "distance_national": _distance(item, now, nation) if nation_month == now.month else None,
        "note": _note(item, now, before, held),
        **limits,
    }


def _note(item: Kpi, now: Reading, before: Reading | None, held: list[Reading]) -> str | None:
    then, said = add_months(now.month, -12), []
    if item.timing == "window" and not (now.final and now.month % 100 == YEAR_END):
        said.append(next(row["why"] for row in timings() if row["kpi_id"] == item.id))
    if before is None and any(r.month == then for r in held):
        said.append(f"前年同月は定義の版が違うため比較しない。{_why(item)}")
    if before is not None and not (before.final and now.final):
        said.append("速報の月は、届いていない分だけ低いことがあるため、前年同月との差を出さない")
    return "。".join(said) or None


def _change(item: Kpi, now: Reading, before: Reading, level: float) -> dict[str, Any]:
    found: dict[str, Any] = {"change": now.value - before.value, "lower": None, "upper": None}
    if item.interval == "wilson":
        limits = newcombe(now.numerator, now.denominator, before.numerator, before.denominator, level=level)
        found |= {"lower": float(limits.lower[0]), "upper": float(limits.upper[0])}
    return found


def _distance(item: Kpi, now: Reading, reference: float | None) -> float | None:
    """How many standard errors lies a share from a reference, if the reference were true?"""
    if item.interval != "wilson" or reference is None or not 0 < reference < 1:
        return None
    assert now.denominator
    return (now.value - reference) / math.sqrt(reference * (1 - reference) / now.denominator)


def _nation(item: Kpi, national: pl.DataFrame, now: Reading | None, at: int, official: str) -> dict[str, Any]:
    """The nation's value of the same month, else the last one of the same version that covers a whole year."""
    rows = national.filter(pl.col("kpi_id") == item.id, pl.col("version") == official)
    month = at if now is None else now.month
    same = rows.filter(pl.col("month") == month)
    whole = rows.filter(~pl.col("part_year"), pl.col("month") <= month).sort("month").tail(1)
    for found in (same, whole):
        if len(found):
            value, month, source = (found[name][0] for name in ("value", "month", "source"))
            return {"national": item.of_printed(value), "national_month": month, "national_source": source}
    return {"national": None, "national_month": None}


def _strange(id: str, at: int) -> dict[str, Any]:
    return {
        "kpi_id": id,
        "label": id,
        "short": id,
        "group": "",
        "kind": "unknown",
        "fiscal_year": fiscal_year_of(at),
        "status": UNKNOWN,
        "reason": "登録されていないKPI",
    }
