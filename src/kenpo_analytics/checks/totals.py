"""Can the monthly totals of the KPIs (kpi_monthly) be? Judged by the registry, told by KPI and month, not by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.checks.opened import FIRST, ROW, Opened, finding, why_not
from kenpo_analytics.checks.rules import State
from kenpo_analytics.definitions.kpi import Kpi, kpis, versions, why_impossible
from kenpo_analytics.months import fiscal_year_of, format_month

TABLE = "kpi_monthly"
NEEDS = ("branch", "kpi_id", "month", "definition_version", "numerator")
RULES = {
    "kpi_unknown": "kpi_id",
    "kpi_version": "definition_version",
    "kpi_total": "numerator",
    "kpi_falls": "numerator",
}
"""Which column each rule speaks of."""
_GROWING = {"base": ("numerator",), "both": ("numerator", "denominator")}
Row = dict[str, Any]


def totals_results(opened: Opened) -> list[dict[str, Any]]:
    """Which rows tell of no KPI, of no version of it, or hold totals that cannot be; which yearly sums fall?

    Unknown ids and versions and impossible totals (`why_impossible`) are errors. A sum over the fiscal year that is
    lower than in the month before it, of one branch and version, is a warning: corrections may take people away.
    """
    if not set(NEEDS) <= set(opened.readable):
        return [finding(TABLE, column, rule, why_not(opened, NEEDS), 0, 0) for rule, column in RULES.items()]
    rows, known = _rows(opened), {item.id: item for item in kpis()}
    ways = {id: {v.version for v in versions(id)} for id in known}
    registered = [row for row in rows if row["kpi_id"] in known]
    impossible = [(row, why) for row in registered if (why := _why(known[row["kpi_id"]], row))]
    growing = [row for row in registered if known[row["kpi_id"]].accumulates in _GROWING]
    bad = {
        "kpi_unknown": ([row for row in rows if row["kpi_id"] not in known], len(rows)),
        "kpi_version": ([r for r in registered if r["definition_version"] not in ways[r["kpi_id"]]], len(registered)),
        "kpi_total": ([row for row, _ in impossible], len(registered)),
        "kpi_falls": (_falls(growing, known), len(growing)),
    }
    whys = {id(row): f": {why}" for row, why in impossible}
    return [_finding(opened, rule, found, of, known, whys) for rule, (found, of) in bad.items()]


def _rows(opened: Opened) -> list[Row]:
    """The rows that say of which KPI and month they are; the others break the rules of emptiness and of months."""
    kept = [
        *NEEDS,
        *(name for name in ("denominator",) if name in opened.readable),
        *([ROW] if opened.numbered else []),
    ]
    month = pl.col("month").cast(pl.Int64, strict=False)
    held = frames.collect(opened.lazy.select(*kept)).with_columns(month=month)
    held = held.drop_nulls(list(NEEDS[:4])).filter((pl.col("month") % 100).is_between(1, 12))
    return held.sort(*NEEDS[:4], *held.columns).to_dicts()


def _why(item: Kpi, row: Row) -> str | None:
    below = row.get("denominator") if item.denominator else None
    return why_impossible(item, row["numerator"], below, empty=True)


def _falls(rows: Sequence[Row], known: Mapping[str, Kpi]) -> list[Row]:
    """The rows whose sum is lower than that of the last earlier month of the fiscal year."""
    last: dict[tuple[Any, ...], Row] = {}
    fallen = []
    for row in sorted(rows, key=lambda row: row["month"]):
        if row["numerator"] is None:
            continue
        series = row["branch"], row["kpi_id"], row["definition_version"], fiscal_year_of(row["month"])
        before, last[series] = last.get(series), row
        names = _GROWING[known[row["kpi_id"]].accumulates]
        if before is not None and any((row.get(n) or 0) < (before.get(n) or 0) for n in names):
            fallen.append(row | {"before": before["month"]})
    return fallen


def _finding(
    opened: Opened, rule: str, found: list[Row], of: int, known: Mapping[str, Kpi], whys: Mapping[int, str]
) -> dict[str, Any]:
    state: State = "not_evaluated" if not of else "fail" if found else "pass"
    numbers = sorted(row[ROW] for row in found)[:FIRST] if opened.numbered and found else None
    first = sorted(found, key=lambda row: row.get(ROW, 0))[:FIRST]
    detail = "、".join(f"{_told(row, rule, known)}{whys.get(id(row), '')}" for row in first)
    return finding(TABLE, RULES[rule], rule, state, len(found), of, numbers, detail or None)


def _told(row: Row, rule: str, known: Mapping[str, Kpi]) -> str:
    """KPI and month, and what is wrong with its words."""
    item, month = known.get(row["kpi_id"]), format_month(row["month"])
    name = item.short if item else f"「{row['kpi_id']}」"
    if rule == "kpi_version":
        ways = "・".join(v.version for v in versions(row["kpi_id"]))
        return f"{name} {month}「{row['definition_version']}」(ある版: {ways})"
    return f"{name} {format_month(row['before'])}→{month}" if "before" in row else f"{name} {month}"
