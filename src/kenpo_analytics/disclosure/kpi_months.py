"""Which months of a branch's KPIs may be shown, decided once for every table of a page? And what gives one back?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics.definitions.kpi import kpis, targets
from kenpo_analytics.disclosure.nested import too_close
from kenpo_analytics.months import add_months, fiscal_year_of

Month = tuple[str, int]
Row = Mapping[str, Any]
_PAST = ("development_factor", "ets", "range")


@dataclass(frozen=True)
class Hidden:
    """Months (kpi_id, month) whose numerator (`tops`) or denominator (`unders`) must not be shown, in no table."""

    floor: float
    tops: set[Month] = field(default_factory=set)
    unders: set[Month] = field(default_factory=set)

    def share(self, id: str, month: int | None) -> bool:
        """Is the value of this month hidden?"""
        return (id, month) in self.tops or (id, month) in self.unders

    def past(self, id: str, before: int, months: tuple[int, ...]) -> bool:
        """Is one of these calendar months hidden in an earlier fiscal year?"""
        return any(
            key == id and fiscal_year_of(month) < before and month % 100 in months
            for key, month in self.tops | self.unders
        )


def hidden_months(series: pl.DataFrame | None, floor: float) -> Hidden:
    """Which months are 1 to 9 people, or that close to a shown month of the same running sum?

    `series`: `kpi.monthly_series`. Of each fiscal year the last month stays first (March of past years is the year-end,
    the target and the start of projections), then the last final one, then the months before, newest first.
    """
    hidden = Hidden(floor)
    if series is None or not series.height:
        return hidden
    for rows in _runs(series.filter(pl.col("counts") == "people")):
        _decide(rows, hidden)
    return hidden


def _runs(series: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """The months of each running sum, in the order in which they may stay. Of a level each month stands alone."""
    sums = {item.id for item in kpis() if item.accumulates in ("base", "both")}
    runs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in series.sort("month", descending=True).to_dicts():
        run = fiscal_year_of(row["month"]) if row["kpi_id"] in sums else row["month"]
        runs.setdefault((row["kpi_id"], row["definition_version"], run), []).append(row)
    for rows in runs.values():
        first = next((row for row in rows[1:] if row["state"] == "final"), rows[0])
        yield sorted(rows, key=lambda row: (row is not rows[0], row is not first))


def _decide(rows: list[dict[str, Any]], hidden: Hidden) -> None:
    grows = {item.id for item in kpis() if item.accumulates == "both"}  # the denominator is a running sum too
    tops: list[float] = []
    unders: list[float] = []
    for row in rows:
        key, top, under = (row["kpi_id"], row["month"]), row["numerator"], row["denominator"]
        if small(top, hidden.floor) or (top is not None and too_close(top, tops, hidden.floor)):
            hidden.tops.add(key)
        elif top is not None:
            tops.append(top)
        near = key[0] in grows and under is not None and too_close(under, unders, hidden.floor)
        if small(under, hidden.floor) or near:
            hidden.unders.add(key)
        elif under is not None:
            unders.append(under)


def small(value: float | None, floor: float) -> bool:
    """1 to 9 people, or as many taken away?"""
    return value is not None and 1 <= abs(value) < floor


def behind(row: Row, hidden: Hidden) -> dict[str, bool]:
    """What must not be shown of one row of a KPI of people, by the kind of number?

    top, under, last_top, last_under: the counts; now, then, both: what is made of this month, of last year's, of
    both; goal: a target that is last March's value; gap: what is still lacking of it; latest: the latest month's;
    place: the rank; past: a projection from past years; arrived: a total beside the branch's own count.
    """
    id, month = row["kpi_id"], row.get("month")
    if row["counts"] != "people":
        return dict.fromkeys(KINDS, False)
    tops = [small(row.get(name), hidden.floor) for name in ("numerator", "last_numerator")]
    unders = [small(row.get(name), hidden.floor) for name in ("denominator", "last_denominator")]
    months = [month, None if month is None else add_months(month, -12)]
    top, last_top = (own or (id, at) in hidden.tops for own, at in zip(tops, months, strict=True))
    under, last_under = (own or (id, at) in hidden.unders for own, at in zip(unders, months, strict=True))
    now, then = top or under, (last_top or last_under) and "last_numerator" in row
    now = now or (month is not None and "centre" in row and _charted(id, month, hidden))
    goal = _goal(row, hidden)
    projected = row.get("method") in _PAST and _projected(row, hidden)
    latest = row.get("latest_month")
    found = {"top": top, "under": under, "last_top": last_top, "last_under": last_under, "now": now, "then": then}
    return found | {
        "both": now or then,
        "goal": goal,
        "gap": now or goal,
        "latest": hidden.share(id, latest),
        "latest_gap": hidden.share(id, latest) or goal,
        "place": now or hidden.share(id, row.get("rank_month")),
        "past": now or projected,
        "arrived": hidden.share(id, row.get("arrived_month")),
    }


KINDS = (
    *("top", "under", "last_top", "last_under", "now", "then", "both"),
    *("goal", "gap", "latest", "latest_gap", "place", "past", "arrived"),
)


def _projected(row: Row, hidden: Hidden) -> bool:
    """Does a projection, or the test of one, grow from a hidden month of a past year, or to a hidden March?"""
    month = row["calendar_month"] if "calendar_month" in row else row["month"] % 100
    return hidden.past(row["kpi_id"], row.get("fiscal_year", 9999), (3, month))


def _goal(row: Row, hidden: Hidden) -> bool:
    """Is the target the value of a hidden March?"""
    year = row.get("fiscal_year")
    demands = (t for t in targets() if t.kpi_id == row["kpi_id"] and t.fiscal_year == year)
    return any(t.rule in ("ge_prev", "le_prev") and hidden.share(t.kpi_id, t.fiscal_year * 100 + 3) for t in demands)


def _charted(id: str, month: int, hidden: Hidden) -> bool:
    """A chart shows what a month added, less the same a year before: with its neighbours it would give one back."""
    used = [month, add_months(month, -12)]
    before = [] if month % 100 == 4 else [add_months(month, -1), add_months(month, -13)]
    return any(hidden.share(id, at) for at in (*used, *before))
