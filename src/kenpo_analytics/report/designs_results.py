"""What came out, in words? Sentences on the verdict, the other designs, and the tables that the primary rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kenpo_analytics.evaluation.decide import APART
from kenpo_analytics.evaluation.trial_arms import of_versions, sides
from kenpo_analytics.evaluation.weighting import IMBALANCE
from kenpo_analytics.report.designs import COVARIATES

if TYPE_CHECKING:
    from kenpo_analytics.disclosure import Checked
    from kenpo_analytics.evaluation.estimate import Estimate
    from kenpo_analytics.evaluation.suite import Choice

_VERDICTS = {
    "lower": "低下と推定", "higher": "上昇と推定", "not_shown": "確認されていない", "not_identified": "識別不能",
    "disagree": "設計が食い違い判断できない", "warned": "前提が疑わしく結論しない",
}  # fmt: skip


def verdict_words(verdict: str, primary: Estimate) -> str:
    """A `Decision`'s verdict in a few words, to stand beside its number."""
    arms = sides(primary)
    if arms and verdict in ("lower", "higher"):
        return f"{arms[0]}が{'低い' if verdict == 'lower' else '高い'}と推定"
    return _VERDICTS[verdict]


def contrary(estimates: Sequence[Estimate], choice: Choice) -> str:
    """Which designs point the other way than the primary one? One sentence; the forest does not show all of them."""
    found = {one.design: one for one in estimates if one.state == "estimated" and one.estimate is not None}
    if (primary := found.pop(choice.primary, None)) is None:
        return "主解析の推定がないため、ほかの設計の向きとは比べません。"
    if of_versions(primary):
        return APART
    side = (primary.estimate or 0.0) < 0
    own = [one for one in found.values() if one.unit == primary.unit]
    apart = [one.label for one in own if (one.estimate < 0) != side]  # type: ignore[operator]
    if not apart:
        return f"推定できたほかの{len(own)}設計は、すべて主解析と同じ向きです(区間は一覧表)。"
    return f"推定できたほかの{len(own)}設計のうち、主解析と向きが違うのは{'、'.join(apart)}です(値と区間は一覧表)。"


def tipping_text(tipping: Checked) -> str:
    """From which shift on would the primary interval leave out no effect? One sentence on the tipping points."""
    rows = tipping.table.sort("delta").to_dicts()
    apart = [row["delta"] for row in rows if row["excludes_zero"]]
    if not apart:
        first, last = (_signed(rows[place]["delta"]) for place in (0, -1))
        return f"動かした範囲({first}～{last}mg/dL)では、区間はいつも0を含みます。"
    if 0 in apart:
        inside = [row["delta"] for row in rows if not row["excludes_zero"]]
        held = "、".join(f"{value:+g}" for value in inside).replace("-", "−") or "なし"
        return f"次回健診のない人の値が見込みどおりなら区間は0を含みません。0を含むようになる大きさ: {held}(mg/dL)。"
    said = "、".join(f"{value:+g}" for value in apart).replace("-", "−")
    return f"対象の帯で次回健診のない人の値が、見込みより{said}mg/dL違うときに限り、区間は0を含まなくなります。"


def where_from(bands: Checked | None) -> str:
    """From which of the four groups does the difference-in-differences come? One paragraph of plain mean changes."""
    if bands is None:
        return "差の差を推定できないため、そのもとになる4つの群の平均変化はありません。"
    rows = {(row["era"], row["high"]): row for row in bands.table.to_dicts()}
    if len(rows) != 4 or any(row[name] is None for row in rows.values() for name in ("n", "letters", "change")):
        return "差の差のもとになる4つの群の平均変化は、人数が足りないため示せません。"
    up, down = (rows["programme", high]["change"] - rows["before", high]["change"] for high in (True, False))
    said = [
        f"{rows['programme', high]['band']}の帯の平均変化は、事業前{_signed(rows['before', high]['change'])}、"
        f"事業の年度{_signed(rows['programme', high]['change'])}(その差{_signed(moved)})"
        for high, moved in ((True, up), (False, down))
    ]
    most = "主に、通知の対象でない下の帯の動き" if abs(down) > abs(up) else "主に、通知の対象の帯の動き"
    ours = rows["programme", True]
    return (
        f"{said[0]}、{said[1]}mg/dLでした。調整しない差の差は{_signed(up - down)}mg/dLで、{most}によります"
        "(差の差の推定は、これを年齢などで調整したもの)。"
        f"その推定は「対象の帯にいたこと」の効果です。事業の年度のこの帯で実際に送付したのは{ours['letters']:,}人"
        f"({ours['letters'] / ours['n']:.0%})です。"
    )


def balance_text(balance: Checked | None) -> str:
    """What did the weights leave, and why is "before" not table 1? One paragraph under the figure, none without it."""
    if balance is None:
        return ""
    rows = [row for row in balance.table.to_dicts() if row["smd_after"] is not None]
    left = [row for row in rows if abs(row["smd_after"]) > IMBALANCE]
    worse = [row for row in left if row["smd_before"] is not None and abs(row["smd_after"]) > abs(row["smd_before"])]
    said = (
        "図の「前」は、次回健診の値があり、送付の確率が重なる範囲にいる人だけの差です。次回健診のない人も含む4章の表1とは、"
        "人が違うため値も違います。"
    )
    if not left:
        return f"{said}重み付けの後に絶対値{IMBALANCE:g}を超える項目はありません。"
    names = "、".join(COVARIATES.get(row["covariate"], row["covariate"]) for row in left)
    said += f"重み付けの後も絶対値{IMBALANCE:g}を超える項目が{len(left)}つ残り({names})、背景はそろいきっていません。"
    if worse:
        names = "、".join(COVARIATES.get(row["covariate"], row["covariate"]) for row in worse)
        said += f"このうち{names}は、重み付けの前より離れました。"
    return said


def power_basis(power: Checked) -> str:
    """What does the table of power assume? One paragraph."""
    row = power.table.to_dicts()[0]
    letters = "秘匿" if row["letters"] is None else f"{row['letters']:,}通"
    return (
        f"仮定: {row['outcome']}の標準偏差{row['sd']:.3g}{row['unit']}、健診時の値との相関{row['correlation']:.2f}、"
        f"次回健診で値の得られる割合{row['seen']:.0%}(いずれも、これまで初めて対象となった人による)。今の通知は直近12か月に{letters}の予定。"
        "差は割り付けどおりの差で、送れない人がいる分、実際に届いた人の効果より小さくなります。"
        "通知の基準が変わったときは、ばらつきも変わりえます。"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
