"""What is said of a prefecture beside the nation? The sentences of the page of published figures."""

from __future__ import annotations

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._format import SEX, Col
from kenpo_analytics.report.tables import value, value_interval

_SHARE = Col("割合", "percent", 2)
_POINTS = Col("全国との差", "points", unit="ポイント")


def benchmark_summary(rows: Checked, *, name: str) -> str:
    """Where does a prefecture stand, men and women? `rows`: its two rows of one measure of `prefecture_benchmark`."""
    said = "、".join(_standing(rows.where(sex=sex), word) for sex, word in SEX.items())
    return (
        f"{name}の健診受診者のうち{rows.table['label'][0]}の割合(年齢調整、2022年度)は、{said}でした(1位が最も低い)。"
        "全保険者の値で治療中の人を含みます。協会けんぽの支部と全国の差を検定するものではありません。"
    )


def _standing(row: Checked, word: str) -> str:
    gap = value_interval(row, _POINTS, estimate="gap", lower="gap_lower", upper="gap_upper")
    return f"{word}が{value_interval(row, _SHARE)}で47都道府県中{value(row, 'rank')}位、全国との差は{gap}"


def neighbours_text(rows: Checked) -> str:
    """How many places next to each other could as well be the other way round? `rows`: one measure, ranked areas."""
    counts = []
    for sex, word in SEX.items():
        order = rows.where(sex=sex).table.sort("estimate")
        counts.append(f"{word}で{int((order['upper'].shift(1) >= order['lower']).sum())}組")
    return (
        f"順位が隣り合う{len(order) - 1}組のうち95%信頼区間が重なるのは、{'、'.join(counts)}です。"
        "区間が重なる都道府県どうしの順位は偶然に入れ替わりうるため、順位の1つ2つの違いに意味はありません。"
    )


def published_note(published: Checked, *, name: str) -> str:
    """Has this branch a published value among these? The note under `branch_visit_benchmark`."""
    listed = "公表値あり" if len(published.where(branch=name)) else "公表値なし"
    return f"{name}の{listed}。区間はWilson法で計算した。"
