"""Who has how many incentive points, and where is the line? Stacked bars of the 47 branches, one picked out."""

from __future__ import annotations

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import MASK, Col, number
from kenpo_analytics.report._rows import rows_of
from kenpo_analytics.report.areas import branch_names
from kenpo_analytics.report.ranking import _mark, _name_rows, _ordered, _picked, _place
from kenpo_analytics.report.style import COLOURS, STRONG, canvas, finish

_SHADES = (COLOURS[0], COLOURS[5], COLOURS[2], COLOURS[4], COLOURS[3])


def incentive_bars(rows: Checked, totals: Checked, *, title: str, highlight: str) -> None:
    """Who has how many points, of which indicator? A bar per branch, from the most points down, and the line to beat.

    `rows` and `totals` are `Score.rows` and `Score.totals` after their checks. Each branch is named with its place and
    its interval; the dashed upright stands at the points of the last place within the top.
    """
    rows, totals = must_be_checked(rows), must_be_checked(totals)
    limits = ("rank_lower", "rank_upper")
    ordered = _ordered(rows_of(totals, "area", ("points", "rank", *limits), branch_names()), "points")
    labels = dict(zip(rows.table["indicator"], rows.table["label"], strict=True))
    parts = {(row["area"], row["indicator"]): row["points"] for row in rows.table.to_dicts()}
    line, top = totals.table["line"][0], totals.table["top"][0]
    with canvas(7.6, 1.9 + 0.19 * len(ordered), title) as (figure, axes):
        for shade, (key, label) in enumerate(labels.items()):
            left = [sum(parts[row.key, name] or 0 for name in list(labels)[:shade]) for row in ordered]
            width = [(parts[row.key, key] or 0) if row.has("points") else 0 for row in ordered]
            axes.barh(range(len(ordered)), width, left=left, height=0.74, color=_SHADES[shade], label=label)
        for at, row in enumerate(ordered):
            if not row.has("points"):
                _mark(axes, at, row.mark)
            elif row.key == highlight:
                axes.plot(row["points"] + 4, at, "<", color=STRONG, markersize=8)
        said = f"{top}位の点 {MASK if line is None else number(line, 'number', 1)}"
        if line is not None:
            axes.axvline(line, color=COLOURS[6], linewidth=1.3, linestyle="--", label=said)
        _name_rows(axes, [_place(r, "rank", limits) for r in ordered], [r.key == highlight for r in ordered], size=8.5)
        axes.set_xlabel("合計点(点)。支部名の後は順位(1位が最も高い)と、その95%区間")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
        shown: dict[str, Col | str] = {
            "area": "支部",
            "points": Col("合計点", "number", 1),
            "rank": Col("順位", "count"),
        }
        shown |= {"rank_lower": Col("順位の95%区間", "count", upper="rank_upper")}
        picked = _picked(ordered, highlight, "points", "number", "rank")
        alt = f"{len(ordered)}支部の合計点の積み上げ横棒。{said}。{picked}"
        finish(figure, totals, title=title, alt=alt, columns=shown)
