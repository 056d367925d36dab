"""What causes what? The assumed causal diagram (DAG) of a mailing programme, drawn once for every report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kenpo_analytics.report._emit import emit
from kenpo_analytics.report.style import COLOURS, QUIET, STRONG, canvas, png
from kenpo_analytics.report.texts import paragraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

NODES = {
    "background": ("背景\n(年齢・性別・BMI)", 0.0, 4.2), "baseline": ("健診の値\n(基準の判定)", 2.2, 2.1),
    "letter": ("通知", 5.2, 1.65), "label": ("結果票の\n判定区分", 5.2, 4.0), "drug": ("服薬の開始", 7.4, 0.6),
    "outcome": ("次回健診の\n空腹時血糖", 9.4, 2.5), "seen": ("次回健診の受診\n(値のある人だけを見る)", 8.9, 5.3),
    "hidden": ("未測定の要因\n(生活習慣・職場)", 2.4, 0.4), "era": ("時期\n(暦・制度・検査)", 4.4, 5.75),
}  # fmt: skip
ARROWS = (
    ("background", "baseline"), ("background", "letter"), ("background", "outcome"), ("background", "seen"),
    ("baseline", "letter"), ("baseline", "label"), ("baseline", "outcome"), ("letter", "outcome"), ("letter", "drug"),
    ("letter", "seen"), ("label", "outcome"), ("drug", "outcome"), ("era", "label"), ("era", "outcome"),
    ("era", "seen"),
)  # fmt: skip
HIDDEN = (("hidden", "letter"), ("hidden", "outcome"), ("hidden", "baseline"), ("hidden", "seen"), ("outcome", "seen"))
NOTE = (
    "実線は解析で考慮する関係、破線は測れない関係。時期の影響は、差の差では上下の帯に同じだけ働くとみなす。"
    "次回健診を受けた人だけを見るため、受診に向かう矢印の元どうしに見かけの関係が生じうる(7章)。"
)


DRAWN = (
    "通知はくじで割り付けたため、通知に向かう矢印はない。実線は解析で考慮する関係、破線は測れない関係。"
    "次回健診を受けた人だけを見るため、受診に向かう矢印の元どうしに見かけの関係が生じうる(7章)。"
    "感度分析のほかの設計は割付によらないため、通知に向かう矢印(背景、健診の値、未測定の要因)も考える。"
)


def dag_figure(*, title: str = "想定した因果関係(DAG)", drawn: bool = False) -> None:
    """Which arrows does the evaluation assume? Solid ones it works with, dashed ones that it cannot measure.

    `drawn`: lots decide who is sent a letter, so no arrow points at it.

    A drawing without data: no check is needed, the stamp says so (no masking log).
    """
    with canvas(6.6, 3.5, title) as (figure, axes):
        axes.axis("off")
        axes.set_xlim(-1.1, 10.6)
        axes.set_ylim(-0.3, 6.4)
        solid, dashed = ([(a, b) for a, b in some if not (drawn and b == "letter")] for some in (ARROWS, HIDDEN))
        nodes = {**NODES, "letter": ("通知の割付\n(くじ)", *NODES["letter"][1:])} if drawn else NODES
        drawn_as: dict[str, Text] = {}
        for name, (text, x, y) in nodes.items():
            edge = {"letter": STRONG, "outcome": STRONG, "hidden": QUIET}.get(name, COLOURS[0])
            box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": edge, "linewidth": 1.4}
            drawn_as[name] = axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)
        figure.canvas.draw()  # boxes have their size only now: arrows end at their edges
        for start, end in solid:
            _arrow(axes, drawn_as, start, end, STRONG if (start, end) == ("letter", "outcome") else ".35", "-")
        for start, end in dashed:
            _arrow(axes, drawn_as, start, end, QUIET, "--")
        names = {name: text.replace("\n", "") for name, (text, _, _) in nodes.items()}
        said = ["、".join(f"{names[a]}→{names[b]}" for a, b in some) for some in (solid, dashed)]
        alt = f"{title}。実線: {said[0]}。破線(測れない): {said[1]}。"
        emit({"image/png": png(figure), "text/plain": f"<図: {title}>"}, alt=alt)
    paragraph(DRAWN if drawn else NOTE)


def _arrow(axes: Axes, boxes: Mapping[str, Text], start: str, end: str, colour: str, stroke: str) -> None:
    (_, x0, y0), (_, x1, y1) = NODES[start], NODES[end]
    look = {"arrowstyle": "-|>", "color": colour, "linestyle": stroke, "linewidth": 1.3, "shrinkA": 1, "shrinkB": 2,
            "patchA": boxes[start].get_bbox_patch(), "patchB": boxes[end].get_bbox_patch()}  # fmt: skip
    axes.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=look, zorder=1)
