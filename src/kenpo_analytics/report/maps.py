"""Where is it? Municipalities of Mie and the 47 prefectures, coloured by a checked value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import Col, Style, number
from kenpo_analytics.report._rows import Row, extremes, rows_of
from kenpo_analytics.report.areas import GEO_CREDIT, Ring, branch_names, municipality_names, outlines
from kenpo_analytics.report.style import STRONG, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEMBERS_ONLY = "（{branch}支部加入者に限る）"
_OKINAWA_SHIFT = (6.5, 13.4)
_REMOTE_SOUTH = 30.0
_CLASSES = 11
# crowded north and south of the bay: these names stand in the bay or beside the border, with a line to their place
_BESIDE = {
    "24303": (136.90, 35.10),
    "24324": (136.80, 35.235),
    "24343": (136.90, 35.015),
    "24344": (136.86, 34.935),
    "24442": (136.76, 34.70),
    "24461": (136.96, 34.62),
}


def municipality_map(
    checked: Checked,
    *,
    title: str,
    area: str = "municipality",
    value: str = "estimate",
    style: Style = "index",
    measure: str = "地域差指数－1",
    highlight: str | None = None,
    centre: float | None = 0.0,
    members_of: str | None = "三重",
    columns: Mapping[str, Col | str] | None = None,
    numbers: bool = True,
) -> None:
    """Which municipalities stand out? The 29 of Mie; what may not be shown is hatched, never coloured.

    `members_of` puts （三重支部加入者に限る） into the title; `centre` is the value in the middle of the colours (None
    for a scale from low to high). Rows of 県外 and 不明 are not on the map but in the number table (`numbers` False
    where the page has a table of the same rows).
    """
    full = title + (MEMBERS_ONLY.format(branch=members_of) if members_of else "")
    shapes = outlines("mie_municipalities", "municipality")
    _map(
        must_be_checked(checked),
        shapes,
        municipality_names(),
        (6.6, 7.6),
        (full, area, value, style, measure, highlight, centre, columns, numbers),
        named=True,
    )


def prefecture_map(
    checked: Checked,
    *,
    title: str,
    area: str = "area",
    value: str = "estimate",
    style: Style = "index",
    measure: str = "地域差指数－1",
    highlight: str | None = None,
    centre: float | None = 0.0,
    columns: Mapping[str, Col | str] | None = None,
    numbers: bool = True,
) -> None:
    """Which prefectures (branches) stand out? Okinawa in a frame; islands south of 30°N are not drawn."""
    _map(
        must_be_checked(checked),
        _framed(outlines("prefectures", "prefecture")),
        branch_names(),
        (7.0, 7.0),
        (title, area, value, style, measure, highlight, centre, columns, numbers),
        named=False,
    )


def _framed(shapes: dict[str, list[Ring]]) -> dict[str, list[Ring]]:
    """Okinawa moved into the empty north-west corner; far islands left out."""
    dx, dy = _OKINAWA_SHIFT
    moved = {}
    for code, rings in shapes.items():
        if code == "47":
            near = [ring for ring in rings if min(x for x, _ in ring) > 126.5 and max(x for x, _ in ring) < 129]
            moved[code] = [[(x + dx, y + dy) for x, y in ring] for ring in near]
        else:
            moved[code] = [ring for ring in rings if min(y for _, y in ring) >= _REMOTE_SOUTH]
    return moved


def _map(
    checked: Checked,
    shapes: dict[str, list[Ring]],
    names: dict[str, str],
    size: tuple[float, float],
    options: tuple[str, str, str, Style, str, str | None, float | None, Mapping[str, Col | str] | None, bool],
    *,
    named: bool,
) -> None:
    title, area, value, style, measure, highlight, centre, columns, numbers = options
    rows = rows_of(checked, area, (value,), names)
    by_key = {row.key: row for row in rows}
    if len(by_key) < len(rows):
        raise ParameterError(
            "地図には1地域1行の表が必要です。", hint="checked.where(…) で性別・年度などを一つに絞ってください。"
        )
    on_map = [row for row in rows if row.key in shapes]
    if not on_map:
        raise ParameterError(
            f"地図の地域コードと合う行がありません(列 {area})。", hint="JISコードの列を渡してください。"
        )
    with canvas(*size, title) as (figure, axes):
        scale = _scale([row[value] for row in on_map if row.has(value)], centre)
        hidden = _fill(axes, shapes, by_key, value, scale, highlight)
        if not named:
            _frame(axes, shapes["47"])
        else:
            _write_names(axes, shapes, by_key, value, style, scale)
        _bare(axes, shapes)
        _legend(figure, axes, scale, measure, style, hidden)
        credit = "" if numbers else f"{GEO_CREDIT}。"
        alt = f"{len(on_map)}地域の{measure}の地図。{extremes(on_map, value, style)}{credit}"
        shown = columns or {area: Col("地域", names=names), value: Col(measure, style)}
        finish(figure, checked, title=title, alt=alt, columns=shown if numbers else None, credit=GEO_CREDIT)


def _scale(values: Sequence[float], centre: float | None) -> Any:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if centre is not None:
        reach = max(abs(low - centre), abs(high - centre)) or 1.0
        return ScalarMappable(Normalize(centre - reach, centre + reach), colormaps["PuOr_r"].resampled(_CLASSES))
    return ScalarMappable(Normalize(low, high if high > low else low + 1), colormaps["Blues"].resampled(_CLASSES))


def _fill(
    axes: Axes,
    shapes: dict[str, list[Ring]],
    rows: dict[str, Row],
    value: str,
    scale: Any,
    highlight: str | None,
) -> list[str]:
    """Colour each area; hatch those that may not be shown. Returns the marks that occur."""
    from matplotlib.patches import Polygon

    marks = []
    for code, rings in shapes.items():
        row = rows.get(code)
        shown = row is not None and row.has(value)
        mark = "" if shown else (row.mark if row else "対象外")
        marks += [mark] if mark else []
        for ring in rings:
            face = scale.to_rgba(row[value]) if shown and row else "white"
            hatch = None if shown else "////"
            axes.add_patch(Polygon(ring, facecolor=face, hatch=hatch, edgecolor="#606060", linewidth=0.5))
            if code == highlight:
                axes.add_patch(Polygon(ring, fill=False, edgecolor=STRONG, linewidth=2.4, zorder=5))
    return list(dict.fromkeys(marks))


def _write_names(
    axes: Axes, shapes: dict[str, list[Ring]], rows: dict[str, Row], value: str, style: Style, scale: Any
) -> None:
    from matplotlib.patheffects import withStroke

    names = municipality_names()
    for code, rings in shapes.items():
        middle = _middle(max(rings, key=_area))
        row = rows.get(code)
        text = number(row[value], style) if row and row.has(value) else (row.mark if row else "")
        axes.annotate(
            f"{names.get(code, code)}\n{text}",
            middle,
            _BESIDE.get(code, middle),
            arrowprops={"arrowstyle": "-", "color": ".3", "linewidth": 0.6} if code in _BESIDE else None,
            fontsize=6.3,
            ha="center",
            va="center",
            linespacing=1.05,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],
            zorder=6,
        )


def _area(ring: Ring) -> float:
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def _middle(ring: Ring) -> tuple[float, float]:
    """The centroid of a ring."""
    twice = cx = cy = 0.0
    x0, y0 = ring[0]
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        cross = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        twice += cross
        cx += (x1 + x2 - 2 * x0) * cross
        cy += (y1 + y2 - 2 * y0) * cross
    return (x0 + cx / (3 * twice), y0 + cy / (3 * twice)) if twice else (x0, y0)


def _bare(axes: Axes, shapes: dict[str, list[Ring]]) -> None:
    points = [point for rings in shapes.values() for ring in rings for point in ring]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.set_xlim(min(xs) - 0.05, max(xs) + 0.05)
    axes.set_ylim(min(ys) - 0.05, max(ys) + 0.05)
    axes.set_aspect(1 / math.cos(math.radians((min(ys) + max(ys)) / 2)))
    axes.axis("off")


def _frame(axes: Axes, rings: Sequence[Ring]) -> None:
    """A thin frame around what is not drawn in its place."""
    from matplotlib.patches import Rectangle

    xs, ys = [x for ring in rings for x, _ in ring], [y for ring in rings for _, y in ring]
    x, y, edge = min(xs), min(ys), 0.4
    size = (max(xs) - x + 2 * edge, max(ys) - y + 2 * edge)
    axes.add_patch(Rectangle((x - edge, y - edge), *size, fill=False, edgecolor="#606060", linewidth=0.6))
    axes.text(x, y + size[1] - 2 * edge, "沖縄", fontsize=7, va="bottom")


def _legend(figure: Figure, axes: Axes, scale: Any, measure: str, style: Style, hidden: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    bar = figure.colorbar(scale, ax=axes, shrink=0.55, pad=0.01)
    bar.set_label(measure)
    bar.ax.yaxis.set_major_formatter(lambda value, _: number(value, style))
    bar.outline.set_visible(False)
    if hidden:
        patch = Patch(facecolor="white", hatch="////", edgecolor="#606060", label="・".join(hidden))
        axes.legend(handles=[patch], loc="lower right", frameon=False)
