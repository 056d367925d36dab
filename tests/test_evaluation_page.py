"""What the evaluation's pages say: every sentence in each of its states, and what stands where there is nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import disclosure, report
from kenpo_analytics.definitions import define
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.evaluation import lab, two_cohorts
from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.background import flows
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.decide import decide
from kenpo_analytics.evaluation.diagnose import first_outcome
from kenpo_analytics.evaluation.estimate import Estimate, unavailable
from kenpo_analytics.evaluation.protocol import Protocol, standing
from kenpo_analytics.evaluation.two_years import Pair
from kenpo_analytics.report import _emit
from tests.test_evaluation_suite import CHOICE, analysis

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
LATER = Choice((2022,), (2018, 2022), (2017,), "and")
PLAN = Protocol(
    "prediabetes_leaflet", "and", (2017,), (2022,), "全体への効果", "did_ancova", (110.0, 125.0), (100.0, 109.0), 9.0,
    dt.date(2022, 4, 1), digest="0123456789abcdef",
)  # fmt: skip


def pooled() -> AnalysisSet:
    """Outcomes of the year before, of an earlier pooled year, and of the plan's own year (one of them unseen)."""
    rows = [
        ("before", 2017, "observed", dt.date(2018, 5, 1)),
        ("programme", 2018, "observed", dt.date(2019, 6, 1)),
        ("programme", 2022, "unexamined", None),
        ("programme", 2022, "observed", dt.date(2023, 6, 1)),
        ("programme", 2022, "observed", dt.date(2023, 4, 21)),
    ]
    names = ["era", "fiscal_year", "outcome_state", "outcome_date"]
    return AnalysisSet(pl.DataFrame(rows, schema=names, orient="row"), "and", (2017,), (2018, 2022))


def test_a_plan_in_time_for_its_own_year_is_no_late_choice_though_earlier_years_had_letters() -> None:
    first = first_outcome(pooled(), LATER)
    assert first == dt.date(2023, 4, 21)
    assert standing(PLAN, outcomes_from=first) == (
        "設計は解析計画(指紋 0123456789abcdef)によります。計画書に記された日付は2022年4月1日で、事業の年度の最初の結果"
        "(2023年4月21日)より前です(第三者による確認なし)。事業前の年度の結果には、それより前に得られたものがあります。"
    )
    late = standing(replace(PLAN, declared_on=dt.date(2023, 4, 22)), outcomes_from=first)
    assert late == (
        "解析計画(指紋 0123456789abcdef)は2023年4月22日付けで、最初の結果が得られた日より後です(事後選択)。"
    )


def test_before_anybody_is_seen_again_there_is_no_first_outcome() -> None:
    assert first_outcome(pooled(), replace(LATER, programme=(2021,))) is None


# --- the naive comparison ---------------------------------------------------------------------------------

BEFORE, AFTER = "2017年度(事業前)", "2018年度(事業)"
PAIR = Pair(BEFORE, AFTER, "and", {BEFORE: 2017, AFTER: 2018}, {}, {})
ALONE = replace(PAIR, rule="or", years={AFTER: 2018})


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plain text of everything that is displayed."""
    texts: list[str] = []
    monkeypatch.setattr(_emit.CONTEXT, "synthetic", False)
    monkeypatch.setattr(
        "IPython.display.display", lambda data, *, raw, metadata: texts.append(data.get("text/plain", ""))
    )
    return texts


def gap(outcome: str, k1: int, k0: int, estimate: float, **more: object) -> dict:
    numbers = {"estimate": estimate, "lower": estimate - 0.02, "upper": estimate + 0.02, "level": 0.95}
    own = {"events": k1, "denominator": 400, "share": k1 / 400}
    other = {"events_reference": k0, "denominator_reference": 500, "share_reference": k0 / 500}
    return {"outcome": outcome, **numbers, **own, **other, **more}


def naive(worsened: int = 80) -> Checked | None:
    key = {"measure": "category", "among": "seen", "scale": "pp"}
    rows = [gap("improved", 120, 100, 0.1, **key), gap("worsened", worsened, 120, -0.04, **key)]
    return disclosure.check_before_after(pl.DataFrame(rows))


def own(improved: int = 120, worsened: int = 80) -> Checked:
    rows = [("improved", improved), ("same", 400 - improved - worsened), ("worsened", worsened)]
    table = pl.DataFrame(rows, schema=["state", "n"], orient="row").with_columns(denominator=400, level=0.95)
    share = pl.col("n") / 400
    return disclosure.check_outcomes(table.with_columns(estimate=share, lower=share - 0.02, upper=share + 0.02))


def test_the_naive_summary_names_denominator_rule_and_what_it_is_not() -> None:
    assert report.naive_summary(own(), naive(), PAIR) == (
        "参考(単純前後比較であり、効果ではありません): 2018年度の健診で予備群(「及び」)だった人のうち、"
        "次回健診(通知の前後を問わない)を受けた400人を分母とすると、"
        "区分が改善した人は120人、30.0%(95%信頼区間 28.0% ～ 32.0%)、"
        "悪化した人は80人、20.0%(95%信頼区間 18.0% ～ 22.0%)でした。"
        "事業前の2017年度に同じ基準で選んだ人(次回健診を受けた500人)との差は、"
        "改善が+10.0ポイント(95%信頼区間 +8.0 ～ +12.0)、悪化が−4.0ポイント(95%信頼区間 −6.0 ～ −2.0)です。"
    )


def test_without_a_year_before_the_naive_summary_ends_with_the_own_shares() -> None:
    assert report.naive_summary(own(), None, ALONE) == (
        "参考(単純前後比較であり、効果ではありません): 2018年度の健診で予備群(「または」)だった人のうち、"
        "次回健診(通知の前後を問わない)を受けた400人を分母とすると、"
        "区分が改善した人は120人、30.0%(95%信頼区間 28.0% ～ 32.0%)、"
        "悪化した人は80人、20.0%(95%信頼区間 18.0% ～ 22.0%)でした。"
    )
    assert report.naive_headline(None, ALONE) == {}


def test_a_masked_naive_summary_gives_no_number_away() -> None:
    text = report.naive_summary(own(worsened=4), naive(worsened=4), PAIR)
    assert "悪化した人は秘匿、秘匿でした。" in text and "悪化が秘匿です。" in text and "1.0%" not in text


def test_the_naive_headline_calls_each_figure_no_effect() -> None:
    told = report.naive_headline(naive(), PAIR)
    assert {name: col.label for name, (_, col) in told.items()} == {
        "予備群 改善割合の差(単純前後比較)": "予備群 改善割合の差(2018年度、単純前後比較・効果ではない)",
        "予備群 悪化割合の差(単純前後比較)": "予備群 悪化割合の差(2018年度、単純前後比較・効果ではない)",
    }
    assert [shown.table["estimate"].item() for shown, _ in told.values()] == [0.1, -0.04]


def test_the_naive_table_or_that_there_is_none(said: list[str]) -> None:
    report.naive_table(naive(), PAIR)
    report.naive_table(None, ALONE)
    assert said == [
        "<表: 単純前後比較: 改善・悪化の割合の差 ― 分母は期間内に次回健診を受けた人>",
        "事業前の年度のデータがないため、事業前との単純前後比較は示せません。",
    ]


def changes(seen: int = 400, persons: int = 350) -> Checked:
    row = {"measure": "fpg", "time": "change", "seen": seen, "persons": persons, "sd": 9.0, "level": 0.95}
    numbers = [(BEFORE, -1.5), (AFTER, -2.0)]
    rows = [row | {"group": name, "estimate": x, "lower": x - 0.5, "upper": x + 0.5} for name, x in numbers]
    return disclosure.check_changes(pl.DataFrame(rows))


def test_the_fall_without_letters_is_told_with_the_bound_in_force() -> None:
    assert report.fall_text(changes(), PAIR, define()) == (
        "空腹時血糖の平均は、通知のなかった2017年度(事業前)でも、"
        "次回健診までの変化は−1.50mg/dL(95%信頼区間 −2.00 ～ −1.00)でした。"
        "2018年度(事業)は−2.00mg/dL(95%信頼区間 −2.50 ～ −1.50)でした。"
        "予備群は空腹時血糖110mg/dL以上という高い値で選ばれており、たまたま高く測れた人を含むため、"
        "何もしなくても次の値は下がりやすくなります(平均への回帰)。"
        "したがって、事業の年度だけを見た前後の変化は事業の効果とは言えません。"
        "事業前の同じ基準の人との差はこの動きを差し引きますが、"
        "年度による違い(受診者の構成、検査の方法、服薬、感染症流行期の受診控えなど)は差し引けません。"
    )
    own_bound = define(overrides={"prediabetes.fpg.lower": 100})
    assert "空腹時血糖100mg/dL以上" in report.fall_text(changes(), PAIR, own_bound)
    assert report.fall_text(changes(), ALONE, define()) == ""


def test_who_lacks_a_second_value_is_not_given_back_by_a_difference() -> None:
    near = changes(seen=354)  # four people were seen without a value
    assert all(state.startswith("masked") for state in near.states["n"]) and "sd" not in near.table.columns


def looks(*estimates: float | None) -> Checked:
    rows = []
    for i, estimate in enumerate(estimates):
        rows.append(gap("improved", 120, 100, estimate or 0.0, label=f"「及び」 見方{i}", dead_band=5.0))
        rows[-1] |= {} if estimate is not None else dict.fromkeys(("estimate", "lower", "upper"))
    checked = disclosure.check_before_after(pl.DataFrame(rows))
    assert checked is not None
    return checked


def test_the_text_names_the_looks_that_leave_out_0_and_forbids_to_pick_them() -> None:
    always = (
        "区間を示せた2行のうち、95%信頼区間が0を含まないのは1行です。\n\n"
        "- 改善 「及び」 見方0: +5.00ポイント(95%信頼区間 +3.00 ～ +7.00)\n\n"
        "多くの見方を並べると、差がなくても区間が0を外れる行が出ます。"
        "0を外れた行だけを取り上げて、効果の有無を述べることはできません。"
    )
    assert report.looks_text(looks(0.05, 0.01, None), "or") == always
    assert report.looks_text(looks(0.05, 0.01, None), "and") == always + (
        "「または」の行の人の多くは「及び」では通知の対象にならないため、"
        "そこでの差は通知のない人の年度による動きであり、単純前後比較が効果を表さないことの現れです。"
    )


def test_no_look_without_0_is_no_proof_of_no_difference(said: list[str]) -> None:
    assert report.looks_text(looks(0.01, -0.01), "and") == (
        "区間を示せた2行のうち、95%信頼区間が0を含まないのは0行です。ただし、0を含むことは差がないことを示しません。"
    )
    assert report.looks_text(None, "and") == ""
    report.naive_looks(looks(0.01))
    report.naive_looks(None)
    assert said == ["<表: 単純前後比較の感度分析: 割合の差(ポイント)>"]


def test_without_anybody_before_the_programme_there_is_one_cohort_and_nothing_to_compare() -> None:
    tables = ka.load(SAMPLE, month="2025-10")
    asked = {"data_through": 202503, "branch": "24"}
    pair = two_cohorts(tables, fiscal_year=2018, reference_year=2000, **asked)
    assert (pair.before, pair.after, pair.rule) == ("2000年度(事業前)", AFTER, "and")
    assert list(pair.years) == list(pair.cohorts) == list(pair.followed) == [AFTER]
    assert pair.differences() is None and pair.differences_otherwise(tables, **asked) is None
    assert disclosure.check_before_after(None) is None
    both = two_cohorts(tables, fiscal_year=2018, reference_year=2017, **asked)
    assert dict(both.years) == {BEFORE: 2017, AFTER: 2018} and len(both.differences()) == 12


# --- around the designs -----------------------------------------------------------------------------------


def counted_flow(either: int, both: int, implausible: int) -> Checked:
    rows = [
        {"kind": "start", "key": "start", "remaining": 9000, "excluded": 0},
        {"kind": "exclude", "key": "in_or", "remaining": either, "excluded": 9000 - either},
        {"kind": "exclude", "key": "in_and", "remaining": both, "excluded": either - both},
        {"kind": "reference", "key": "implausible", "remaining": implausible, "excluded": 0},
    ]
    table = pl.DataFrame(rows).with_columns(label="key", unit=pl.lit("人"), status=pl.lit("評価"))
    return ka.check_flow(table)


def test_the_rule_in_force_and_both_counts_are_told() -> None:
    flows_of = {BEFORE: counted_flow(2000, 300, 15), AFTER: counted_flow(2100, 310, 4)}
    assert report.cohort_text(flows_of, "and", 2018, define()) == (
        "この報告で用いる基準: 空腹時血糖110以上126未満(mg/dL)「及び」HbA1c 6.0以上6.5未満(%)"
        "(2018年度の健診にもとづく通知の基準)。\n\n"
        "- 2017年度(事業前): 「または」で2,000人、「及び」で300人\n"
        "- 2018年度(事業): 「または」で2,100人、「及び」で310人\n\n"
        "想定範囲の外にある検査値(単位の誤りなど)は使いません。"
        "使わなかった値のある人(対象の健診を受けた人のうち): 2017年度(事業前) 15人、2018年度(事業) 秘匿。"
    )
    assert "「または」HbA1c" in report.cohort_text({AFTER: flows_of[AFTER]}, "or", 2018, define())


def test_windows_and_letters_follow_the_definitions_in_force() -> None:
    assert report.windows_text(define()) == (
        "用いた値(用いた定義による):\n\n"
        "- 次回健診とみなす期間: 健診から6～18か月\n"
        "- 変化とみなさない幅: 空腹時血糖 ±5mg/dL、HbA1c ±0.2%\n"
        "- 通知の後とみなす次回健診: 送付から90日以上あと"
    )
    assert report.letter_names(define(overrides={"next_checkup.letter_days": 60})) == {
        "in_time": "送付し、次回健診が60日以上あと",
        "late": "送付したが、次回健診が60日未満のあとか送付より前",
        "sent_unseen": "送付したが、所定の期間に次回健診なし",
        "not_delivered": "届かず(不達、または事業所の辞退・住所不備で不送付)",
        "no_record": "通知の記録なし",
    }


PRIMARY = Estimate(
    "did_ancova", "差の差", "効果", "平行", role="primary", estimate=-1.0, lower=-1.5, upper=-0.5,
    standard_error=0.25, method="頑健標準誤差", persons=900, compared=800,
)  # fmt: skip
NO_ANSWER = unavailable("did_ancova", "差の差", "効果", "平行", reason="事業前の年度がありません。", role="primary")


def test_the_headline_carries_the_verdict_in_words() -> None:
    for one, words in ((PRIMARY, "低下と推定"), (NO_ANSWER, "識別不能")):
        decision = decide([replace(one, state="not_identified") if one is NO_ANSWER else one], primary="did_ancova")
        row = disclosure.check_estimates(decision.rows, by=["design"])
        ((name, (shown, col)),) = report.effect_headline(row, decision, LATER).items()
        assert name == "通知の効果(主解析、空腹時血糖)" and shown is row
        assert col.label == f"2022年度の通知の効果(主解析、空腹時血糖。{words})"


def test_the_note_of_the_primary_row_says_sign_years_and_interval() -> None:
    common = "マイナスは、通知のほうが次回健診の値が低いこと。年次図は再度の通知を含む全年度、主解析は計画の年度だけ。"
    assert report.primary_note(PRIMARY) == f"{common}区間: 頑健標準誤差。"
    assert report.primary_note(NO_ANSWER) == common


def test_plan_years_before_and_lots() -> None:
    assert (report.plan_name(PLAN), report.plan_name(None)) == ("0123456789abcdef", "なし(事後選択)")
    assert report.one_year_text(LATER) == (
        "年次図の事業前は1年度だけのため、事業の前から平行に動いていたかは読めません。"
    )
    assert report.one_year_text(replace(LATER, before=(2016, 2017))) == ""
    assert report.one_year_text(replace(LATER, before=())) == ""
    lots = replace(PRIMARY, design="randomised")
    assert [report.carried_by_lots(one) for one in (PRIMARY, lots, replace(lots, state="refused"))] == [
        False, True, False,
    ]  # fmt: skip


def test_the_exploring_summary_counts_the_designs_of_one_unit_and_concludes_nothing() -> None:
    flat = replace(PRIMARY, design="iptw", lower=-2.0, upper=1.0)
    share = replace(PRIMARY, design="share", unit="ポイント")
    assert report.lab_summary([PRIMARY, flat, NO_ANSWER, share], "mg/dL") == (
        "探索: 3通りの設計のうち、推定できたのは2通り、そのうち95%信頼区間が0を含まないのは1通りです。"
        "多くの設計を並べると、効果がなくても区間が0を外れるものが出ます。"
        "このページから効果の有無を述べることはできません。"
    )


def test_what_could_not_be_made_is_said_once_or_not_at_all(said: list[str]) -> None:
    report.lost_tables({})
    assert said[3:] == [
        "差の差の転換点: 対象の帯で次回健診のない人の値を動かす: 計算できるだけのデータがないため、示せません。",
        "対象者の中の比較(副次)の転換点: 送付ありで次回健診のない人の値を動かす: "
        "計算できるだけのデータがないため、示せません。",
    ]
    said.clear()
    report.diagnostics({}, "draws", "arms")
    report.jump_figure(None, title="段差", cutoff=109.5)
    report.overlap_plot(None, title="重なり")
    report.interval_plot(None, title="部分集団")
    report.lines(None, title="月次", x="month")
    assert said == []
    report.event_study(None, title="年次図", empty="年次図: 示せません。")
    report.balance_plot(None, title="背景", empty="重み付け: 示せません。")
    assert said == ["年次図: 示せません。", "重み付け: 示せません。"]


def test_the_tipping_points_are_told_below_their_table(said: list[str]) -> None:
    rows = [(delta, -0.5, -1.0, upper, 0.95, upper < 0) for delta, upper in ((-2.0, -0.1), (0.0, 0.2), (2.0, 0.4))]
    names = ["delta", "estimate", "lower", "upper", "level", "excludes_zero"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    report.lost_tables(disclosure.check_diagnostics({"tipping_primary": table}))
    assert said[4] == ("対象の帯で次回健診のない人の値が、見込みより−2mg/dL違うときに限り、区間は0を含まなくなります。")


# --- the laboratory ---------------------------------------------------------------------------------------


def designs_checked(estimates: list[Estimate]) -> Checked:
    return disclosure.check_estimates(lab.labelled(estimates), by=["design"])


def test_a_series_that_is_not_there_says_so_once(said: list[str]) -> None:
    broken, its = lab.interrupted_series(None, "out_of_hours_first", branch="24", start="2023-10")
    assert (broken, its) == ([], {})
    report.design_table(designs_checked(broken), title="分割時系列の推定")
    assert said == []
    report.design_table(designs_checked([PRIMARY]), title="設計")
    assert said == ["<表: 設計>"]


def test_a_series_gives_two_estimates_and_its_frames_with_and_without_a_control() -> None:
    monthly = ka.load(SAMPLE, month="2025-10").polars("kpi_monthly").filter(kpi_id="out_of_hours_first", branch="24")
    grown = pl.col("numerator") * (pl.col("month") / 202000)
    monthly = pl.concat([monthly, monthly.with_columns(grown.cast(monthly["numerator"].dtype), branch=pl.lit("23"))])
    asked = {"branch": "24", "start": "2023-10"}
    broken, its = lab.interrupted_series(monthly, "out_of_hours_first", **asked)
    assert [one.unit for one in broken] == ["件(千人当たり)"] * 2 and set(its) == {"series", "residuals", "dates"}
    against, _ = lab.interrupted_series(monthly, "out_of_hours_first", **asked, control="23")
    assert abs(against[0].estimate) < abs(broken[0].estimate) / 2  # both moved alike


def test_who_cannot_be_followed_from_a_letter_has_a_reason(said: list[str]) -> None:
    sent = pl.DataFrame({"programme": ["a", "b"]})
    found, why = lab.visits_after_letter(pl.DataFrame(), sent, programme="x", fiscal_year=2022, months=4)
    report.design_table(designs_checked(found), title="受診割合の差", empty=why)
    assert said == ["該当なし: 通知(mailings)に、事業「x」の記録がありません(ある事業: a、b)。"]


def test_strata_stand_where_there_was_an_estimate() -> None:
    held = replace(PRIMARY, diagnostics={"strata": pl.DataFrame({"sex": ["F"], "exposed": [1]})})
    assert lab.strata_table(held, strata="sex")["strata"].columns == ["stratum", "exposed"]
    assert lab.strata_table(NO_ANSWER, strata="sex") == {}


def test_each_era_has_its_flow_and_there_is_none_of_an_era_without_years() -> None:
    made = analysis(0.0)
    both, alone = flows(made, CHOICE), flows(made, replace(CHOICE, before=()))
    assert list(both) == ["programme", "before"] and list(alone) == ["programme"]
    first = {era: int(table["remaining"][0]) for era, table in both.items()}
    assert first == {era: made.people.filter(era=era).height for era in first}


def balance(**after: float) -> Checked:
    rows = [{"covariate": name, "smd_before": 0.12, "smd_after": value} for name, value in after.items()]
    return disclosure.check_diagnostics({"balance": pl.DataFrame(rows)})["balance"]


def test_what_the_weights_left_is_named_below_the_figure() -> None:
    apart = (
        "図の「前」は、次回健診の値があり、送付の確率が重なる範囲にいる人だけの差です。"
        "次回健診のない人も含む4章の表1とは、人が違うため値も違います。"
    )
    assert report.balance_text(None) == ""
    none = f"{apart}重み付けの後に絶対値0.1を超える項目はありません。"
    assert report.balance_text(balance(age=0.1, bmi=-0.05)) == none
    assert report.balance_text(balance(age=0.11, bmi=-0.05)) == (
        f"{apart}重み付けの後も絶対値0.1を超える項目が1つ残り(年齢)、背景はそろいきっていません。"
    )
    assert report.balance_text(balance(age=0.11, prior=-0.3)) == (
        f"{apart}重み付けの後も絶対値0.1を超える項目が2つ残り(年齢、前年の空腹時血糖)、背景はそろいきっていません。"
        "このうち前年の空腹時血糖は、重み付けの前より離れました。"
    )
