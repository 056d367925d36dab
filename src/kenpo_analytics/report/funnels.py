"""Which areas stand out from others of their size? A funnel plot with limits that allow for over-dispersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import Col, Style, number
from kenpo_analytics.report._rows import Row, rows_of
from kenpo_analytics.report.style import COARSE, COLOURS, MARKERS, QUIET, STRONG, canvas, finish
from kenpo_analytics.stats.funnel import funnel_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, CENTRE, TAU, LEVEL, Z = "effective_expected", "funnel_centre", "funnel_tau", "funnel_level", "funnel_z"
_INNER = 0.95
_POINTS = 80


def funnel_plot(
    checked: Checked,
    *,
    title: str,
    label: str = "area",
    estimate: str = "estimate",
    style: Style = "index",
    measure: str = "地域差指数－1",
    highlight: str | None = None,
    names: Mapping[str, str] | None = None,
    numbers: bool = True,
) -> None:
    """Which areas lie outside what areas of their size usually show? A point per area, limits as curves.

    Needs the columns that `regional.funnel` adds. Solid: limits that allow for the differences usual between areas;
    dotted: limits of chance alone (Poisson), which large areas nearly always exceed. Areas outside the solid lines and
    `highlight` are named; what may not be shown is counted under the figure.
    """
    checked = must_be_checked(checked)
    rows = rows_of(checked, label, (estimate, SIZE, CENTRE, TAU, LEVEL, "funnel_lower", "funnel_upper"), names)
    drawn = [row for row in rows if row.has(estimate, SIZE, CENTRE, TAU, LEVEL)]
    if not drawn:
        raise ParameterError("ファネルに描く行がありません。", hint="regional.funnel を通した表を渡してください。")
    outside = _outside(drawn, estimate)
    with canvas(6.6, 4.0, title) as (figure, axes):
        sizes = [row[SIZE] for row in drawn]
        _curves(axes, drawn[0], np.geomspace(min(sizes) * 0.85, max(sizes) * 1.15, _POINTS), style)
        for row in drawn:
            strong, far = row.key == highlight, row in outside
            colour = STRONG if strong or far else COLOURS[0]
            axes.plot(
                row[SIZE], row[estimate], MARKERS[3] if strong else "o", color=colour, markersize=7 if strong else 4
            )
            if strong or far:
                axes.annotate(row.name, (row[SIZE], row[estimate]), (6, 4), textcoords="offset points")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: number(value, "count"))
        axes.yaxis.set_major_formatter(lambda value, _: number(value, style))
        axes.tick_params(axis="x", which="minor", labelbottom=False)
        axes.set_xlabel("期待件数（繰り返し受診を考慮した有効件数、対数目盛）")
        axes.set_ylabel(measure)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        alt = _alt(rows, drawn, outside, measure)
        columns: dict[str, Any] = {
            label: "",
            SIZE: Col("有効期待件数", "count"),
            estimate: Col(measure, style),
            "funnel_lower": Col("ファネルの範囲", style, upper="funnel_upper"),
            Z: Col("z", "number"),
        }
        finish(figure, checked, title=title, alt=alt, columns=columns if numbers else None, dpi=COARSE)


def funnel_outside(
    checked: Checked, *, label: str = "area", estimate: str = "estimate", names: Mapping[str, str] | None = None
) -> str:
    """Which areas lie outside the limits of `funnel_plot`? Names in the order of the rows, or なし; no masked ones."""
    needed = (estimate, "funnel_lower", "funnel_upper")
    rows = rows_of(must_be_checked(checked), label, needed, names)
    return _named(_outside([row for row in rows if row.has(*needed)], estimate))


def _outside(rows: list[Row], estimate: str) -> list[Row]:
    return [row for row in rows if not row["funnel_lower"] <= row[estimate] <= row["funnel_upper"]]


def _curves(axes: Axes, row: Row, sizes: Any, style: Style) -> None:
    """Three pairs of limits about the centre."""
    centre, tau2, level = 1 + row[CENTRE], row[TAU] ** 2, row[LEVEL]
    words = f"{100 * level:g}%"
    for limit, spread, line, text in (
        (level, tau2, "-", f"{words}（地域間のばらつきを考慮）"),
        (_INNER, tau2, "--", f"{100 * _INNER:g}%（同）"),
        (level, 0.0, ":", f"{words}（偶然だけ）"),
    ):
        found = funnel_limits(sizes, centre=centre, tau2=spread, level=limit)
        axes.plot(sizes, found.lower - 1, linestyle=line, color=".35", linewidth=1.1, label=text)
        axes.plot(sizes, found.upper - 1, linestyle=line, color=".35", linewidth=1.1)
    axes.axhline(row[CENTRE], color=QUIET, linewidth=0.9, label=f"平均 {number(row[CENTRE], style)}")


def _alt(rows: list[Row], drawn: list[Row], outside: list[Row], measure: str) -> str:
    hidden = len(rows) - len(drawn)
    note = f"表示しない項目{hidden}。" if hidden else ""
    return f"{len(drawn)}地域の{measure}のファネルプロット。範囲の外: {_named(outside)}。{note}"


def _named(rows: list[Row]) -> str:
    return "、".join(row.name for row in rows) or "なし"
