"""What is said of the naive comparison (単純前後比較)? Always as a reference, never as an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.tables import show, value, value_interval

if TYPE_CHECKING:
    from kenpo_analytics.definitions import Definitions
    from kenpo_analytics.evaluation.two_years import Pair

OUTCOMES = {"improved": "改善", "worsened": "悪化"}
_MEASURES = {"category": "区分", "fpg": "空腹時血糖", "hba1c": "HbA1c"}
_PEOPLE = Col("人数", "count", unit="人")
_POINTS = Col("差", "points", digits=1, unit="ポイント")
_GAP = {
    "estimate": Col("差(ポイント)", "points", digits=1),
    "lower": Col("95%信頼区間", "points", digits=1, upper="upper"),
}


def naive_summary(own: Checked, naive: Checked | None, pair: Pair) -> str:
    """How many improved and worsened, and how many more than before the programme? One reference paragraph.

    `own`: `check_outcomes` of the programme's year; `naive`: `check_before_after`, None without a cohort before.
    """
    said = [
        f"参考(単純前後比較であり、効果ではありません): {pair.years[pair.after]}年度の健診で予備群"
        f"(「{RULES[pair.rule]}」)だった人のうち、次回健診(通知の前後を問わない)を受けた"
        f"{value(own, 'denominator', _PEOPLE, state='improved')}を分母とすると、"
        f"区分が改善した人は{_moved(own, 'improved')}、悪化した人は{_moved(own, 'worsened')}でした。"
    ]
    if naive is not None:
        improved, worsened = (_main(naive, outcome) for outcome in OUTCOMES)
        said.append(
            f"事業前の{pair.years[pair.before]}年度に同じ基準で選んだ人(次回健診を受けた"
            f"{value(improved, 'denominator_reference', _PEOPLE)})との差は、"
            f"改善が{value_interval(improved, _POINTS)}、悪化が{value_interval(worsened, _POINTS)}です。"
        )
    return "".join(said)


def _moved(own: Checked, state: str) -> str:
    one = own.where(state=state)
    return f"{value(one, 'n', _PEOPLE)}、{value_interval(one, 'percent')}"


def _main(naive: Checked, outcome: str) -> Checked:
    return naive.where(measure="category", among="seen", scale="pp", outcome=outcome)


def naive_headline(naive: Checked | None, pair: Pair) -> dict[str, tuple[Checked, Col]]:
    """The naive figures for the run's index, each called no effect; none without a cohort before."""
    if naive is None:
        return {}
    told = {}
    for outcome, word in OUTCOMES.items():
        label = f"予備群 {word}割合の差({pair.years[pair.after]}年度、単純前後比較・効果ではない)"
        name = f"予備群 {word}割合の差(単純前後比較)"
        told[name] = (_main(naive, outcome), Col(label, "points", digits=1, unit="ポイント"))
    return told


def naive_table(naive: Checked | None, pair: Pair) -> None:
    """Show the shares of both years and their differences, or say that there is no year before."""
    if naive is None:
        show(None, title="", empty="事業前の年度のデータがないため、事業前との単純前後比較は示せません。")
        return
    columns: dict[str, Any] = {
        "measure": Col("見方", names=_MEASURES),
        "outcome": Col("結果", names=OUTCOMES),
    }
    for name, suffix in ((pair.before, "_reference"), (pair.after, "")):
        columns[f"events{suffix}"] = Col(f"{pair.years[name]}年度 人数", "count")
        columns[f"share{suffix}"] = Col(f"{pair.years[name]}年度 割合", "percent")
    main = _main(naive, "improved")
    show(
        naive.where(scale="pp", among="seen"),
        title="単純前後比較: 改善・悪化の割合の差 ― 分母は期間内に次回健診を受けた人",
        columns=columns | _GAP,
        note=f"分母: {pair.before} {value(main, 'denominator_reference')}人、"
        f"{pair.after} {value(main, 'denominator')}人。"
        "差は割合の引き算(ポイント)で、変化率(%)とは別の量です。単純前後比較であり、事業の効果ではありません。",
    )


def fall_text(change: Checked, pair: Pair, definitions: Definitions) -> str:
    """How far did values move without letters? Regression to the mean in words; empty without a cohort before."""
    if pair.before not in pair.years:
        return ""
    style = Col("平均変化", "index", digits=2, unit="mg/dL")
    without, mailed = (value_interval(change, style, measure="fpg", group=name) for name in (pair.before, pair.after))
    return (
        f"空腹時血糖の平均は、通知のなかった{pair.before}でも、次回健診までの変化は{without}でした。"
        f"{pair.after}は{mailed}でした。"
        f"予備群は空腹時血糖{definitions.number('prediabetes.fpg.lower'):g}mg/dL以上という高い値で選ばれており、"
        "たまたま高く測れた人を含むため、何もしなくても次の値は下がりやすくなります(平均への回帰)。"
        "したがって、事業の年度だけを見た前後の変化は事業の効果とは言えません。"
        "事業前の同じ基準の人との差はこの動きを差し引きますが、"
        "年度による違い(受診者の構成、検査の方法、服薬、感染症流行期の受診控えなど)は差し引けません。"
    )


def naive_looks(otherwise: Checked | None) -> None:
    """Show the naive differences under other rules, outcomes and dead bands; nothing without a cohort before."""
    show(
        otherwise,
        title="単純前後比較の感度分析: 割合の差(ポイント)",
        columns={"label": "見方", "outcome": Col("結果", names=OUTCOMES), **_GAP},
        empty="",
    )


def looks_text(otherwise: Checked | None, rule: str) -> str:
    """Which of the many looks leave out 0, and why may nobody pick those? Empty without a cohort before."""
    if otherwise is None:
        return ""
    rows = otherwise.table.drop_nulls(["lower", "upper"]).to_dicts()
    apart = [row for row in rows if row["lower"] > 0 or row["upper"] < 0]
    shown = otherwise.table["lower"].count()
    said = f"区間を示せた{shown}行のうち、95%信頼区間が0を含まないのは{len(apart)}行です。"
    if not apart:
        return said + "ただし、0を含むことは差がないことを示しません。"
    said += "\n\n" + "\n".join(_look(otherwise, row) for row in apart) + "\n\n"
    said += "多くの見方を並べると、差がなくても区間が0を外れる行が出ます。"
    said += "0を外れた行だけを取り上げて、効果の有無を述べることはできません。"
    if rule != "and":
        return said
    return said + (
        "「または」の行の人の多くは「及び」では通知の対象にならないため、"
        "そこでの差は通知のない人の年度による動きであり、単純前後比較が効果を表さないことの現れです。"
    )


def _look(otherwise: Checked, row: Mapping[str, Any]) -> str:
    style = Col("差", "points", 2, "ポイント")
    told = value_interval(otherwise, style, outcome=row["outcome"], label=row["label"])
    return f"- {OUTCOMES[row['outcome']]} {row['label']}: {told}"
