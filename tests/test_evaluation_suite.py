"""All designs on one set: what is planted is said, nothing is said of nothing, and what cannot be told is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist, mean

import numpy as np
import polars as pl
import pytest

from kenpo_analytics.disclosure import check_diagnostics, check_estimates
from kenpo_analytics.errors import DefinitionError, EstimateError, ParameterError
from kenpo_analytics.evaluation import lab
from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.background import left_out
from kenpo_analytics.evaluation.choices import Choice, choose, find_protocol, years_before
from kenpo_analytics.evaluation.decide import Decision, decide
from kenpo_analytics.evaluation.diagnose import Checks, costs, diagnose, jump, with_adjusted
from kenpo_analytics.evaluation.did import did
from kenpo_analytics.evaluation.did_lost import did_ipcw, tipping
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.evaluation.lab import EFFECTS, OUTCOMES, power_table, stratum_cells, with_outcome
from kenpo_analytics.evaluation.protocol import read_protocol
from kenpo_analytics.evaluation.suite import groups, run_designs
from kenpo_analytics.evaluation.weighting import within_eligible
from kenpo_analytics.report import designs_text
from tests.simulation.worlds import Truth, world

SEED = [77, 3]
"""One of the eleven in twelve worlds in which no placebo comparison raises a false alarm."""
CHOICE = Choice((2022,), (2022,), (2017,), "or")
PLAN = """
programme = "prediabetes_leaflet"
rule = "and"
before = [2017]
years = [2018, 2030]
estimand = "全体への効果"
primary = "did_ancova"
high = [110, 125]
low = [100, 109]
bandwidth = 9
declared_on = 2018-12-10
"""


def analysis(letter: float, *, sent: str = "some") -> AnalysisSet:
    return described(world(SEED, Truth(letter=letter, sent=sent), n=6000))


def described(people: pl.DataFrame) -> AnalysisSet:
    people = people.with_columns(
        hba1c1=pl.col("hba1c"), height1=pl.col("height"), started=pl.lit(False), sbp=pl.lit(125.0), ldl=pl.lit(120.0),
        improved=pl.when(pl.col("y1").is_not_null()).then(pl.col("eligible") & (pl.col("y1") < 110)),
        worsened=pl.when(pl.col("y1").is_not_null()).then(pl.col("y1") >= 126),
        earlier_eligible=pl.lit(False), outcome_date=pl.lit(dt.date(2023, 6, 1)),
    )  # fmt: skip
    return AnalysisSet(people, "or", (2017,), (2022,))


def concluded(letter: float) -> tuple[AnalysisSet, list[Estimate], Checks, Decision]:
    made = analysis(letter)
    found = run_designs(made, CHOICE)
    checks = diagnose(made, CHOICE, found, imputations=3)
    return made, found, checks, decide(found, primary=CHOICE.primary, warnings=checks.warnings)


@pytest.fixture(scope="module")
def planted() -> tuple[AnalysisSet, list[Estimate], Checks, Decision]:
    return concluded(-6.0)


@pytest.fixture(scope="module")
def nothing() -> tuple[AnalysisSet, list[Estimate], Checks, Decision]:
    return concluded(0.0)


def test_the_sentence_changes_when_the_planted_effect_becomes_zero(planted, nothing) -> None:
    assert planted[3].verdict == "lower"
    assert planted[3].sentence.startswith("通知によって、次回健診の空腹時血糖は低くなったと推定されます(差 −")
    assert nothing[3].verdict == "not_shown"
    assert nothing[3].sentence.startswith("通知について、次回健診の空腹時血糖を下げる効果は確認できませんでした(差 ")


def test_designs_within_the_eligible_find_what_is_planted(planted) -> None:
    found = {one.design: one for one in planted[1]}
    for design in ("ancova", "iptw", "aipw", "match", "iptw_ipcw"):
        assert found[design].lower <= -6.0 <= found[design].upper
    assert found["naive"].estimate < -8.0  # regression to the mean on top
    assert found["share_improved_gcomp"].lower > 0
    assert found["did_ancova"].estimate == pytest.approx(-6.0 * 0.5, abs=1.6)  # about half were sent one


def test_a_primary_design_within_the_eligible_compares_the_years_of_the_plan_only(planted) -> None:
    other = world([77, 4], Truth(letter=-9.0, sent="some"), n=6000).filter(pl.col("era") == "programme")
    other = other.with_columns(fiscal_year=pl.lit(2023, pl.Int64).cast(other["fiscal_year"].dtype))
    own = planted[0].people
    both = pl.concat(
        [own, described(other.with_columns(person_id=pl.col("person_id") + 10**6)).people.select(own.columns)]
    )
    both = AnalysisSet(both, "or", (2017,), (2022, 2023))
    plan = replace(CHOICE, years=(2022, 2023), primary="iptw")
    alone = {one.design: one for one in run_designs(planted[0], replace(CHOICE, primary="iptw"))}
    found = {one.design: one for one in run_designs(both, plan)}
    assert (
        found["iptw"].estimate == pytest.approx(alone["iptw"].estimate) and found["iptw"].label == alone["iptw"].label
    )
    pooled = {one.design: one for one in run_designs(both, replace(plan, primary="did_ancova"))}
    assert pooled["iptw"].estimate < found["iptw"].estimate - 1
    assert pooled["iptw"].label == f"{alone['iptw'].label}(2022～2023年度)"


def test_what_misleads_is_refused_with_its_reason_in_its_place(planted) -> None:
    found = {one.design: one for one in planted[1]}
    for design, word in (("iptw_ineligible", "重なりがない"), ("letter_curve", "immortal time")):
        assert found[design].state == "refused" and word in found[design].reason
    assert len(found) == len(planted[1])  # each design once


def test_costs_only_where_improvement_is_shown(planted, nothing) -> None:
    rows = {row["item"]: row for row in costs(planted[0], CHOICE, planted[1], "lower", 1_000_000).iter_rows(named=True)}
    letters = planted[0].people["letter"].sum()
    assert {row["letters"] for row in rows.values()} == {letters}
    assert rows["1通当たりの費用(円)"]["estimate"] == pytest.approx(1_000_000 / letters)
    share = next(one for one in planted[1] if one.design == "share_improved_gcomp").estimate
    assert rows["改善した人1人当たりの費用(円)"]["estimate"] == pytest.approx(1_000_000 / letters / share)
    held = costs(planted[0], CHOICE, planted[1], "not_shown")  # a secondary interval alone buys nothing
    assert held["estimate"].to_list() == [None, None] and "入力されていない" in held["reason"][0]
    assert "主解析で効果が示されていない" in held["reason"][1]
    without = costs(nothing[0], CHOICE, nothing[1], "lower")
    assert without.height == 2 and without["estimate"].null_count() == 2 and all(without["reason"])


def test_methods_describe_only_what_gave_a_number(planted) -> None:
    _, found, checks, _ = planted
    said = designs_text.methods(found, CHOICE, checks)
    assert "差の差は、基準値の上の帯(110～125mg/dL)" in said and "二重頑健推定" in said
    without = [one for one in found if one.design not in ("aipw", "match")]
    less = designs_text.methods(without, CHOICE, Checks({}, (), ()))
    assert "二重頑健推定" not in less and "1対1で組に" not in less and "前提の確認" not in less


def test_limits_name_refusals_and_what_could_not_be_checked(planted) -> None:
    said = designs_text.limits(planted[1], CHOICE, planted[2])
    assert "重なりがない" in said and "プラセボ年度" in said
    lines = said.splitlines()
    assert len(lines) == len(set(lines)) and all(line.startswith("- ") for line in lines)


def test_a_randomised_plan_without_an_assignment_cannot_tell(planted) -> None:
    choice = replace(CHOICE, primary="randomised")
    found = run_designs(planted[0], choice)
    told = decide(found, primary="randomised")
    assert told.verdict == "not_identified" and "割付の記録" in told.sentence
    rule = planted[0].people.with_columns(arm=pl.lit("fpg"))  # by which marker one is eligible: no drawing of lots
    assert decide(run_designs(replace(planted[0], people=rule), choice), primary="randomised").verdict == told.verdict
    arms = planted[0].people.with_columns(
        assigned=pl.when(pl.col("letter")).then(pl.lit("now")).otherwise(pl.lit("later"))
    )
    drawn = replace(planted[0], people=arms.filter(pl.col("eligible"), pl.col("era") == "programme"))
    one = next(one for one in run_designs(drawn, choice) if one.design == "randomised")
    assert one.state == "estimated" and one.lower <= -6.0 <= one.upper


def test_a_page_on_a_drawn_mailing_speaks_of_its_arms(planted) -> None:
    """Half of the later arm got its letter before the outcome: the sentence says so, counts are those of the arms."""
    choice, day = replace(CHOICE, primary="randomised"), dt.date(2023, 1, 20)
    arm = pl.when(pl.col("eligible") & (pl.col("era") == "programme")).then(
        pl.when(pl.col("letter")).then(pl.lit("now")).otherwise(pl.lit("later"))
    )
    late = pl.when(pl.col("person_id") % 2 == 0).then(dt.date(2023, 5, 1))
    people = planted[0].people.with_columns(
        assigned=arm, letter_day=pl.when(pl.col("letter")).then(day).otherwise(late)
    )
    found = replace(planted[0], people=people)
    designs = run_designs(found, choice)
    checks = diagnose(found, choice, designs, imputations=2)
    arms = checks.tables["arms"]
    assert arms["label"].to_list() == ["先に送る", "後で送る"]
    assert 0.4 < arms["mixed"][1] / arms["observed"][1] < 0.6
    assert "早く送ることと遅く送ることの差" in checks.essential[0]
    assert "evalue" in checks.tables and "randomised" not in checks.tables["evalue"]["design"]
    said = designs_text.people_seen(check_diagnostics(checks.tables), "randomised", designs)
    assert said.startswith(f"先に送る群{arms['n'][0]:,}人のうち") and f"後で送る群{arms['n'][1]:,}人" in said
    text = designs_text.methods(designs, choice, checks)
    assert "無作為割付試験である" in text and "後ろ向き" not in text
    assert designs_text.limits(designs, choice, checks).startswith("- 主解析のほかの設計は無作為割付ではない")


def test_without_years_before_letters_the_texts_say_so(planted) -> None:
    later = replace(planted[0], people=planted[0].people.filter(pl.col("era") == "programme"), before=())
    choice = replace(CHOICE, before=())
    found = run_designs(later, choice)
    checks = diagnose(later, choice, found, imputations=2)
    assert decide(found, primary="did_ancova").verdict == "not_identified"
    assert "事業前の年度はない" in designs_text.methods(found, choice, checks)
    assert "上の帯(110" not in designs_text.methods(found, choice, checks)
    assert "識別不能" in designs_text.limits(found, choice, checks) and "years" not in checks.tables


def test_what_could_be_missed_is_two_point_eight_standard_errors(nothing) -> None:
    said = nothing[3].sentence
    assert f"{2.8016 * nothing[3].primary.standard_error:.1f}mg/dLより小さい効果は見逃しやすくなります" in said


def test_shares_are_corrected_for_their_number(nothing) -> None:
    rows = with_adjusted(nothing[3].rows)
    shares = rows.filter(unit="ポイント", state="estimated")
    p = (
        2 * (1 - NormalDist().cdf(abs(one / size))) for one, size in shares.select("estimate", "standard_error").rows()
    )
    ranked = sorted(p)
    assert min(shares["p_adjusted"]) == pytest.approx(min(x * len(ranked) / (i + 1) for i, x in enumerate(ranked)))
    assert rows.filter(unit="mg/dL")["p_adjusted"].null_count() == rows.filter(unit="mg/dL").height
    assert rows["design"].to_list() == nothing[3].rows["design"].to_list()


def test_every_small_frame_passes_the_gate(planted) -> None:
    shown = check_diagnostics(planted[2].tables)
    assert {"falsify", "bands", "years", "jump", "balance", "overlap", "tipping", "subgroups", "states"} <= set(shown)
    overlap = shown["overlap"].table
    assert all(n is None or n == 0 or n >= 10 for name in ("sent", "not_sent") for n in overlap[name])


def test_counts_a_few_people_apart_are_not_both_shown(planted) -> None:
    rows = planted[3].rows
    checked = check_estimates(rows, by=["design"], main={"design": "did_ancova"})
    counts = [n for n in checked.table["persons"].to_list() if n is not None]
    assert not any(1 <= abs(a - b) < 10 for a in counts for b in counts)
    assert checked.table["estimate"].null_count() == rows["estimate"].null_count()  # effects stay


def test_an_effect_of_few_people_is_masked() -> None:
    rows = pl.DataFrame({"design": ["a", "b"], "estimate": [1.0, 2.0], "lower": [0.5, 1.0], "upper": [1.5, 3.0],
                         "persons": [50, 9], "compared": [40, 60]})  # fmt: skip
    checked = check_estimates(rows, by=["design"])
    assert checked.table["estimate"].to_list() == [1.0, None] and checked.states["lower"][1] == "masked"


def test_the_jump_is_a_line_through_the_people(planted) -> None:
    table = jump(groups(planted[0], CHOICE).main, 9.0, 109.5)
    below = table.filter(era="before", side="below")
    assert below["y0"].to_list() == [102.0, 105.0, 108.0]
    people = planted[0].people.filter(pl.col("era") == "before", pl.col("y0").is_between(107, 109), pl.col("hba1c") < 6)
    assert below["persons"][2] == people.height and below["estimate"][2] == pytest.approx(people["y1"].mean())


# --- which evaluation is made ---------------------------------------------------------------------------

YEARS = pl.DataFrame({"fiscal_year": [2018, 2019, 2020], "letters": [9, 9, 9], "rule": ["and", "and", "or"]})


def test_without_a_plan_the_first_year_with_letters_is_primary() -> None:
    found = choose(YEARS, last=2020, before=[2017])
    assert (found.programme, found.years, found.rule, found.protocol) == ((2018,), (2018, 2019), "and", None)
    with pytest.raises(EstimateError, match="通知のある年度"):
        choose(YEARS, last=2017, before=[2016])


def test_a_plan_decides_and_departures_are_told(tmp_path: Path) -> None:
    (tmp_path / "protocol.toml").write_text(PLAN, encoding="utf-8")
    plan = find_protocol(tmp_path)
    found = choose(YEARS, last=2019, before=[2016], protocol=plan)
    assert found.programme == (2018,) and found.before == (2017,)
    said = "。".join(found.departures)
    assert "2030年度は次回健診の期間が終わっていない" in said and "解析計画の年度を使いました" in said
    text = designs_text.protocol_text(found)
    assert plan.digest in text and "解析計画との違い" in text
    assert "事後選択" in designs_text.protocol_text(found, outcomes_from=dt.date(2018, 12, 1))


def test_a_plan_of_other_years_or_another_programme_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "protocol.toml").write_text(PLAN, encoding="utf-8")
    plan = find_protocol(tmp_path)
    assert plan is not None
    with pytest.raises(EstimateError, match="2030年度"):
        choose(YEARS, last=2020, before=[2017], protocol=replace(plan, years=(2030,)))
    with pytest.raises(EstimateError, match="解析計画の事業"):
        choose(YEARS, last=2020, before=[2017], protocol=plan, letters="other")
    with pytest.raises(EstimateError, match=r"基準\(及び\)は、2020年度の通知の基準と違う"):
        choose(YEARS, last=2020, before=[2017], protocol=replace(plan, years=(2018, 2020)))
    with pytest.raises(EstimateError, match=r"基準\(または\)は、2018年度の通知の基準と違う"):
        choose(YEARS, last=2020, before=[2017], protocol=replace(plan, rule="or"))


# --- who is lost ----------------------------------------------------------------------------------------


def test_people_gone_before_the_batch_are_not_the_unsent() -> None:
    """Half of those who stay high leave before the batch and are never sent a letter: beside them it would look bad."""
    errors: dict[str, list[float]] = {"kept": [], "left out": []}
    for rep in range(4):
        people = world([77, 40, rep], Truth(letter=-2.0, sent="some", gone=0.5))
        made = described(people)
        everybody = made.people.filter("eligible", pl.col("era") == "programme")
        for name, frame in (("kept", everybody), ("left out", groups(made, CHOICE).eligible)):
            one = within_eligible(frame, design="aipw")
            errors[name].append(one.estimate + 2.0)
    assert abs(mean(errors["left out"])) < 0.45
    assert abs(mean(errors["kept"])) > 1.0
    table = left_out(made.people)
    assert table["n"].sum() == everybody.height
    assert table.filter(state="no_plan")["n"].item() == everybody.filter(~pl.col("planned")).height


def test_loss_that_hangs_on_the_person_is_repaired_and_other_loss_is_reached() -> None:
    """Heavy people of the mailed band stay away more often in the programme era: weights by cell make up for them."""
    bare, weighted = [], []
    for rep in range(4):
        people = world([77, 41, rep], Truth(letter=0.0))
        rng = np.random.default_rng([77, 42, rep])
        ours = ((people["era"] == "programme") & people["eligible"]).to_numpy()
        bmi = people["bmi"].to_numpy() - 24
        away = ours & (rng.random(people.height) < 1 / (1 + np.exp(-0.3 * bmi)))
        slope = pl.Series(1.0 * bmi * people["eligible"].to_numpy())
        people = people.with_columns(y1=pl.when(pl.Series(away)).then(None).otherwise(pl.col("y1") + slope))
        bare.append(did(people).estimate)
        weighted.append(did_ipcw(people).estimate)
    assert mean(bare) < -0.9
    assert abs(mean(weighted)) < 0.6
    table = tipping(people, imputations=5)
    step = table["estimate"].diff().drop_nulls()
    share = away[ours].mean()
    assert step.to_list() == pytest.approx([2 * share] * step.len(), rel=0.1)


def test_no_plan_is_none_and_a_named_one_must_exist(tmp_path: Path) -> None:
    assert find_protocol(tmp_path) is None
    with pytest.raises(DefinitionError):
        find_protocol(tmp_path, "plan.toml")
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    assert find_protocol(tmp_path, "plan.toml") == read_protocol(tmp_path / "plan.toml")


# --- the laboratory -------------------------------------------------------------------------------------


def test_strata_add_up_to_the_people(planted) -> None:
    eligible = groups(planted[0], CHOICE).eligible
    cells = stratum_cells(eligible, strata="sex")
    seen = eligible.filter(pl.col("improved").is_not_null())
    assert cells.select(pl.sum("exposed", "control")).row(0) == (seen["letter"].sum(), (~seen["letter"]).sum())
    assert cells["exposed_events"].sum() == seen.filter("letter")["improved"].sum()


def test_nothing_can_be_asked_that_is_not_there(planted) -> None:
    with pytest.raises(EstimateError, match="層の名前"):
        stratum_cells(groups(planted[0], CHOICE).eligible, strata="municipality")
    for year in (2022, 2025, 1990):  # the published debts begin in 2022: nothing lies before
        with pytest.raises(EstimateError, match="前と後"):
            lab.debt_groups(year)
        with pytest.raises(EstimateError, match="前と後"):
            lab.debt_strata(year)
    assert lab.debt_strata(2023)["fiscal_year"].to_list() == [2023, 2024]
    visits = pl.DataFrame({"record_id": [1]})
    sent = pl.DataFrame({"programme": ["a", "b"]})
    assert lab.no_visits(visits, sent, programme="b", fiscal_year=2022) is None
    assert "(ある事業: a、b)" in lab.no_visits(visits, sent, programme="x", fiscal_year=2022)
    assert "該当なし: 1990年度の健診" in lab.no_visits(visits.clear(), sent, programme="a", fiscal_year=1990)


def test_years_asked_for_are_never_left_out_unsaid() -> None:
    checkups = pl.DataFrame({"checkup_date": [dt.date(2017, 4, 1), dt.date(2018, 4, 1)]})
    assert years_before([2017], checkups, YEARS) == (2017,)
    for wrong, message in ((2016, "2016年度の健診が、データにありません"), (2018, "2018年度\\)より前ではありません")):
        with pytest.raises(ParameterError, match=message):
            years_before([2017, wrong], checkups, YEARS)
    assert years_before([2016], checkups.tail(1), YEARS) == (
        2016,
    )  # no year before letters at all: 識別不能 on the page
    assert choose(YEARS, last=2020, before=[2017], years=[2018]).years == (2018,)
    for years in ([2018, 2030], [2030]):
        with pytest.raises(ParameterError, match="2030年度"):
            choose(YEARS, last=2020, before=[2017], years=years)
    with pytest.raises(ParameterError, match="2020年度の通知の基準"):
        choose(YEARS, last=2020, before=[2017], years=[2018, 2020])


def test_a_rule_selects_the_years_whose_letters_went_by_it() -> None:
    found = choose(YEARS, last=2020, before=[2017], rule="or")
    assert (found.programme, found.years, found.rule) == ((2020,), (2020,), "or")
    assert choose(YEARS, last=2020, before=[2017], rule="and", years=[2019]).years == (2019,)
    with pytest.raises(ParameterError, match=r"2019年度の通知の基準は、用いる基準\(または\)と違う") as one:
        choose(YEARS, last=2020, before=[2017], rule="or", years=[2019, 2020])
    assert "評価できる年度: 2020年度" in str(one.value.hint)
    with pytest.raises(ParameterError, match=r"rule=「or」\(または\)で通知が送られ") as none:
        choose(YEARS, last=2019, before=[2017], rule="or")
    told = "年度ごとの通知の基準: 2018年度は及び、2019年度は及び、2020年度はまたは(期間が終わっていない)"
    assert none.value.hint == told
    with pytest.raises(ParameterError, match="rule=「xor」"):
        choose(YEARS, last=2020, before=[2017], rule="xor")


def test_another_outcome_takes_the_place_of_glucose(planted) -> None:
    people = with_outcome(planted[0], "height").people
    assert people["y1"].to_list() == (planted[0].people["height1"] - planted[0].people["height"]).to_list()
    with pytest.raises(EstimateError, match="結果の名前"):
        with_outcome(planted[0], "weight")


def test_a_page_that_tries_out_names_only_what_it_shows_and_nothing_primary(planted) -> None:
    every = run_designs(planted[0], CHOICE)
    checks = diagnose(planted[0], CHOICE, every)
    designs = lab.in_unit(every, "fpg")
    text = designs_text.methods(designs, CHOICE, checks, exploring=["years", *lab.CHECKS])
    assert "主解析を置かない" in text and text.endswith("どの設計からも結論は述べない。")
    usual = designs_text.methods(every, CHOICE, checks)
    for word in ("改善・悪化の割合", "標準化差", "傾向スコアの重なり", "交互作用の検定"):
        assert word not in text and word in usual
    assert "年次図" in text and "陰性対照" in text
    limits = designs_text.limits(designs, CHOICE, checks, exploring=True)
    assert "主解析" not in limits + designs_text.protocol_text(CHOICE, exploring=True).replace("主解析: なし", "")
    assert set(lab.labelled(designs)["role_label"]) == {"探索", "参考"}


def test_power_needs_people(planted) -> None:
    eligible = groups(planted[0], CHOICE).eligible
    table = power_table(eligible, 800, steps=(400, 1600), effects=(-2.0,))
    first, second = table.filter(question="detectable")["effect"].to_list()
    assert first == pytest.approx(2 * second)
    assert table["years"][:2].to_list() == [0.5, 2.0]
    with pytest.raises(EstimateError, match="30人"):
        power_table(eligible.head(20), 800)


@pytest.mark.parametrize(("outcome", "baseline"), [("hba1c", "hba1c"), ("height", "height")])
def test_power_asks_for_differences_of_the_outcome_that_is_looked_at(planted, outcome: str, baseline: str) -> None:
    eligible, rng = groups(planted[0], CHOICE).eligible, np.random.default_rng(11)
    base = rng.normal(0.0, 0.3, eligible.height)
    moved = 0.6 * base + rng.normal(0.0, 0.2, eligible.height)
    values = pl.DataFrame({baseline: base, "y1": moved})
    eligible = eligible.with_columns(values[baseline], y1=pl.when(pl.col("y1").is_not_null()).then(values["y1"]))
    table = power_table(eligible, 800, outcome=outcome)
    seen = eligible.filter(pl.col("y1").is_not_null())
    y, x = (seen.select("y1", baseline).drop_nulls()[name].to_numpy() for name in ("y1", baseline))
    assert table["unit"].unique().to_list() == [OUTCOMES[outcome]]
    assert table["sd"][0] == pytest.approx(np.std(seen["y1"].drop_nulls().to_numpy(), ddof=1))
    assert table["correlation"][0] == pytest.approx(np.corrcoef(x, y)[0, 1])
    needed = table.filter(question="needed")
    assert needed["effect"].to_list() == list(EFFECTS[outcome])
    assert needed["persons"].n_unique() == 4 and table.filter(question="detectable")["effect"].min() > 0.005


def test_lots_drawn_after_the_letters_are_no_trial(planted) -> None:
    choice, day = replace(CHOICE, primary="randomised"), dt.date(2023, 1, 20)
    arm = pl.when(pl.col("eligible") & (pl.col("era") == "programme")).then(
        pl.when(pl.col("letter")).then(pl.lit("now")).otherwise(pl.lit("later"))
    )
    people = planted[0].people.with_columns(assigned=arm, sent_on=pl.when("letter").then(day))
    for drawn_on, state in ((dt.date(2022, 12, 1), "estimated"), (dt.date(2026, 11, 23), "not_identified")):
        found = replace(planted[0], people=people.with_columns(drawn_on=pl.lit(drawn_on)))
        one = next(one for one in run_designs(found, choice) if one.design == "randomised")
        assert one.state == state
    assert "割付より前" in one.reason
