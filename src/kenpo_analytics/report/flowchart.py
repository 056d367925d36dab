"""How did one get from all rows to these people? The attrition flow as boxes, top to bottom."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import Col, write
from kenpo_analytics.report.style import COLOURS, canvas, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COUNT = Col("", "count")
_WRAP, _WRAP_START, _WRAP_LEFT = 26, 15, 30  # characters that fit the boxes
_LINE, _PAD, _INCH = 1.0, 1.0, 0.2  # a line of text, the air around a box (both in lines), inches per line


def flow_figure(
    checked: Checked,
    *,
    title: str,
    label: str = "label",
    excluded: str = "excluded",
    remaining: str = "remaining",
    unit: str | None = "unit",
    kind: str = "kind",
) -> None:
    """Which step took out how many, and who is left? Left the people who stay, right those who left.

    Takes the result of `check_flow`. Steps that took nobody out, and steps that could not be judged (未評価), stay.
    """
    checked = must_be_checked(checked)
    table, states = checked.table, checked.states
    steps = [
        _texts(row, state, label, excluded, remaining, unit, kind)
        for row, state in zip(table.to_dicts(), states.to_dicts(), strict=True)
    ]
    heights = [max(1, step["text"].count("\n") + 1) * _LINE + _PAD for step in steps]
    with canvas(7.2, 0.8 + _INCH * sum(heights), title) as (figure, axes):
        axes.axis("off")
        axes.set_xlim(0, 10)
        axes.set_ylim(-sum(heights), 0)
        for i, step in enumerate(steps):
            _draw(axes, -sum(heights[:i]), heights[i], step, first=i == 0)
        numbers = f"{steps[0]['stay']}から{next(s['stay'] for s in reversed(steps) if s['kind'] == 'step')}まで。"
        alt = f"対象者フロー。{numbers}" + "、".join(f"{s['name']} {s['left']}" for s in steps if s["left"])
        columns = {label: "段階"} | ({unit: "単位"} if unit else {}) | {excluded: "除外", remaining: "残り"}
        columns |= {"status": "評価"} if "status" in table.columns else {}
        finish(figure, checked, title=title, alt=alt + "。", columns=columns)


def _texts(
    row: dict[str, Any], state: dict[str, str], label: str, excluded: str, remaining: str, unit: str | None, kind: str
) -> dict[str, str]:
    what = str(row.get(kind) or "exclude")
    mark = f" {row[unit]}" if unit else ""
    stay = write(row[remaining], state[remaining], _COUNT) + mark
    left = write(row[excluded], state[excluded], _COUNT)
    judged = state[excluded] in ("shown", "masked", "masked_secondary")
    left = "" if what != "exclude" else left + (mark if judged else "")
    addition, name = what in ("of_which", "reference"), str(row[label])
    wrapped = "\n".join(textwrap.wrap(name, _WRAP_LEFT if left else _WRAP if addition else _WRAP_START)) or name
    return {
        "name": name,
        "kind": "addition" if addition else "step",
        "stay": stay,
        "left": left,
        "text": f"{wrapped}　{stay}" if addition else f"除外 {left}\n{wrapped}" if left else f"{wrapped}\n{stay}",
    }


def _draw(axes: Axes, top: float, height: float, step: dict[str, str], *, first: bool) -> None:
    """One step hangs from `top`: what leaves beside the arrow, who stays below it."""
    middle = top - height / 2
    if step["kind"] == "addition":
        _box(axes, 0.6, middle, 6.0, height - _PAD / 2, step["text"], "#f4f4f4", dashed=True)
    elif not step["left"]:
        if not first:
            _arrow(axes, (2.0, top + 0.02), (2.0, top - _PAD / 4))
        _box(axes, 0.1, middle, 3.8, height - _PAD / 2, step["text"], "#dcecf7")
    else:
        bottom = top - height + _PAD / 4 + _LINE
        _arrow(axes, (2.0, top + _PAD / 4), (2.0, bottom))
        _arrow(axes, (2.0, middle), (4.4, middle))
        _box(axes, 4.4, middle, 5.5, height - _PAD / 2, step["text"], "#fdf3e4", edge=COLOURS[4])
        _box(axes, 0.1, bottom - _LINE / 2, 3.8, _LINE, step["stay"], "white")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": ".3", "shrinkA": 0, "shrinkB": 0})


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str,
    face: str,
    *,
    edge: str = ".4",
    dashed: bool = False,
) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0.0,rounding_size=0.08",
            facecolor=face,
            edgecolor=edge,
            linewidth=0.9,
            linestyle="--" if dashed else "-",
        )
    )
    axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=8.6, linespacing=1.15)
