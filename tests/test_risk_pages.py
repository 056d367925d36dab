"""The page of the risks: its sentences in every state, what is hidden with what, and what is said where data lack."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import report, risks
from kenpo_analytics.definitions import national
from kenpo_analytics.disclosure import (
    Checked,
    check_card,
    check_decrease,
    check_risk_groups,
    check_risk_ranks,
    check_risk_sexes,
    check_risks,
)
from kenpo_analytics.report import _emit
from kenpo_analytics.report.risk_groups import TOO_FEW
from kenpo_analytics.report.risk_texts import aligned_note, decrease_note
from tests.test_risks_holders import tables
from tests.test_risks_rates import AFTER, BEFORE, GUIDANCE, NATION, OURS, cells


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plain text of everything a page displays."""
    outputs: list[str] = []
    monkeypatch.setattr(_emit.CONTEXT, "synthetic", False)
    monkeypatch.setattr("IPython.display.display", lambda data, **_: outputs.append(data["text/plain"]))
    return outputs


def rates(judgements: str = "高い 低い", *, events: int = 200, nation: float | None = 0.2) -> Checked:
    """代謝リスク of men and women, 22.4 % each, and their sum."""
    word = dict(zip("MF", judgements.split(), strict=True))
    common = {"risk": "risk_metabolic", "label": "代謝リスク", "estimate": 0.224, "lower": 0.21, "upper": 0.24}
    rows = [
        common | {"sex": sex, "events": events, "denominator": 1000, "level": 0.95, "nation": nation, "judgement": said}
        for sex, said in word.items()
    ]
    both = rows[0] | {"sex": "MF", "events": 2 * events, "denominator": 2000}
    schema = {"nation": pl.Float64}
    apart, together = (pl.DataFrame(part, schema_overrides=schema) for part in (rows, [both]))
    return check_risk_sexes(apart, together).where(sex=["M", "F"])


def places(area: str = "24") -> Checked | None:
    row = {
        "fiscal_year": 2024, "risk": "risk_metabolic", "label": "代謝リスク", "area": area, "standard": "47支部",
        "events": 900, "denominator": 4000.0, "estimate": 0.229, "lower": 0.226, "upper": 0.232, "level": 0.95,
        "lower_repeat": None, "upper_repeat": None, "rank": 32, "rank_lower": 30, "rank_upper": 34, "ranked": 47,
        "worst": 10, "standard_rate": 0.222,
    }  # fmt: skip
    table = pl.DataFrame([row | {"sex": sex} for sex in "MF"]).with_columns(pl.col("denominator").cast(pl.Int64))
    return check_risk_ranks(table, area="24")


END = "代謝リスクには血糖の薬を飲んでいる人を含むため、治療を始めても下がりません。差の原因を示すものではありません。"
TABLE = (
    "22.9%(95%信頼区間 22.6% ～ 23.2%)(全国 22.2%、47支部中32位、順位の95%区間 30～34位。"
    "支部の健診データでは22.4%(95%信頼区間 21.0% ～ 24.0%)、判定: {})"
)


def test_the_summary_takes_the_table_of_the_branches_where_there_is_one() -> None:
    assert report.risk_summary(rates("高い 出どころで不一致"), places(), fiscal_year=2024) == (
        "2024年度の健診で、年齢構成をそろえた代謝リスクの割合は、47支部の集計表で"
        f"男が{TABLE.format('高い')}、女が{TABLE.format('出どころで不一致')}でした。"
        "1つのリスクのうち、全国より高いのは男の代謝リスク、低いのはなしです。"
        f"支部の健診データと47支部の集計表が食い違い、高い・低いとしないのは女の代謝リスクです。{END}"
    )


def test_without_the_table_the_summary_takes_our_own_and_without_nation_judges_nothing() -> None:
    alone = rates("全国値なし 全国値なし", nation=None)
    own = "22.4%(95%信頼区間 21.0% ～ 24.0%)(全国値なし)"
    assert report.risk_summary(alone, None, fiscal_year=2020) == (
        f"2020年度の健診で、年齢構成をそろえた代謝リスクの割合は、男が{own}、女が{own}でした。"
        f"2020年度の全国値がないため、高い・低いは判定していません。{END}"
    )


def test_a_masked_share_is_neither_said_nor_judged() -> None:
    said = report.risk_summary(rates(events=4), None, fiscal_year=2024)
    assert "男が秘匿(秘匿)、女が秘匿(秘匿)でした。" in said and "全国より高いのはなし、低いのはなしです。" in said


def test_the_headline_is_the_row_of_the_summary() -> None:
    table, own = (report.risk_headline(rates(), each, sex="F") for each in (places(), None))
    assert (table.table["estimate"].item(), own.table["estimate"].item()) == (0.229, 0.224)


def test_of_a_nation_everything_or_nothing_is_said() -> None:
    none = risks.risk_reference(None, fiscal_year=2024)
    assert report.nation_text(none) == "" and none.expected_from == "支部"
    assert report.standard_text("この支部", none) == (
        "標準人口: この支部(ID: なし。全国値がないため、この支部の受診者の年齢構成)"
    )
    strata = [
        {"measure": "risk_bp", "period": f"FY{year}", "area": area, "sex": "M", "age_band": "40-44", "events": 5,
         "denominator": 10.0, "denominator_unit": "person"}
        for year in (2023, 2024) for area in risks.strata.BRANCHES
    ]  # fmt: skip
    some = risks.risk_reference(pl.DataFrame(strata), fiscal_year=2024)
    assert report.nation_text(some) == "全国値のある年度: 2023年度、2024年度。全国は47支部の合計です。"
    assert some.expected_from == "全国" and "ID: kenpo47-fy2024-examined-sex-age5)" in report.standard_text("x", some)
    others = risks.risk_reference(pl.DataFrame(strata), fiscal_year=2024, population="dependent")
    assert others.years == ()  # the table counts the insured


def test_sentences_on_sources_breaks_and_missing_levels() -> None:
    plain = "支部の健診データと47支部の集計表は、別の出どころです。同じ支部・年度でも一致するとは限りません。"
    assert report.two_sources_text(synthetic=False) == plain
    assert report.two_sources_text(synthetic=True).startswith(f"{plain}見本データの集計表は、植えた割合から")
    begin = "破線は全国で、集計表のある年度だけを示します。標準人口はすべての年度で同じです(3に示した年度の年齢構成)。"
    assert report.risk_years_text({}) == f"{begin}リスクの基準は全期間で同じです。"
    assert report.risk_years_text({"喫煙": 2024}) == (
        f"{begin}喫煙は2024年度から定義の版が変わるため線を切り、前後をつなげて読みません(2の定義)。"
        "ほかのリスクの基準は全期間で同じです。"
    )
    assert report.no_levels_text(2016) == (
        "2016年度の階層化の値は登録していないため(2018年度から)、階層化の結果は示しません。"
    )


@pytest.mark.parametrize(("drugs", "word"), [("exclude", "分母から除く"), ("count", "減少に数える")])
def test_the_notes_of_the_decrease_follow_its_rules(drugs: str, word: str) -> None:
    rows = pl.DataFrame({"drugs_rule": [drugs], "version_before": ["第3期(仮定)"], "version_after": ["第4期"]})
    assert decrease_note(rows) == (
        f"減少率では、服薬で対象外となった人を{word}(仮定)。階層化の版: 前年度 第3期(仮定)、今年度 第4期。"
    )
    assert aligned_note(rows) == "上の表との人数の差は少なく、引き算で個人に近づくため、人数は示さない。"
    assert aligned_note(rows.with_columns(version_before="version_after")) == "版は両年度で同じなので、上の表と等しい。"


def place(name: str, events: int, people: int) -> pl.DataFrame:
    counts = dict.fromkeys("MF", ((events,) * 3, (people,) * 3))
    return cells({s: c[0] for s, c in counts.items()}, {s: c[1] for s, c in counts.items()}, industry=name)


def test_groups_that_no_mask_protects_are_not_shown_and_the_card_neither() -> None:
    alone = ka.risk_rates(place("甲", 49, 50), nation=NATION, method="indirect", sexes="together")  # 6 are no carriers
    assert check_risk_groups(alone, by="industry") is None
    card = ka.health_card(
        pl.concat([place("甲", 30, 90), place("乙", 30, 90)]), group={"industry": "甲"}, nation=NATION
    )
    assert check_card(card, beside=None) is None
    assert check_risk_ranks(pl.DataFrame(), area="24") is None


def test_what_one_table_hides_is_hidden_in_the_next() -> None:
    rows = pl.concat([place("甲", 1, 50), place("乙", 1, 60), place("丙", 30, 90)])
    groups = check_risk_groups(ka.risk_rates(rows, nation=NATION, method="indirect", sexes="together"), by="industry")
    assert groups is not None
    hidden, shown = (
        check_card(ka.health_card(rows, group={"industry": name}, nation=NATION), beside=groups, industry=name)
        for name in ("甲", "丙")
    )
    assert hidden is not None and hidden.where(side="group").table["events"].item() is None
    assert shown is not None and shown.where(side="group").table["events"].item() == 180
    few = check_risks(ka.risk_rates(place("x", 1, 50).drop("industry")), by=["sex"])
    again = check_risks(ka.risk_rates(OURS), by=["sex"], hidden=few)
    assert again.table["events"].null_count() == 2  # 3 men and 3 women are masked there


def test_levels_before_the_rules_began_are_empty_tables(shown: list[str]) -> None:
    levels = risks.levels_of_years(None, None, fiscal_year=risks.FIRST_YEAR - 1)
    staged = ka.check(risks.level_counts(levels), counts=["M", "F", "n"], by=["fiscal_year", "level"])
    report.show(staged, title="階層化の結果", empty=report.no_levels_text(2017))
    found = risks.decrease_of_year(None, None, None, levels=levels, definitions=ka.define())
    assert report.decrease_tables(found, risks.target_levels(levels, fiscal_year=2016), fiscal_year=2017) == []
    assert shown == [
        report.no_levels_text(2017),
        "特定保健指導の表、または前年度の階層化の値がないため、対象者減少率は示しません。",
    ]


def test_groups_that_are_not_shown_say_why(shown: list[str]) -> None:
    report.risk_industries(None, fiscal_year=2024)
    report.risk_towns(None, risk="risk_bp", fiscal_year=2024, expected_from="全国")
    report.risk_card(None, name="甲", fiscal_year=2024)
    assert shown == [TOO_FEW] * 3


def person(at: int, year: int, **values: Any) -> dict:
    return {"person_id": at, "age": 52, "sex": "M", "waist": 90.0, "sbp": 140, "dbp": 80, "year": year} | values


def test_people_of_two_years_are_counted_by_level_and_age() -> None:
    people = [person(at, 2024, sex="MF"[at % 2]) for at in range(6)]
    checkups, members = tables(people)
    levels = risks.levels_of_years(checkups.lazy(), members.lazy(), fiscal_year=2024, population="insured")
    assert list(levels) == [2023, 2024] and len(levels[2024].people) == 6
    counts = risks.level_counts({2024: levels[2024]})
    assert (counts["M"].sum(), counts["F"].sum(), counts["n"].sum()) == (3, 3, 6)
    targets = risks.target_levels(levels, fiscal_year=2024)
    assert targets["n"].sum() == levels[2024].people["target"].sum() > 0
    holders = risks.holders_of_years(checkups.lazy(), members.lazy(), years=[2024])
    both = risks.people_of({2023: holders[2024], 2024: holders[2024]})
    assert len(both) == 12 and risks.examined_by_age(both).rows() == [("50-54", 6, 6, 12)]


def test_the_unknown_are_summed_over_the_sexes() -> None:
    found = risks.unknown_by_risk(ka.risk_rates(OURS))
    assert found.rows() == [("血圧リスク", 512, 500, 12)]


def test_the_decrease_is_masked_by_what_became_of_people() -> None:
    found = check_decrease(ka.guidance_decrease(BEFORE, AFTER, GUIDANCE))
    assert found.table["group"].to_list() == ["利用した人", "利用していない人", "計"]
    assert "numerator" not in found.table.columns


def test_the_printed_shares_keep_their_alternatives() -> None:
    printed = dict(national.jhia_risk_holders().select("label", "value").rows())
    assert printed["腹囲リスク"] == "50.6 or 53.3" and len(printed) == 5


def test_definitions_of_one_month_are_those_in_force() -> None:
    used = ka.define()
    rows = used.listed("guidance", month=202404)
    assert 0 < len(rows) < len(used.listed("guidance")) and all(row.in_force(202404) for row in rows)
