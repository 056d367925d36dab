"""What is said of the branch's risks? The summary, the standard population, breaks of definition, the decrease."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.report._format import SEX, Col
from kenpo_analytics.report.regional import place_of_47
from kenpo_analytics.report.tables import value, value_interval
from kenpo_analytics.risks import FIRST_YEAR
from kenpo_analytics.risks.strata import Reference

_SHARE, _METABOLIC = Col("割合", "percent"), "risk_metabolic"
TOO_FEW = "人数が少なく、どの値を伏せても逆算できるため、この区分の値は示しません。"


def risk_summary(main: Checked, ranks: Checked | None, *, fiscal_year: int) -> str:
    """How many carry 代謝リスク, and which risks are more or less than in the nation?

    `main`: rates by risk and sex after `check_risk_sexes`; `ranks`: the branch's places of `check_risk_ranks`, or None.
    """
    table = "47支部の集計表で" if _ranked(ranks, "M") and _ranked(ranks, "F") else ""
    men, women = (f"{word}が{_beside_nation(main, ranks, sex)}" for sex, word in SEX.items())
    return (
        f"{fiscal_year}年度の健診で、年齢構成をそろえた代謝リスクの割合は、{table}{men}、{women}でした。"
        f"{_verdict(main, fiscal_year)}"
        "代謝リスクには血糖の薬を飲んでいる人を含むため、治療を始めても下がりません。差の原因を示すものではありません。"
    )


def risk_headline(main: Checked, ranks: Checked | None, *, sex: str) -> Checked:
    """Which row tells 代謝リスク: that of the table of the 47 branches, of one source with the nation, else our own."""
    return _ranked(ranks, sex) or main.where(risk=_METABOLIC, sex=sex)


def _ranked(ranks: Checked | None, sex: str) -> Checked | None:
    row = None if ranks is None else ranks.where(risk=_METABOLIC, sex=sex)
    return row if row else None


def _beside_nation(main: Checked, ranks: Checked | None, sex: str) -> str:
    own = main.where(risk=_METABOLIC, sex=sex)
    share, judgement, row = value_interval(own, _SHARE), value(own, "judgement"), _ranked(ranks, sex)
    if row is None:
        return f"{share}({judgement})"
    rank, between = place_of_47(row)
    nation = value(row, "standard_rate", _SHARE)
    return (
        f"{value_interval(row, _SHARE)}(全国 {nation}、{rank}、{between}。"
        f"支部の健診データでは{share}、判定: {judgement})"
    )


def _verdict(main: Checked, fiscal_year: int) -> str:
    if not main.table["nation"].count():
        return f"{fiscal_year}年度の全国値がないため、高い・低いは判定していません。"
    high, low, apart = (_named(main, word) for word in ("高い", "低い", "出どころで不一致"))
    return (
        f"{main.table['risk'].n_unique()}つのリスクのうち、全国より高いのは{high}、低いのは{low}です。"
        f"支部の健診データと47支部の集計表が食い違い、高い・低いとしないのは{apart}です。"
    )


def _named(main: Checked, word: str) -> str:
    rows = main.where(judgement=word).table.to_dicts()
    return "、".join(f"{SEX[row['sex']]}の{row['label']}" for row in rows) or "なし"


def standard_text(standard: str, reference: Reference) -> str:
    """Whose age mix is it, and under which id?"""
    none = "なし。全国値がないため、この支部の受診者の年齢構成"
    return f"標準人口: {standard}(ID: {reference.standard_population or none})"


def nation_text(reference: Reference) -> str:
    """In which fiscal years is there a nation? Nothing is said where there is none."""
    years = "、".join(f"{year}年度" for year in reference.years)
    return f"全国値のある年度: {years}。全国は47支部の合計です。" if years else ""


def two_sources_text(*, synthetic: bool) -> str:
    """Why may our own checkups and the table of the 47 branches differ?"""
    made = (
        "見本データの集計表は、植えた割合から全国の実際の規模で作られ、健診データは約1万人なので、"
        "差には偶然と作り方の違いが含まれます。"
    )
    return (
        "支部の健診データと47支部の集計表は、別の出どころです。同じ支部・年度でも一致するとは限りません。"
        f"{made if synthetic else ''}"
    )


def risk_years_text(breaks: Mapping[str, int]) -> str:
    """What joins the years, and which risk is cut (`version_breaks`)?"""
    cut = "、".join(
        f"{label}は{year}年度から定義の版が変わるため線を切り、前後をつなげて読みません"
        for label, year in breaks.items()
    )
    return (
        "破線は全国で、集計表のある年度だけを示します。標準人口はすべての年度で同じです(3に示した年度の年齢構成)。"
        f"{f'{cut}(2の定義)。ほかの' if cut else ''}リスクの基準は全期間で同じです。"
    )


def no_levels_text(fiscal_year: int) -> str:
    """Why has a year no levels of 特定保健指導?"""
    return f"{fiscal_year}年度の階層化の値は登録していないため({FIRST_YEAR}年度から)、階層化の結果は示しません。"


def decrease_note(rows: pl.DataFrame) -> str:
    """How were people counted who began a drug, and by which rules was each year judged? `guidance_decrease` rows."""
    drugs = "分母から除く" if rows["drugs_rule"][0] == "exclude" else "減少に数える"
    before, after = (rows[name][0] for name in ("version_before", "version_after"))
    return f"減少率では、服薬で対象外となった人を{drugs}(仮定)。階層化の版: 前年度 {before}、今年度 {after}。"


def aligned_note(rows: pl.DataFrame) -> str:
    """What does the decrease by one year's rules add to that of each year's own rules (`rows`)?"""
    if rows["version_before"][0] == rows["version_after"][0]:
        return "版は両年度で同じなので、上の表と等しい。"
    return "上の表との人数の差は少なく、引き算で個人に近づくため、人数は示さない。"
