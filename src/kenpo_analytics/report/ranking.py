"""How do areas or groups compare? Dots and bars with intervals, sorted, one of them picked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import Col, Style, number
from kenpo_analytics.report._rows import Row, extremes, rows_of
from kenpo_analytics.report.style import COLOURS, HATCHES, MARKERS, PLAIN, QUIET, STRONG, canvas, finish
from kenpo_analytics.report.texts import paragraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def interval_plot(
    checked: Checked | None,
    *,
    title: str,
    label: str = "area",
    estimate: str = "estimate",
    lower: str = "lower",
    upper: str = "upper",
    style: Style = "number",
    measure: str = "推定値",
    highlight: str | None = None,
    reference: float | str | None = None,
    reference_label: str = "基準",
    sort: bool = True,
    names: Mapping[str, str] | None = None,
    instead: str | None = None,
    digits: int | None = None,
    numbers: bool = True,
    empty: str = "",
) -> None:
    """Which estimates differ from the reference, given their intervals? A dot and a line per row.

    `highlight` is the value of `label` to pick out; `reference` a number, or the column that holds it. Rows that may
    not be shown stay, with their mark, or with the text of the column `instead` (識別不能, 推定せず: a forest of
    designs shows those that gave no number, too). `numbers` False where the page has a table of the same rows.
    None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    rows = rows_of(checked, label, (estimate, lower, upper), names)
    reference = checked.table[reference][0] if isinstance(reference, str) else reference
    if instead is not None:
        words = checked.table[instead].to_list()
        rows = [row if row.has(estimate) else replace(row, mark=word) for row, word in zip(rows, words, strict=True)]
    ordered = _ordered(rows, estimate) if sort else rows[::-1]  # the first row on top, drawn last
    with canvas(7.2, 1.3 + 0.24 * len(rows), title) as (figure, axes):
        _reference(axes, reference, reference_label, style, digits)
        for y, row in enumerate(ordered):
            strong = row.key == highlight
            colour = STRONG if strong else COLOURS[0]
            if row.has(lower, upper):
                axes.plot([row[lower], row[upper]], [y, y], color=colour, linewidth=2.4 if strong else 1.4)
            if row.has(estimate):
                axes.plot(row[estimate], y, MARKERS[3] if strong else "o", color=colour, markersize=7 if strong else 5)
            else:
                _mark(axes, y, row.mark)
        _name_rows(axes, [row.name for row in ordered], [row.key == highlight for row in ordered])
        _scale(axes, style, f"{measure}（点）と信頼区間（線）", digits)
        picked = _picked(rows, highlight, estimate, style)
        columns = _numbers(label, estimate, lower, upper, style, measure, digits)
        alt = f"{len(rows)}項目の{measure}と信頼区間。{extremes(rows, estimate, style)}{picked}"
        finish(figure, checked, title=title, alt=alt, columns=columns if numbers else None)


def bar_rank(
    checked: Checked,
    *,
    title: str,
    label: str = "branch",
    estimate: str = "estimate",
    lower: str | None = "lower",
    upper: str | None = "upper",
    rank: str | None = "rank",
    rank_direction: str = "",
    style: Style = "index",
    measure: str = "地域差指数－1",
    highlight: str | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Where does a branch stand among all? Bars from the largest to the smallest, with intervals and rank.

    `rank_direction` says what rank 1 means (小さい順、大きい順); it is printed. `lower=None` draws bars that have no
    interval (complete counts, such as the share of missing values). Where `<rank>_lower` and `<rank>_upper` are in the
    table (`regional.ranks`), each rank is printed with its interval.
    """
    checked = must_be_checked(checked)
    present = checked.table.columns
    ranked = rank if rank is not None and rank in present else None
    places = tuple(f"{ranked}_{end}" for end in ("lower", "upper") if f"{ranked}_{end}" in present)
    limits = (lower, upper) if lower and upper else ()
    values = (estimate, *limits, *([ranked] if ranked else []), *places)
    rows = _ordered(rows_of(checked, label, values, names), estimate)
    shown = [_place(row, ranked, places) for row in rows]
    with canvas(7.2, 1.3 + 0.19 * len(rows), title) as (figure, axes):
        for y, row in enumerate(rows):
            strong = row.key == highlight
            if not row.has(estimate):
                _mark(axes, y, row.mark)
                continue
            axes.barh(
                y,
                row[estimate],
                height=0.72,
                color=STRONG if strong else PLAIN,
                hatch=HATCHES[1] if strong else "",
                edgecolor="white",
                linewidth=0.3,
            )
            if limits and row.has(*limits):
                axes.plot([row[name] for name in limits], [y, y], color=".2", linewidth=1.1)
        axes.axvline(0, color=".3", linewidth=0.8)
        _name_rows(axes, shown, [row.key == highlight for row in rows], size=8.5)
        direction = f"、順位{'（区間）' if places else ''}は{rank_direction}" if ranked and rank_direction else ""
        _scale(axes, style, f"{measure}（棒）と信頼区間（線）{direction}" if limits else f"{measure}{direction}")
        picked = _picked(rows, highlight, estimate, style, ranked)
        alt = f"{len(rows)}項目の{measure}の横棒。{extremes(rows, estimate, style)}{picked}"
        columns: dict[str, Any] = {label: "", estimate: Col(measure, style)}
        if limits:
            columns[limits[0]] = Col("信頼区間", style, upper=limits[1])
        if ranked:
            columns[ranked] = Col("順位", "count")
        if places:
            columns[places[0]] = Col("順位の区間", "count", upper=places[1])
        finish(figure, checked, title=title, alt=alt, columns=columns)


def before_after(
    checked: Checked,
    *,
    title: str,
    group: str = "group",
    time: str = "time",
    estimate: str = "estimate",
    lower: str = "lower",
    upper: str = "upper",
    style: Style = "number",
    measure: str = "平均",
    names: Mapping[str, str] | None = None,
) -> None:
    """How did groups change from before to after? A line per group, labelled 単純前後比較.

    One row per group and time (the times in the order of the table; `names` says what their codes mean). People picked
    above a threshold improve by themselves (平均への回帰), which the figure says; it never stands alone as an effect.
    """
    checked = must_be_checked(checked)
    times = list(dict.fromkeys(str(value) for value in checked.table[time]))
    groups = list(dict.fromkeys(str(value) for value in checked.table[group]))
    full = f"{title}（単純前後比較）"
    alts = []
    with canvas(6.6, 4.2, full) as (figure, axes):
        for i, name in enumerate(groups):
            rows = rows_of(checked.where(**{group: name}), time, (estimate, lower, upper))
            _one_group(axes, rows, times, i, name, len(groups), (estimate, lower, upper))
            values = "→".join(number(row[estimate], style) if row.has(estimate) else row.mark for row in rows)
            alts.append(f"{name} {values}")
        meaning = dict(names or {})
        axes.set_xticks(range(len(times)), [meaning.get(key, key) for key in times])
        axes.set_xlim(-0.4, len(times) - 0.6)
        axes.yaxis.set_major_formatter(lambda value, _: number(value, style))
        axes.set_ylabel(f"{measure}と信頼区間")
        axes.set_xlabel("単純前後比較：基準値で選ばれた人は、事業がなくても平均に近づく（平均への回帰）")
        figure.legend(loc="outside right upper", frameon=False)
        columns = {group: "群"} | _numbers(time, estimate, lower, upper, style, measure)
        columns[time] = Col("時点", names=meaning)
        finish(figure, checked, title=full, alt=f"{measure}の前後。{'、'.join(alts)}。", columns=columns)


def _one_group(
    axes: Axes, rows: list[Row], times: list[str], i: int, name: str, groups: int, names: tuple[str, str, str]
) -> None:
    estimate, lower, upper = names
    shift = 0.06 * (i - (groups - 1) / 2)
    points = [(times.index(row.key) + shift, row) for row in rows if row.has(estimate)]
    colour = COLOURS[i % len(COLOURS)]
    xs, ys = [x for x, _ in points], [row[estimate] for _, row in points]
    axes.plot(xs, ys, marker=MARKERS[i % 7], color=colour, linestyle=["-", "--", "-.", ":"][i % 4], label=name)
    for x, row in points:
        if row.has(lower, upper):
            axes.plot([x, x], [row[lower], row[upper]], color=colour, linewidth=1.4)


def _place(row: Row, rank: str | None, limits: Sequence[str]) -> str:
    """ "三重 37位(29–44)": never more than may be shown."""
    if not rank or not row.has(rank):
        return row.name
    between = f"({row[limits[0]]:.0f}–{row[limits[1]]:.0f})" if limits and row.has(*limits) else ""
    return f"{row.name} {row[rank]:.0f}位{between}"


def _ordered(rows: Sequence[Row], estimate: str) -> list[Row]:
    """Largest on top (drawn last); rows without a number at the bottom."""
    shown = sorted((row for row in rows if row.has(estimate)), key=lambda row: (row[estimate], row.key))
    return [*(row for row in rows if not row.has(estimate)), *shown]


def _mark(axes: Axes, y: int, text: str) -> None:
    axes.text(0.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=QUIET)


def _reference(axes: Axes, value: float | None, label: str, style: Style, digits: int | None = None) -> None:
    if value is None:
        return
    axes.axvline(value, color=".25", linewidth=1, linestyle="--", label=f"{label} {number(value, style, digits)}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, borderaxespad=0)


def _name_rows(axes: Axes, names: Sequence[str], strong: Sequence[bool], size: float = 9.5) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(visible=False, axis="y")
    for tick, picked in zip(axes.get_yticklabels(), strong, strict=True):
        if picked:
            tick.set_color(STRONG)


def _scale(axes: Axes, style: Style, label: str, digits: int | None = None) -> None:
    axes.xaxis.set_major_formatter(lambda value, _: number(value, style, digits))
    axes.set_xlabel(label)


def _picked(rows: Sequence[Row], key: str | None, value: str, style: Style, rank: str | None = None) -> str:
    row = next((row for row in rows if row.key == key), None)
    if row is None:
        return ""
    place = f"（{row[rank]:.0f}位）" if rank and row.has(rank) else ""
    return f"強調した{row.name}は{number(row[value], style) if row.has(value) else row.mark}{place}。"


def _numbers(
    label: str, estimate: str, lower: str, upper: str, style: Style, measure: str, digits: int | None = None
) -> dict[str, Any]:
    return {label: "", estimate: Col(measure, style, digits), lower: Col("信頼区間", style, digits, upper=upper)}
