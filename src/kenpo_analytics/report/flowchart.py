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
_WRAP = 22


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
    height = 0.9 + 0.62 * len(steps)
    with canvas(7.2, height, title) as (figure, axes):
        axes.axis("off")
        axes.set_xlim(0, 10)
        axes.set_ylim(-len(steps) + 0.4, 0.6)
        for i, step in enumerate(steps):
            _draw(axes, -i, step, first=i == 0)
        numbers = f"{steps[0]['stay']}から{next(s['stay'] for s in reversed(steps) if s['kind'] == 'step')}まで。"
        alt = f"対象者フロー。{numbers}" + "、".join(f"{s['name']} {s['left']}" for s in steps if s["left"])
        columns = {label: "段階", excluded: "除外", remaining: "残り"} | ({unit: "単位"} if unit else {})
        finish(figure, checked, title=title, alt=alt + "。", columns=columns)


def _texts(
    row: dict[str, Any], state: dict[str, str], label: str, excluded: str, remaining: str, unit: str | None, kind: str
) -> dict[str, str]:
    what = str(row.get(kind) or "exclude")
    mark = f" {row[unit]}" if unit else ""
    stay = write(row[remaining], state[remaining], _COUNT) + mark
    left = write(row[excluded], state[excluded], _COUNT)
    judged = state[excluded] in ("shown", "masked", "masked_secondary")
    return {
        "name": str(row[label]),
        "kind": "addition" if what in ("of_which", "reference") else "step",
        "stay": stay,
        "left": "" if what != "exclude" else left + (mark if judged else ""),
    }


def _draw(axes: Axes, y: float, step: dict[str, str], *, first: bool) -> None:
    name = "\n".join(textwrap.wrap(step["name"], _WRAP)) or step["name"]
    if step["kind"] == "addition":
        _box(axes, 0.9, y, 5.0, f"{name}　{step['stay']}", "#f4f4f4", dashed=True)
        return
    if not first:
        axes.annotate("", (2.0, y + 0.3), (2.0, y + 0.72), arrowprops={"arrowstyle": "-|>", "color": ".3"})
    if not step["left"]:
        _box(axes, 0.1, y, 3.8, f"{name}\n{step['stay']}", "#dcecf7")
        return
    _box(axes, 0.1, y, 3.8, step["stay"], "white")
    axes.annotate("", (4.7, y + 0.5), (2.0, y + 0.5), arrowprops={"arrowstyle": "-|>", "color": ".3"})
    _box(axes, 4.7, y + 0.5, 5.2, f"除外 {step['left']}：{name}", "#fdf3e4", edge=COLOURS[4])


def _box(
    axes: Axes, x: float, y: float, width: float, text: str, face: str, *, edge: str = ".4", dashed: bool = False
) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x, y - 0.28),
            width,
            0.56,
            boxstyle="round,pad=0.0,rounding_size=0.08",
            facecolor=face,
            edgecolor=edge,
            linewidth=0.9,
            linestyle="--" if dashed else "-",
        )
    )
    axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=8.6, linespacing=1.15)
