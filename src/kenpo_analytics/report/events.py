"""What happened when? Events of the calendar on a trend: thin numbered lines, and the table that says what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kenpo_analytics.definitions.calendar import CHANGE, Event
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.report._emit import emit_html
from kenpo_analytics.report.record import _table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbered = Sequence[tuple[int, Event]]
SAID = "縦の細線と番号はできごとの表のとおり(点線は日付が仮定、灰の帯は続いた期間)。"


def numbered(events: Sequence[Event], affects: str | None = None) -> list[tuple[int, Event]]:
    """The events with their numbers on the page; only those that affect a KPI or a subject, if one is named."""
    marks = list(enumerate(events, 1))
    return marks if affects is None else [(n, event) for n, event in marks if {"all", affects} & set(event.affects)]


def in_years(month: int) -> float:
    """Where a month lies on an axis of fiscal years, whose values stand in the middle of the year."""
    return fiscal_year_of(month) - 0.5 + (month % 100 - 4) % 12 / 12


def draw_events(axes: Axes, marks: Numbered, place: Callable[[int], float], *, low: float, high: float) -> None:
    """Thin upright lines at the beginning of each event, its number above; a grey band where it lasted.

    `place` says where a month (YYYYMM) lies on the axis, `low` and `high` where the axis ends. A change of definition
    has its number only: the break itself is drawn by the figure.
    """
    figure, cell = axes.get_figure(root=True), axes.get_subplotspec()
    inches = (figure.get_figwidth() if figure else 7.0) / (cell.get_gridspec().ncols if cell else 1)
    room = (high - low) * 0.13 / inches  # a number of two digits
    top, used = axes.get_xaxis_transform(), low - high
    for number, event in marks:
        x, end = place(event.month), place(event.until_month or event.month)
        if end < low or x > high:
            continue
        x, end = max(x, low), min(end, high)
        if event.until_month is not None:
            axes.axvspan(x, end, color=".92", linewidth=0, zorder=0)
        elif not event.id.startswith(CHANGE):
            stroke = ":" if event.status == "仮定" else "-"
            axes.axvline(x, color=".45", linewidth=0.7, linestyle=stroke, zorder=1)
        used = max(x, used + room)
        axes.text(used, 1.0, str(number), transform=top, fontsize=7, color=".25", ha="center", va="bottom")


def event_table(events: Sequence[Event], *, title: str = "図に示したできごと") -> None:
    """Which events are drawn on this page? Number, date, what happened, and the source, if one confirms the date."""
    rows = [
        (
            str(n),
            _when(event),
            event.label,
            f"【{event.status}】" if event.status == "仮定" else event.status,
            event.source,
        )
        for n, event in enumerate(events, 1)
    ]
    note = "【仮定】は、出典で日付を確かめられていないもの。できごとと値の動きの関係を示すものではない。"
    html = _table(title, ("番号", "時期", "できごと", "区分", "出典"), rows, note)
    emit_html(html, f"<表: {title}>")


def _when(event: Event) -> str:
    until = "" if event.until is None else f"～{event.until.year}年{event.until.month}月{event.until.day}日"
    return f"{event.date.year}年{event.date.month}月{event.date.day}日{until}"
