"""Who is in a trial, from when is it followed, and does it find what was planted in the checkups themselves?"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from kenpo_analytics.evaluation import analysis, trial
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.decide import decide
from kenpo_analytics.evaluation.diagnose import Checks
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.report import designs_text
from tests.trial_world import AGAIN, DRAWS, Tables, world

D = dt.date


def evaluated(tables: Tables) -> tuple[analysis.AnalysisSet, Estimate]:
    made = tables.evaluated()
    return made, trial.as_drawn(made.people, made.drawn)


@pytest.fixture(scope="module")
def planted() -> Tables:
    return world(-6.0, seed=20260401)


def test_the_trial_recovers_what_sits_in_the_checkups(planted) -> None:
    made, one = evaluated(planted)
    assert one.lower < -6.0 < one.upper < -4.5 and one.upper - one.lower < 1.6
    assert decide([one], primary="randomised").verdict == "lower"
    arms = one.diagnostics["arms"].select("drawn", "late", "n").rows()
    assert arms == [(800, 0, 800), (800, 0, 800)]  # nobody leaves for what came after the draw
    assert made.people.height == 1600


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_world_without_effect_is_not_given_one(seed: int) -> None:
    """Eight worlds whose re-examinations hang on the arm: the mean must be 0, and none claims (level 99.9 %)."""
    made = world(0.0, seed=seed).evaluated()
    one = trial.as_drawn(made.people, made.drawn, level=0.999)
    assert not one.shows_effect and abs(one.estimate) < 1.0


def test_the_null_worlds_do_not_lean_to_one_side() -> None:
    found = [evaluated(world(0.0, seed=seed))[1] for seed in range(1, 9)]
    assert abs(sum(one.estimate for one in found) / 8) < 0.25  # standard error of the mean: 0.1


def test_a_checkup_after_the_draw_leaves_everybody_in(planted) -> None:
    """Also one that would not be evaluated (diabetes range, a drug): only what was known at the draw decides."""
    made, one = evaluated(planted)
    now = planted.lots.filter(pl.col("assigned") == "now")["person_id"].head(60)
    more = planted.checkups.filter(
        pl.col("record_id") == pl.col("person_id") * 10, pl.col("person_id").is_in(now.implode())
    )
    more = more.with_columns(record_id=pl.col("record_id") + 9, checkup_date=D(2023, 2, 20), fpg=pl.lit(130.0))
    more = more.with_columns(medication_glucose=pl.lit(True))
    again, two = evaluated(replace(planted, checkups=pl.concat([planted.checkups, more])))
    columns = ["person_id", "record_id", "checkup_date", "y0", "assigned", "begin"]
    assert again.people.select(columns).equals(made.people.select(columns))
    assert two.diagnostics["arms"]["n"].to_list() == one.diagnostics["arms"]["n"].to_list()


def test_a_checkup_of_the_same_year_before_the_draw_still_replaces_an_earlier_one(planted) -> None:
    more = planted.checkups.filter(pl.col("record_id") == 10).with_columns(
        record_id=pl.lit(19, pl.Int64), checkup_date=D(2022, 6, 1), fpg=pl.lit(117.0)
    )
    made, _ = evaluated(replace(planted, checkups=pl.concat([planted.checkups, more])))
    assert made.people.filter(pl.col("person_id") == 1).select("record_id", "y0").rows() == [(19, 117.0)]


def test_each_draw_counts_from_its_own_letters(planted) -> None:
    """One common day would take November for an outcome of the second draw, 66 days after its letters."""
    made, _ = evaluated(planted)
    days = made.people.select("drawn_on", "begin").unique().sort("drawn_on")
    assert days.rows() == list(DRAWS.items())
    first = made.people.group_by("drawn_on").agg(pl.col("outcome_date").min()).sort("drawn_on")
    assert first["outcome_date"].to_list() == [AGAIN, D(2023, 4, 1)]


def test_letters_from_before_a_draw_do_not_set_its_clock(planted) -> None:
    """Most of the first arm of the second draw had been written to before its lots: the rest tell the day."""
    second = planted.lots.filter(pl.col("drawn_on") == D(2022, 9, 1), pl.col("assigned") == "now")["person_id"]
    early = pl.when(pl.col("person_id").is_in(second.head(300).implode())).then(D(2022, 7, 1))
    mailings = planted.mailings.with_columns(sent_date=early.otherwise("sent_date"))
    made, one = evaluated(replace(planted, mailings=mailings))
    assert made.people.filter(pl.col("drawn_on") == D(2022, 9, 1))["begin"].unique().to_list() == [D(2022, 9, 10)]
    assert one.diagnostics["arms"]["late"].to_list() == [300, 0]
    nobody = planted.mailings.filter(~pl.col("person_id").is_in(second.implode()))
    made, _ = evaluated(replace(planted, mailings=nobody))
    assert (made.people["begin"] >= made.people["drawn_on"]).all()


def test_the_methods_say_what_the_trial_was_adjusted_for_and_from_which_day_it_counts(planted) -> None:
    """Without years before letters there is no difference-in-differences to borrow the covariates from."""
    _, one = evaluated(planted)
    choice = Choice((2022,), (2022,), (), "and", primary="randomised")
    said = designs_text.methods([one], choice, Checks({}, (), ()))
    held = one.diagnostics["adjusted"]["covariate"].to_list()
    assert held[0] == "y0" and held[-1] == "stratum" and "なし" not in said
    assert "割付の層で調整した共分散分析" in said and "割付の回と健診の月ごとの、先に送る群の送付日" in said
    assert "送った人は送付日(なければ予定日)、送らなかった人は予定日、予定もない人は" in said
    arms = pl.col("assigned").replace({"now": "A", "later": "B"})
    made = replace(planted, lots=planted.lots.with_columns(arms, stratum=pl.lit("全員"))).evaluated()
    two = trial.as_drawn(made.people, made.drawn)
    other = designs_text.methods([two], choice, Checks({}, (), ()))
    assert "両群の送付日" in other and "先に送る群の" not in other and "割付の層" not in other
