"""What does a design rest on? Event study, jump at the threshold, balance and overlap as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._emit import must_be_checked
from kenpo_analytics.report._format import Col, number
from kenpo_analytics.report._rows import Row, extremes, rows_of
from kenpo_analytics.report.style import COLOURS, HATCHES, MARKERS, PLAIN, QUIET, STRONG, canvas, finish
from kenpo_analytics.report.texts import paragraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ERAS = {"before": "事業前", "programme": "事業"}
SENT = {"sent": "送付あり", "not_sent": "送付なし"}
COVARIATES = {
    "age": "年齢", "age_squared": "年齢の2乗", "male": "男性", "bmi": "BMI", "prior": "前年の空腹時血糖",
    "y0": "空腹時血糖", "hba1c": "HbA1c", "sbp": "収縮期血圧", "ldl": "LDL", "height": "身長",
}  # fmt: skip
COVARIATES |= {f"{name}_missing": f"{text}の欠測" for name, text in COVARIATES.items()}


def event_study(
    checked: Checked | None, *, title: str, measure: str = "帯の差の変化", digits: int = 1, empty: str = ""
) -> None:
    """How far apart did the bands move in each fiscal year? Points with intervals; the reference year lies at 0.

    Takes rows of `fiscal_year`, `era`, `estimate`, `lower`, `upper` (`evaluation.did.by_year`). `digits`: decimals of
    the outcome; the table of effects has one more.
    None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    rows = rows_of(checked, "fiscal_year", ("estimate", "lower", "upper"))
    eras = checked.table["era"].to_list()
    with canvas(5.6, 2.6, title) as (figure, axes):
        for x, (row, era) in enumerate(zip(rows, eras, strict=True)):
            colour = STRONG if era == "programme" else COLOURS[0]
            if row.has("lower", "upper"):
                axes.plot([x, x], [row["lower"], row["upper"]], color=colour, linewidth=1.6)
            if row.has("estimate"):
                face = colour if row.has("lower", "upper") else "white"
                axes.plot(x, row["estimate"], "s" if era == "programme" else "o", color=colour, markerfacecolor=face)
        _zero(axes)
        start = next((x for x, era in enumerate(eras) if era == "programme"), None)
        if start is not None:
            axes.axvline(start - 0.5, color=QUIET, linewidth=1, linestyle=":")
        names = [f"{row.key}\n{ERAS.get(era, era)}" for row, era in zip(rows, eras, strict=True)]
        axes.set_xticks(range(len(rows)), names)
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("健診の年度（白抜きは基準の年度）")
        axes.yaxis.set_major_formatter(lambda value, _: number(value, "index", digits))
        axes.set_ylabel(f"{measure}と信頼区間")
        alt = f"年度ごとの{measure}。{extremes(rows, 'estimate', 'index')}"
        finish(figure, checked, title=title, alt=alt, columns={
            "fiscal_year": Col("年度", "year"), "era": Col("時期", names=ERAS), "persons": "人数",
            "estimate": Col(measure, "index", digits + 1),
            "lower": Col("信頼区間", "index", digits + 1, upper="upper"),
        })  # fmt: skip


def jump_figure(
    checked: Checked | None,
    *,
    title: str,
    cutoff: float,
    measure: str = "次回健診の値(mg/dL)",
    digits: int = 1,
    empty: str = "",
) -> None:
    """Is there a step at the threshold? Means by FPG and local lines on both sides, by era.

    Takes rows of `era`, `side`, `y0`, `estimate`, `fitted` (`evaluation.diagnose.jump`).
    None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    alts = []
    with canvas(5.6, 3.2, title) as (figure, axes):
        for i, era in enumerate(dict.fromkeys(checked.table["era"].to_list())):
            for side in ("below", "above"):
                part = checked.where(era=era, side=side).sort("y0")
                rows = rows_of(part, "y0", ("estimate", "fitted", "y0")) if len(part) else []
                label = ERAS.get(era, era) if side == "below" else None
                _side(axes, rows, i, label)
            alts.append(f"{ERAS.get(era, era)}は{len(checked.where(era=era))}点")
        axes.axvline(cutoff, color=".25", linewidth=1, linestyle="--")
        axes.legend(loc="upper left", frameon=False)
        axes.set_xlabel(f"対象となった健診の空腹時血糖(mg/dL)。破線は通知の基準（{cutoff:g}）")
        axes.set_ylabel(f"{measure}の平均")
        finish(figure, checked, title=title, alt=f"基準値の前後の{measure}。{'、'.join(alts)}。", columns={
            "era": Col("時期", names=ERAS), "y0": Col("空腹時血糖(中央)", "number", 1), "persons": "人数",
            "estimate": Col("次回の平均", "number", digits), "fitted": Col("局所直線", "number", digits),
        })  # fmt: skip


def _side(axes: Axes, rows: list[Row], i: int, label: str | None) -> None:
    colour, stroke = COLOURS[i], ["-", "--"][i % 2]
    points = [row for row in rows if row.has("estimate")]
    axes.plot([row["y0"] for row in points], [row["estimate"] for row in points], MARKERS[i], color=colour, label=label)
    fits = [row for row in rows if row.has("fitted")]
    axes.plot([row["y0"] for row in fits], [row["fitted"] for row in fits], stroke, color=colour, linewidth=1.6)


def balance_plot(checked: Checked | None, *, title: str, limit: float = 0.1, empty: str = "") -> None:
    """Are both groups alike after weighting? Standardised differences before and after, per covariate.

    Takes rows of `covariate`, `smd_before`, `smd_after`; beyond `limit` the groups count as different.
    None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    rows = rows_of(checked, "covariate", ("smd_before", "smd_after"), COVARIATES)[::-1]
    with canvas(5.6, 1.1 + 0.2 * len(rows), title) as (figure, axes):
        for y, row in enumerate(rows):
            for name, marker, colour in (("smd_before", "o", PLAIN), ("smd_after", "D", STRONG)):
                if row.has(name):
                    axes.plot(row[name], y, marker, color=colour, label=name if y == 0 else None)
        axes.axvspan(-limit, limit, color=".92", zorder=0)
        axes.axvline(0, color=".3", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.xaxis.set_major_formatter(lambda value, _: number(value, "index", 2))
        axes.set_xlabel(f"標準化差（●重み付け前、◆後、灰色は±{limit:g}以内）")
        over = [row.name for row in rows[::-1] if row.has("smd_after") and abs(row["smd_after"]) > limit]
        alt = f"{len(rows)}項目の標準化差。重み付け後に±{limit:g}を超えるのは{'、'.join(over) or 'なし'}。"
        finish(figure, checked, title=title, alt=alt, columns={
            "covariate": Col("項目", names=COVARIATES), "smd_before": Col("重み付け前", "index", 2),
            "smd_after": Col("重み付け後", "index", 2),
        })  # fmt: skip


def overlap_plot(checked: Checked | None, *, title: str, empty: str = "") -> None:
    """Have both groups people at every probability of a letter? Counts by score, sent upwards, not sent downwards.

    Takes rows of `score` (lower end of a tenth), `sent`, `not_sent`; a masked count has no bar and says so.
    None (it could not be made) shows `empty` instead.
    """
    if checked is None:
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    rows = rows_of(checked, "score", ("sent", "not_sent"))
    states = checked.states
    with canvas(5.6, 2.4, title) as (figure, axes):
        for i, (name, sign) in enumerate((("sent", 1), ("not_sent", -1))):
            xs = [float(row.key) + 0.05 for row in rows]
            heights = [sign * (row[name] if row.has(name) else 0) for row in rows]
            axes.bar(xs, heights, width=0.09, color=(STRONG, PLAIN)[i], hatch=HATCHES[i], label=SENT[name])
            for x, state in zip(xs, states[name], strict=True):
                if state != "shown":
                    axes.annotate("秘匿", (x, 0), (0, 9 * sign), textcoords="offset points", fontsize=8, ha="center",
                                  va="center")  # fmt: skip
        axes.axhline(0, color=".3", linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: number(abs(value), "count"))
        axes.set_xlim(0, 1)
        axes.set_xlabel("送付される確率（傾向スコア）")
        axes.set_ylabel("人数")
        axes.legend(loc="upper left", frameon=False)
        shown = [f"{float(row.key):.1f}から" for row in rows if row.has("sent") and row["sent"] > 0]
        alt = f"送付される確率ごとの人数。送付ありの人がいる区間は{'、'.join(shown) or 'なし'}。"
        columns: dict[str, Any] = {"score": Col("確率(下端)", "number", 1), "sent": "送付あり", "not_sent": "送付なし"}
        finish(figure, checked, title=title, alt=alt, columns=columns)


def _zero(axes: Axes) -> None:
    axes.axhline(0, color=".25", linewidth=1, linestyle="--")
