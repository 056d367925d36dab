"""How has one KPI run, in a small drawing? Timelines as SVG text: breaks are gaps, events thin numbered lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

from kenpo_analytics.definitions.calendar import CHANGE, Event
from kenpo_analytics.definitions.kpi import kpi
from kenpo_analytics.months import month_index
from kenpo_analytics.report._format import DONE, Col, Style, number, of_row, write

WIDE, HIGH = 180.0, 104.0
LEFT, RIGHT, TOP, BOTTOM = 30.0, 176.0, 13.0, 92.0
STRONG, SOFT, GOAL, AHEAD = "#D55E00", "#8a8a8a", "#009E73", "#0072B2"


def timeline(
    rows: pl.DataFrame,
    *,
    first: int,
    last: int,
    target: float | None = None,
    landing: Mapping[str, Any] | None = None,
    marks: Sequence[tuple[int, Event]] = (),
) -> str:
    """The months of one KPI as an SVG drawing, with what it says as its text alternative.

    `rows` are those of `kpi.monthly_series` after the check (one KPI); `first` and `last` the months at both ends.
    No line crosses a change of the definition, nor a fiscal year where the KPI starts anew in April; a month that may
    not be shown breaks the line. `marks` are events with their number; `landing` a row of the landing.
    """
    rows = rows.filter(pl.col("month").is_between(first, last)).sort("month")
    held = [value for value in rows["estimate"].to_list() if value is not None]
    ends = [landing[name] for name in ("lower", "upper") if landing and landing[name] is not None]
    low, high = _range([*held, *ends, *([] if target is None else [target])])
    place = _Place(month_index(first), month_index(last), low, high)
    parts = [*_frame(place, first, last), *_events(place, marks)]
    parts += [_words(LEFT - 2, place.y(value) + 3, text, "end") for value, text in _scale(rows, low, high)]
    if target is not None:
        y = place.y(target)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="{GOAL}" stroke-dasharray="5 2 1 2" fill="none"/>')
    for piece, late, now in _pieces(rows, last):
        parts.append(_line(place, piece, late=late, now=now))
    parts += [_upright(place, month) for month in breaks(rows)]
    if len(ends) == 2:
        top, foot = place.y(ends[1]), place.y(ends[0])
        parts.append(f'<path d="M{RIGHT} {top:.1f}V{foot:.1f}" stroke="{AHEAD}" stroke-width="2.4"/>')
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDE:g} {HIGH:g}" role="img" aria-label="{escape(_said(rows))}" '
        f'font-size="7.5" fill="none" stroke-linejoin="round">{body}</svg>'
    )


class _Place:
    """Where a month and a value lie in the drawing."""

    def __init__(self, first: int, last: int, low: float, high: float) -> None:
        self.first, self.last, self.low, self.high = first, last, low, high

    def x(self, index: float) -> float:
        return LEFT + (RIGHT - LEFT) * (index - self.first) / max(1, self.last - self.first)

    def y(self, value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low)


def _range(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _scale(rows: pl.DataFrame, low: float, high: float) -> list[tuple[float, str]]:
    if not len(rows):
        return []
    unit, digits = rows["unit"][0], rows["digits"][0]
    whole = list(range(math.ceil(low), math.floor(high) + 1)) if high - low < 20 and not digits and unit != "%" else []
    if unit == DONE:
        return [(float(value), DONE if value else f"未{DONE}") for value in whole if value in (0, 1)]
    if whole:
        return [(float(value), f"{value:,}") for value in dict.fromkeys((whole[0], whole[-1]))]
    style: Style = "percent" if unit == "%" else "number"
    places = (0 if high - low > 0.05 else digits) if unit == "%" else (0 if high - low > 20 else digits)
    room = 0.08 * (high - low)
    return [(value, number(value, style, places)) for value in (low + room, high - room)]


def _frame(place: _Place, first: int, last: int) -> list[str]:
    parts = [f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="#999" stroke-width=".7"/>']
    for index in range(place.first, place.last + 1):
        if index % 12 == 3:
            x = place.x(index)
            parts.append(f'<path d="M{x:.1f} {BOTTOM}v2.5" stroke="#777" stroke-width=".7"/>')
            parts.append(_words(x, BOTTOM + 9.5, f"{index // 12 % 100:02d}年度", "start"))
    return parts


def _events(place: _Place, marks: Sequence[tuple[int, Event]]) -> list[str]:
    parts, used = [], -99.0
    for name, event in marks:
        begin = max(place.first, month_index(event.month))
        x = place.x(begin)
        if event.until_month is not None:
            end = place.x(min(place.last, month_index(event.until_month)))
            parts.append(f'<rect x="{x:.1f}" y="{TOP}" width="{end - x:.1f}" height="{BOTTOM - TOP}" fill="#efefef"/>')
        elif not event.id.startswith(CHANGE):  # the break itself is drawn
            dash = ' stroke-dasharray="1.5 1.5"' if event.status == "仮定" else ""
            parts.append(f'<path d="M{x:.1f} {TOP}V{BOTTOM}" stroke="#666" stroke-width=".45"{dash}/>')
        used = max(x, used + 8.0)
        parts.append(_words(used, TOP - 3, str(name), "middle"))
    return parts


def _pieces(rows: pl.DataFrame, last: int) -> list[tuple[list[dict[str, Any]], bool, bool]]:
    """The stretches that may be joined: rows, whether 速報, whether of the fiscal year at the end."""
    found: list[tuple[list[dict[str, Any]], bool, bool]] = []
    if not len(rows):
        return found
    anew = kpi(rows["kpi_id"][0]).accumulates in ("base", "both")
    end = (last // 100) - (last % 100 < 4)
    before: dict[str, Any] | None = None
    for row in rows.sort("definition_version", "month").to_dicts():
        late, now = row["state"] != "final", row["fiscal_year"] == end
        joined = (
            before is not None
            and row["estimate"] is not None
            and before["estimate"] is not None
            and month_index(row["month"]) == month_index(before["month"]) + 1
            and row["definition_version"] == before["definition_version"]
            and not (anew and row["fiscal_year"] != before["fiscal_year"])
        )
        if joined and found[-1][1:] == (late, now):
            found[-1][0].append(row)
        elif row["estimate"] is not None:
            found.append(([*([before] if joined and before else []), row], late, now))
        before = row
    return found


def _line(place: _Place, rows: Sequence[Mapping[str, Any]], *, late: bool, now: bool) -> str:
    points = [(place.x(month_index(row["month"])), place.y(row["estimate"])) for row in rows]
    colour = STRONG if now else SOFT
    dash = ' stroke-dasharray="1 2"' if not rows[-1]["official"] else ' stroke-dasharray="3 1.5"' if late else ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    drawn = f'<path d="{path}" stroke="{colour}" stroke-width="{1.6 if now else 1.1}"{dash}/>'
    if late or len(points) == 1:
        x, y = points[-1]
        drawn += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8" fill="{"#fff" if late else colour}" stroke="{colour}"/>'
    return drawn


def breaks(rows: pl.DataFrame) -> list[int]:
    """The months in which another way of counting is first in force: where the series must not be read across."""
    spans = rows.group_by("definition_version").agg(pl.col("month").min().alias("first")).sort("first")
    return [int(month) for month in spans["first"].to_list()[1:]]


def _upright(place: _Place, month: int) -> str:
    x = place.x(month_index(month) - 0.5)
    return f'<path d="M{x:.1f} {TOP}V{BOTTOM}" stroke="#000" stroke-width="1" stroke-dasharray="3 2"/>' + _words(
        x + 1.5, TOP + 6, "定義変更", "start"
    )


def _words(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'


def _said(rows: pl.DataFrame) -> str:
    shown = rows.drop_nulls("estimate").sort("month").tail(1)
    if not len(shown):
        return "表示できる値なし"
    row = shown.to_dicts()[0]
    text = write(row["estimate"], "shown", of_row(Col("", "unit"), row))
    return f"{row['short']}の推移。{number(row['month'], 'month')}は{text}"
