"""What causes what? The assumed causal diagram (DAG) of a mailing programme, drawn once for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kenpo_analytics.report._emit import emit
from kenpo_analytics.report.style import COLOURS, QUIET, STRONG, canvas, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NODES = {
    "background": ("背景\n(年齢・性別・BMI)", 0.0, 2.6), "baseline": ("健診の値\n(基準の判定)", 2.6, 2.6),
    "letter": ("通知", 5.2, 1.6), "label": ("結果票の\n判定区分", 5.2, 3.6), "drug": ("服薬の開始", 7.6, 0.4),
    "outcome": ("次回健診の\n空腹時血糖", 9.4, 2.2), "seen": ("次回健診の\n受診", 7.6, 4.4),
    "hidden": ("未測定の要因\n(生活習慣・職場)", 2.6, 0.3),
}  # fmt: skip
ARROWS = (
    ("background", "baseline"), ("baseline", "letter"), ("baseline", "label"), ("letter", "outcome"),
    ("label", "outcome"), ("letter", "drug"), ("drug", "outcome"), ("hidden", "letter"),
    ("letter", "seen"), ("baseline", "outcome"),
)  # fmt: skip
HIDDEN = (("hidden", "outcome"), ("hidden", "baseline"), ("outcome", "seen"))


def dag_figure(*, title: str = "想定した因果関係(DAG)") -> None:
    """Which arrows does the evaluation assume? Solid ones it works with, dashed ones that it cannot measure.

    A drawing without data: no check is needed, the stamp says so (no masking log).
    """
    with canvas(6.6, 3.0, title) as (figure, axes):
        axes.axis("off")
        axes.set_xlim(-1.1, 10.6)
        axes.set_ylim(-0.4, 5.1)
        for start, end in ARROWS:
            _arrow(axes, start, end, STRONG if (start, end) == ("letter", "outcome") else ".35", "-")
        for start, end in HIDDEN:
            _arrow(axes, start, end, QUIET, "--")
        for name, (text, x, y) in NODES.items():
            edge = {"letter": STRONG, "outcome": STRONG, "hidden": QUIET}.get(name, COLOURS[0])
            box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": edge, "linewidth": 1.4}
            axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)
        names = {name: text.replace("\n", "") for name, (text, _, _) in NODES.items()}
        solid = "、".join(f"{names[a]}→{names[b]}" for a, b in ARROWS)
        dashed = "、".join(f"{names[a]}→{names[b]}" for a, b in HIDDEN)
        alt = f"{title}。実線: {solid}。破線(測れない): {dashed}。"
        emit({"image/png": png(figure), "text/plain": f"<図: {title}>"}, alt=alt)


def _arrow(axes: Axes, start: str, end: str, colour: str, stroke: str) -> None:
    (_, x0, y0), (_, x1, y1) = NODES[start], NODES[end]
    look = {"arrowstyle": "-|>", "color": colour, "linestyle": stroke, "linewidth": 1.3, "shrinkA": 24, "shrinkB": 26}
    axes.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=look, zorder=1)
