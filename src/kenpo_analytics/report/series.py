"""How does it run, and what is it made of? Curves with their bands, and contributions that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from kenpo_analytics.definitions.calendar import Event
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.months import month_index, parse_month
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import LABELS, MASK, Col, Style, names_of, number
from kenpo_analytics.report._rows import rows_of
from kenpo_analytics.report.events import draw_events, in_years, numbered
from kenpo_analytics.report.style import COARSE, COLOURS, HATCHES, QUIET, STROKES, canvas, finish
from kenpo_analytics.report.texts import paragraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TAIL = 0.5


def lines(
    checked: Checked | None,
    *,
    title: str,
    x: str,
    y: str = "estimate",
    lower: str | None = "lower",
    upper: str | None = "upper",
    group: str | None = None,
    style: Style = "percent",
    measure: str = "累積発生割合",
    x_label: str = "",
    step: bool = True,
    calendar: bool = False,
    names: Mapping[str, str] | None = None,
    events: Sequence[Event] = (),
    affects: str | None = None,
    coarse: bool = False,
    start: str = "",
    start_label: str = "開始とみなす月",
    empty: str = "",
) -> None:
    """How does it run over months? A line per group with its band; steps for cumulative incidence.

    Points that may not be shown break the line; nothing is drawn across the gap. With `calendar`, `x` holds months
    written YYYYMM, placed a month apart and named at each April. `events` (`definitions.calendar.events`) are drawn
    where `x` is such a month, or a fiscal year; `affects` (a KPI or subject) leaves out the others. `coarse` makes
    a smaller picture, for a few points on a full page. `start` (a month, with `calendar`) is marked by a line; the
    names then stand above the data. None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    from matplotlib.ticker import MaxNLocator

    checked = must_be_checked(checked)
    meaning = names or (names_of(group) if group else None) or {}
    keys = list(dict.fromkeys(checked.table[group].to_list())) if group else [None]
    alts = []
    with canvas(7.2, 4.2, title) as (figure, axes):
        for i, key in enumerate(keys):
            part = checked if group is None else checked.where(**{group: key})
            label = meaning.get(str(key), str(key)) if group else measure
            alts.append(_one_line(axes, part.table.sort(x), (x, y, lower, upper), i, label, step, style, calendar))
        axes.yaxis.set_major_formatter(lambda value, _: number(value, style))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if calendar:
            _aprils(axes, checked.table[x].drop_nulls().to_list())
        if style == "count":
            axes.set_ylim(bottom=0)  # a small dip in large counts must not look like a collapse
        elif not axes.get_ylim()[0] <= 0:
            axes.margins(y=0.1)
        if events:
            years = [float(year) for year in checked.table[x].drop_nulls()]
            low, high = axes.get_xlim() if calendar else (min(years) - 0.5, max(years) + 0.5)
            draw_events(axes, numbered(events, affects), month_index if calendar else in_years, low=low, high=high)
            axes.set_xlim(low, high)
        axes.set_ylabel(measure + ("（帯は信頼区間）" if lower else ""))
        axes.set_xlabel(x_label or Col(x).label)
        if start and calendar:
            begin = parse_month(start)
            axes.axvline(month_index(begin) - 0.5, color=QUIET, linewidth=1.2, linestyle=":", label=start_label)
            alts.append(f"点線は{start_label}({number(begin, 'month')})。")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=len(keys) + 1)
        elif group:
            counts = style == "count"  # from zero up: the foot of the figure is free
            axes.legend(loc="lower center" if counts else "upper left", frameon=False, ncols=len(keys) if counts else 1)
        columns: dict[str, Any] = {group: Col(LABELS.get(group, "系列"), names=meaning)} if group else {}
        columns |= {x: Col(x_label or x, "month" if calendar else "plain"), y: Col(measure, style)}
        if lower and upper:
            columns[lower] = Col("信頼区間", style, upper=upper)
        finish(
            figure,
            checked,
            title=title,
            alt=f"{measure}の推移。{''.join(alts)}",
            columns=columns,
            dpi=COARSE if coarse else None,
        )


def _one_line(
    axes: Axes,
    part: pl.DataFrame,
    names: tuple[str, str, str | None, str | None],
    i: int,
    label: str,
    step: bool,
    style: Style,
    calendar: bool,
) -> str:
    x, y, lower, upper = names
    xs = [month_index(month) for month in part[x]] if calendar else part[x].to_list()
    ys = part[y].cast(pl.Float64).fill_null(float("nan")).to_list()
    if step:  # the last level holds for a while too
        xs, ys = [*xs, xs[-1] + _TAIL], [*ys, ys[-1]]
    colour, stroke = COLOURS[i % len(COLOURS)], STROKES[i % len(STROKES)]
    where = "steps-post" if step else "default"
    axes.plot(xs, ys, color=colour, linestyle=stroke, drawstyle=where, label=label, marker="" if step else "o")
    if lower and upper:
        low, high = (part[name].cast(pl.Float64).fill_null(float("nan")).to_list() for name in (lower, upper))
        band: dict[str, Any] = {"color": colour, "alpha": 0.15, "linewidth": 0}
        if step:  # a box per level, since a step band leaves out the level before a gap
            for left, right, bottom, top in zip(xs, xs[1:], low, high, strict=False):
                axes.fill_between([left, right], bottom, top, **band)
        else:
            axes.fill_between(xs, low, high, **band)
    last = part.filter(pl.col(y).is_not_null()).tail(1)
    if not len(last):
        return f"{label}は表示できる値なし。"
    when = number(float(last[x][0]), "month") if calendar else last[x][0]
    return f"{label}は{when}で{number(float(last[y][0]), style)}。"


def _aprils(axes: Axes, months: Sequence[int]) -> None:
    """Name the fiscal years where they begin; every second one where there are many."""
    indices = sorted({month_index(month) for month in months})
    aprils = [index for index in range(indices[0], indices[-1] + 1) if index % 12 == 3]
    shown = aprils[:: 1 + len(aprils) // 7]
    axes.set_xticks(shown, [f"{index // 12}年4月" for index in shown])


def stacked_contributions(
    checked: Checked,
    *,
    title: str,
    category: str = "age_band",
    part: str = "visit_type",
    value: str = "contribution",
    style: Style = "index",
    measure: str = "地域差指数－1への寄与",
    names: Mapping[str, str] | None = None,
) -> None:
    """Which classes make the index? Bars by class, parts stacked apart by sign; a dot marks their sum.

    One row per category and part; where a part may not be shown, neither bar nor sum of that class is drawn.
    """
    checked = must_be_checked(checked)
    meaning = {"first": "初診", "return": "再診", "all": "計"} | dict(names or {})
    categories = list(dict.fromkeys(str(key) for key in checked.table[category]))
    parts = list(dict.fromkeys(str(key) for key in checked.table[part]))
    above, below, sums, broken = ([0.0] * len(categories) for _ in range(4))
    with canvas(7.2, 4.4, title) as (figure, axes):
        for i, key in enumerate(parts):
            rows = {row.key: row for row in rows_of(checked.where(**{part: key}), category, (value,))}
            label = meaning.get(key, key)
            for at, name in enumerate(categories):
                row = rows.get(name)
                if row is None or not row.has(value):
                    broken[at] = 1.0
                    continue
                base = above if row[value] >= 0 else below
                _bar(axes, at, row[value], base[at], i, label)
                base[at] += row[value]
                sums[at] += row[value]
                label = "_"
        drawn = [at for at in range(len(categories)) if not broken[at]]
        axes.plot(drawn, [sums[at] for at in drawn], "D", color="black", markersize=5, label="合計", linestyle="")
        _categories(axes, categories, broken)
        axes.yaxis.set_major_formatter(lambda tick, _: number(tick, style))
        axes.set_ylabel(measure)
        figure.legend(loc="outside right upper", frameon=False)
        alt = _contribution_alt(categories, sums, drawn, measure, style)
        columns: dict[str, Col | str] = {category: "", part: Col("区分", names=meaning), value: Col(measure, style)}
        finish(figure, checked, title=title, alt=alt, columns=columns, dpi=COARSE)


def _bar(axes: Axes, at: int, height: float, base: float, i: int, label: str) -> None:
    axes.bar(
        at,
        height,
        bottom=base,
        width=0.72,
        color=COLOURS[i % len(COLOURS)],
        hatch=HATCHES[i % len(HATCHES)],
        edgecolor="white",
        linewidth=0.3,
        label=label,
    )


def _categories(axes: Axes, categories: Sequence[str], broken: Sequence[float]) -> None:
    axes.set_xticks(range(len(categories)), categories, rotation=45, ha="right")
    axes.grid(visible=False, axis="x")
    axes.axhline(0, color=".3", linewidth=0.8)
    for at, missing in enumerate(broken):
        if missing:
            axes.text(at, 0, MASK, ha="center", va="bottom", fontsize=7, color=QUIET)


def _contribution_alt(
    categories: Sequence[str], sums: Sequence[float], drawn: Sequence[int], measure: str, style: Style
) -> str:
    if not drawn:
        return f"{measure}。表示できる値がありません。"
    top = max(drawn, key=lambda at: sums[at])
    low = min(drawn, key=lambda at: sums[at])
    total = "" if len(drawn) < len(categories) else f"合計は{number(sum(sums), style)}。"
    return (
        f"{measure}。最大は{categories[top]}の{number(sums[top], style)}、"
        f"最小は{categories[low]}の{number(sums[low], style)}。{total}"
    )
