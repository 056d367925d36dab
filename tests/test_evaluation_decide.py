"""The one sentence that decides, and the protocol that was locked before."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.errors import DefinitionError, EstimateError
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.decide import APART, decide
from kenpo_analytics.evaluation.estimate import Estimate, as_rows, unavailable
from kenpo_analytics.evaluation.protocol import POST_HOC, Protocol, read_protocol, standing
from kenpo_analytics.evaluation.trial_arms import ARMS
from kenpo_analytics.evaluation.trial_record import KINDS
from kenpo_analytics.report.designs_results import contrary, verdict_words

SHOWN = Estimate("did_ancova", "差の差", "E", "前提X", estimate=-2.0, lower=-3.0, upper=-1.0, standard_error=0.5)
NAIVE = Estimate("naive", "単純前後比較", "E", "A", role="reference", estimate=-6.0, lower=-7.0, upper=-5.0)
OTHER = Estimate("iptw", "IPTW", "E", "A", estimate=-1.0, lower=-2.5, upper=0.5)

TEXT = """
programme = "prediabetes_leaflet"
rule = "and"
before = [2017]
years = [2018]
estimand = "通知の対象の帯への平均効果"
primary = "did_ancova"
high = [110, 125]
low = [100, 109]
bandwidth = 9
declared_on = 2026-04-01
"""


def test_an_effect_is_claimed_only_with_interval_and_assumption():
    found = decide([NAIVE, SHOWN], primary="did_ancova")
    assert found.verdict == "lower"
    assert "低くなったと推定されます" in found.sentence
    assert "差 −2.00mg/dL、95%信頼区間 −3.00～−1.00。マイナスが低下" in found.sentence
    assert "前提X" in found.basis and POST_HOC in found.basis and POST_HOC not in found.sentence
    assert found.primary.role == "primary"


@pytest.mark.parametrize(
    ("change", "warnings", "others", "verdict", "words"),
    [
        ({"upper": 0.1}, [], [], "not_shown", "確認できませんでした"),
        ({"upper": 0.0}, [], [], "not_shown", "効果なしを含みます"),
        ({"estimate": 2.0, "lower": 1.0, "upper": 3.0}, [], [], "higher", "高くなった"),
        ({}, ["プラセボ年度"], [], "warned", "効果があったとは結論しません"),
        ({"warnings": ("再度の通知を含む",)}, [], [], "warned", "再度の通知を含む"),
        ({}, [], [replace(OTHER, estimate=1.0, lower=0.2, upper=1.8)], "disagree", "食い違う"),
        ({"state": "not_identified", "estimate": None, "lower": None, "upper": None, "reason": "識別不能です"}, [], [],
         "not_identified", "識別不能です"),
        ({"upper": 0.1}, ["密度"], [], "not_shown", "診断が警告を出しています(密度)"),
    ],
)  # fmt: skip
def test_nothing_is_claimed_when_anything_speaks_against_it(change, warnings, others, verdict, words):
    found = decide([NAIVE, replace(SHOWN, **change), *others], primary="did_ancova", warnings=warnings)
    assert found.verdict == verdict
    assert words in found.sentence + found.basis
    if verdict != "higher":
        assert "低くなったと推定" not in found.sentence


def test_the_naive_design_never_contradicts_and_never_carries():
    up = replace(NAIVE, estimate=6.0, lower=5.0, upper=7.0)
    assert decide([up, SHOWN], primary="did_ancova").verdict == "lower"
    nothing = replace(SHOWN, upper=0.5)
    assert "単純前後比較" not in decide([NAIVE, nothing], primary="did_ancova").basis


def test_designs_that_say_otherwise_are_named():
    found = decide([SHOWN, OTHER], primary="did_ancova")
    assert "ほかの1設計のうち1設計では、区間が効果なしを含みます" in found.basis
    nothing, shows = replace(SHOWN, upper=0.5), replace(OTHER, upper=-0.5)
    assert "IPTWの区間は効果なしを含みませんが" in decide([nothing, shows], primary="did_ancova").basis


def test_designs_without_lots_do_not_overrule_a_trial():
    """Randomised -6.18 (-6.82 to -5.54) beside a difference-in-differences of +3 (1 to 5): the trial decides."""
    trial = Estimate("randomised", "無作為割付", "E", "A", estimate=-6.18, lower=-6.82, upper=-5.54)
    contrary = replace(SHOWN, estimate=3.0, lower=1.0, upper=5.0)
    found = decide([contrary, trial], primary="randomised")
    assert found.verdict == "lower" and "食い違う" not in found.sentence
    assert "無作為割付によらない差の差の区間は逆の向きですが" in found.basis and "結論を変えません" in found.basis
    for others in ([SHOWN], []):
        assert "逆の向き" not in decide([*others, trial], primary="randomised").basis
    assert decide([contrary, trial], primary="did_ancova").verdict == "disagree"  # a trial overrules what has no lots
    assert decide([contrary, replace(trial, warnings=("疑い",))], primary="randomised").verdict == "warned"


def test_points_and_ratios_are_printed_on_their_own_scale():
    points = Estimate("s", "割合", "E", "A", unit="ポイント", estimate=0.051, lower=0.02, upper=0.08)
    assert "+5.1ポイント、95%信頼区間 +2.0～+8.0" in decide([points], primary="s").sentence
    ratio = Estimate("mh", "オッズ比", "E", "A", unit="倍", null_value=1.0, estimate=1.5, lower=0.9, upper=2.5)
    found = decide([ratio], primary="mh")
    assert found.verdict == "not_shown" and "比 1.50倍、95%信頼区間 0.90～2.50" in found.sentence


def test_a_primary_that_was_not_run_is_refused():
    with pytest.raises(EstimateError, match="diff_in_disc"):
        decide([SHOWN], primary="diff_in_disc")


def test_refused_designs_keep_their_row_and_reason():
    rows = decide([SHOWN, unavailable("x", "X", "E", "A", reason="少ない")], primary="did_ancova").rows
    assert rows["state_label"].to_list() == ["推定", "推定せず"]
    assert rows["reason"].to_list() == [None, "少ない"]
    assert as_rows([]).height == 0


def read(tmp_path, text: str) -> Protocol:
    path = tmp_path / "protocol.toml"
    path.write_text(text, encoding="utf-8")
    return read_protocol(path)


def test_the_fingerprint_follows_values_not_layout(tmp_path):
    one = read(tmp_path, TEXT)
    two = read(tmp_path, "# 計画\n" + TEXT.replace("bandwidth = 9", "bandwidth = 9.0"))
    three = read(tmp_path, TEXT.replace("110, 125", "110, 126"))
    assert one.digest == two.digest != three.digest
    assert len(one.digest) == 12 and one.window == (90, 18)
    assert read(tmp_path, TEXT + "window = [60, 18]\n").digest != one.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("did_ancova", "naive", "naive"),
        ('rule = "and"', 'rule = "xor"', "xor"),
        ("low = [100, 109]", "low = [100, 110]", "帯"),
        ("declared_on = 2026-04-01", "", "declared_on"),
        ("declared_on = 2026-04-01", "declared_on = 2026-04-01T10:00:00", "時刻"),
        ("bandwidth = 9", 'bandwidth = "9"', "bandwidth"),
        ("years = [2018]", "years = []", "years"),
        ("years = [2018]", 'years = ["2018"]', "整数"),
        ("years = [2018]", "years = [2017]", "それより前"),
        ("bandwidth = 9", "bandwidth = 9\nsecret = 1", "secret"),
        ("bandwidth = 9", "bandwidth = 9\nwindow = [90]", "window"),
        ("bandwidth = 9", "bandwidth = 9\nwindow = [0, 18]", "window"),
        ("bandwidth = 9", "bandwidth = 9\nwindow = [600, 18]", "window"),
        ("bandwidth = 9", "bandwidth = 0", "bandwidth は0より大きく"),
        ("bandwidth = 9", "bandwidth = nan", "bandwidth は0より大きく"),
        ("high = [110, 125]", "high = [110, inf]", "2つの数"),
        ("high = [110, 125]", "high = [110, 2000]", "想定範囲"),
        ("high = [110, 125]", "high = [true, 125]", "2つの数"),
        ("bandwidth = 9", 'bandwidth = 9"', r"\d行目「bandwidth = 9\"」: .*文字"),
        ("bandwidth = 9", "bandwidth = ", "書き方"),
    ],
)
def test_protocols_that_decide_nothing_are_refused(tmp_path, old, new, message):
    with pytest.raises(DefinitionError, match=message):
        read(tmp_path, TEXT.replace(old, new))


def test_a_missing_protocol_is_told(tmp_path):
    with pytest.raises(DefinitionError, match="読めません"):
        read_protocol(tmp_path / "none.toml")


def test_what_was_chosen_late_is_called_so(tmp_path):
    plan = read(tmp_path, TEXT)
    assert POST_HOC in standing(None)
    assert POST_HOC not in standing(plan) and plan.digest in standing(plan)
    assert POST_HOC in standing(plan, outcomes_from=dt.date(2025, 4, 1))


def test_the_decision_itself_knows_a_plan_that_came_after_outcomes(tmp_path):
    plan = read(tmp_path, TEXT)  # dated 1 April 2026
    late = decide([SHOWN], primary="did_ancova", protocol=plan, outcomes_from=dt.date(2025, 4, 1))
    assert POST_HOC in late.basis and "最初の結果が得られた日より後" in late.basis
    early = decide([SHOWN], primary="did_ancova", protocol=plan, outcomes_from=dt.date(2026, 9, 1))
    assert POST_HOC not in early.basis and "第三者による確認なし" in early.basis


def test_what_could_not_be_checked_stands_in_the_sentence_and_departures_in_the_basis():
    found = decide([SHOWN], primary="did_ancova", unchecked=["平行な推移は確かめられていません"], departures=["年度"],
                   subject="2018年度の通知", people="対象215人のうち次回の値がある131人と、比較338人")  # fmt: skip
    assert found.sentence.startswith("2018年度の通知によって") and "対象215人のうち" in found.sentence
    assert found.sentence.endswith("ただし、平行な推移は確かめられていません。")
    assert found.basis.endswith("解析計画と違う点: 年度。")


@settings(max_examples=200, deadline=None)
@given(
    middle=st.floats(-20, 20), below=st.floats(0, 20), above=st.floats(0, 20), warned=st.booleans(),
    null=st.sampled_from([0.0, 1.0]),
)  # fmt: skip
def test_no_interval_that_holds_no_effect_is_ever_called_one(middle, below, above, warned, null):
    one = replace(SHOWN, estimate=middle, lower=middle - below, upper=middle + above, null_value=null)
    found = decide([one], primary="did_ancova", warnings=["診断"] if warned else [])
    holds = one.lower <= null <= one.upper
    assert (found.verdict in ("lower", "higher")) == (not holds and not warned)
    assert ("なったと推定されます" in found.sentence) == (found.verdict in ("lower", "higher"))


# --- lots: whose value is lower, and what the other designs may be set against ----------------------------------------

CHOICE = Choice((2018,), (2018,), (2017,), "and", primary="randomised")
SUBJECT = "2018年度の健診にもとづく通知の割付(版A群と版B群の差)"


def lots(kind: str, **change: object) -> Estimate:
    names = list(KINDS[kind])
    arms = pl.DataFrame({"assigned": names, "label": [ARMS[arm] for arm in names], "n": 50, "observed": 50})
    one = replace(SHOWN, design="randomised", label="無作為割付", diagnostics={"arms": arms})
    return replace(one, **{"estimate": 3.81, "lower": 1.0, "upper": 6.62, **change})


def test_the_sentence_on_two_versions_says_which_is_higher_and_sets_no_other_design_against_it() -> None:
    found = decide([lots("leaflets"), SHOWN, OTHER], primary="randomised", subject=SUBJECT)
    assert found.verdict == "higher"
    assert found.sentence == (
        f"{SUBJECT}では、版A群の次回健診の空腹時血糖は、版B群より高いと推定されます"
        "(差 +3.81mg/dL、95%信頼区間 +1.00～+6.62。マイナスは版A群のほうが低いこと)。"
    )
    assert found.basis.startswith(f"主解析: 無作為割付。前提: 前提X。{APART}") and "設計では" not in found.basis
    assert "逆の向き" not in found.basis  # the difference-in-differences points the other way: another quantity
    assert contrary([lots("leaflets"), SHOWN, OTHER], CHOICE) == APART
    assert verdict_words("higher", found.primary) == "版A群が高いと推定"
    lower = decide([lots("leaflets", estimate=-2.0, lower=-3.0, upper=-1.0)], primary="randomised", subject=SUBJECT)
    assert "版A群の次回健診の空腹時血糖は、版B群より低いと推定されます(差 −2.00mg/dL" in lower.sentence


def test_no_difference_of_two_versions_is_not_called_an_effect() -> None:
    one = decide([lots("leaflets", lower=-1.0), SHOWN], primary="randomised", subject=SUBJECT)
    assert one.sentence == (
        f"{SUBJECT}について、次回健診の空腹時血糖の、版A群と版B群の違いは確認できませんでした"
        "(差 +3.81mg/dL、95%信頼区間 −1.00～+6.62。マイナスは版A群のほうが低いこと)。"
        "違いがないことを示すものでもありません。この人数では、1.4mg/dLより小さい効果は見逃しやすくなります。"
    )
    assert one.basis.startswith(f"主解析: 無作為割付。区間は効果なしを含みます。{APART}")
    doubted = decide([lots("leaflets")], primary="randomised", warnings=["疑い"], subject=SUBJECT)
    assert "の、版A群と版B群の違いがあったとは結論しません(差 +3.81mg/dL" in doubted.sentence


def test_a_delay_is_told_by_its_arms_and_the_other_designs_stand_beside_it() -> None:
    found = decide([lots("delay", estimate=-3.0, lower=-4.0, upper=-2.0), OTHER], primary="randomised")
    assert found.sentence == (
        "通知では、先に送る群の次回健診の空腹時血糖は、後で送る群より低いと推定されます"
        "(差 −3.00mg/dL、95%信頼区間 −4.00～−2.00。マイナスは先に送る群のほうが低いこと)。"
    )
    assert "ほかの1設計のうち1設計では、区間が効果なしを含みます。" in found.basis
    apart = contrary([lots("delay"), SHOWN], CHOICE)
    assert apart == "推定できたほかの1設計のうち、主解析と向きが違うのは差の差です(値と区間は一覧表)。"
    none = decide([lots("delay", lower=-1.0)], primary="randomised")
    assert none.sentence.startswith("通知について、次回健診の空腹時血糖を下げる効果は確認できませんでした(差 +3.81")
    assert verdict_words("lower", found.primary) == "先に送る群が低いと推定"
    assert verdict_words("lower", SHOWN) == "低下と推定"
