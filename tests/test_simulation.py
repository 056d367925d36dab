"""A few replicates of the acceptance simulation, and the sample world: what is planted is found, nothing else.

`make test-simulation` runs 200 of each; docs/evaluation.md has the measured table.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from kenpo_analytics.evaluation.analysis import AnalysisSet, analysis_set
from kenpo_analytics.evaluation.decide import decide
from kenpo_analytics.evaluation.did import did, per_letter
from kenpo_analytics.evaluation.discontinuity import diff_in_disc
from kenpo_analytics.evaluation.falsify import falsify, placebo_group, placebo_year, warnings_of
from kenpo_analytics.evaluation.regression_to_mean import naive
from kenpo_analytics.evaluation.subsets import first_letters, restricted
from kenpo_analytics.evaluation.trial import detectable
from kenpo_analytics.evaluation.weighting import within_eligible
from kenpo_analytics.sample.world import simulate
from tests.simulation.acceptance import HOSTILE, LABEL, LETTER, TOLERANCES, judged, measure, not_at_random, small

REPLICATES = 6


@pytest.fixture(scope="module")
def measured() -> pl.DataFrame:
    return measure(REPLICATES)


@pytest.mark.parametrize("design", sorted(TOLERANCES))
def test_each_design_finds_what_is_planted_and_claims_nothing_else(measured, design):
    planted = measured.filter(design=design, letter=LETTER).row(0, named=True)
    null = measured.filter(design=design, letter=0.0).row(0, named=True)
    room = 3 * planted["sd"] / REPLICATES**0.5  # what six replicates can tell
    assert abs(planted["bias"]) < TOLERANCES[design].bias + room
    assert planted["coverage"] >= 0.6  # 95 % intervals: two of six beside it is rarer than once in 400 tables
    assert null["claims"] <= 0.4


def test_the_naive_fails_and_the_plain_jump_is_letter_and_label(measured):
    row = measured.filter(design="naive", letter=0.0).row(0, named=True)
    assert row["bias"] < -3.5 and row["claims"] == 1.0
    jump = measured.filter(design="rdd", letter=LETTER).row(0, named=True)
    assert abs(jump["mean"] - (LETTER + LABEL)) < 0.2 + 3 * jump["sd"] / REPLICATES**0.5
    lost = measured.filter(design="complete_case")["bias"].mean()
    assert lost > 0.25  # loss by BMI and letter: 0.6 in 200 replicates


@pytest.mark.parametrize("name", [name for name, kind in HOSTILE.items() if kind.warns])
def test_in_hostile_worlds_diagnostics_warn_and_nothing_is_claimed(name):
    _, warnings, verdict = judged(name, 1)
    assert warnings
    assert verdict in ("warned", "not_shown")


def test_in_a_fair_world_the_letter_is_claimed():
    found = [judged("fair, letter -2.0", rep) for rep in range(1, 4)]  # one fair world in four warns all the same
    assert [bool(warnings) for _, warnings, _ in found].count(True) <= 1
    assert all(verdict == ("warned" if warnings else "lower") for _, warnings, verdict in found)


def test_a_small_letter_is_covered_and_its_detectable_effect_stated():
    found = small(REPLICATES)
    assert found["coverage"] >= 0.6 and abs(found["bias"]) < 0.5
    assert 0.8 < found["detectable"] < 1.4  # mg/dL: -0.5 cannot be shown with so many people
    assert detectable(800, sd=9.0, correlation=0.5).detectable > 0.5


def test_loss_by_the_outcome_is_not_repaired_but_reached_by_the_tipping_points():
    bias, crossed = not_at_random(3)
    assert bias < -0.5 and crossed


# --- the sample world: 50,000 people, letters -2.0, result sheet -0.5, calendar +0.8 ---------------------------------


def evaluated(variant: str, persons: int = 50_000, before: tuple[int, ...] = (2017,)) -> AnalysisSet:
    tables: dict[str, Any] = simulate(seed=20260401, persons=persons, variant=variant)[0]  # type: ignore[arg-type]
    return analysis_set(
        tables["checkups"], tables["members"], tables["mailings"], programme=range(2018, 2024), before=before,
        data_through=202510,
    )  # fmt: skip


@pytest.fixture(scope="module")
def full() -> AnalysisSet:
    return evaluated("full")


@pytest.fixture(scope="module")
def nothing() -> AnalysisSet:
    return evaluated("no_letter_effect")


def first_year(found: AnalysisSet) -> pl.DataFrame:
    return first_letters(found.people.filter(pl.col("fiscal_year") <= 2018))


@pytest.mark.slow
def test_the_sample_world_gives_back_the_letter(full):
    assert full.rule == "and"
    people = restricted(first_year(full), full.rule)
    for one in (per_letter(people), per_letter(restricted(full.people, full.rule)), diff_in_disc(people)):
        assert one.lower < -2.0 < one.upper
    whole = did(people)
    sent = whole.diagnostics["bands"].row(3, named=True)
    assert whole.lower < -2.0 * sent["letters"] / sent["n"] < whole.upper  # everybody in the band, mailed or not


@pytest.mark.slow
def test_the_sample_world_shows_nothing_where_no_letter_goes(full, nothing):
    for found in (full, nothing):
        assert not placebo_group(first_year(found), found.rule).shows_effect
        assert not placebo_group(found.people, found.rule).shows_effect
        group = falsify(found.people, rule=found.rule).filter(check="placebo_group")
        assert not group["warns"].item()
    assert "評価していません" in placebo_year(full.people).reason  # one year before the programme only


def concluded(found: AnalysisSet) -> tuple[str, str]:
    people = found.people
    eligible = people.filter("eligible")
    designs = [naive(people), did(restricted(people, found.rule)), within_eligible(eligible, design="ancova")]
    decision = decide(designs, primary="ancova", warnings=warnings_of(falsify(people, rule=found.rule)))
    return decision.verdict, decision.sentence


@pytest.mark.slow
def test_without_a_planted_effect_the_conclusion_is_another(full, nothing):
    with_letter, without = concluded(full), concluded(nothing)
    assert with_letter[0] == "lower" and "低くなったと推定されます" in with_letter[1]
    assert without[0] == "not_shown" and "確認できませんでした" in without[1]
    primary = [did(restricted(first_year(found), found.rule)) for found in (full, nothing)]
    assert primary[0].estimate < primary[1].estimate - 0.5
    assert not primary[1].shows_effect


@pytest.mark.slow
def test_without_years_before_the_conclusion_is_not_identified():
    found = evaluated("no_pre_era", persons=8_000, before=())
    one = did(restricted(found.people, found.rule))
    decision = decide([naive(found.people), one], primary="did_ancova")
    assert decision.verdict == "not_identified"
    assert "通知だけの効果は識別不能" in decision.sentence
