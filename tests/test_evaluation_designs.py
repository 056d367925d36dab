"""Every design on a world whose truth is known: what it finds, and what it refuses with which reason."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
import statsmodels.formula.api as smf

from kenpo_analytics.errors import EstimateError, ParameterError
from kenpo_analytics.evaluation._matrix import covariates, independent
from kenpo_analytics.evaluation.attrition import iptw_ipcw, tipping_point
from kenpo_analytics.evaluation.cost import cost
from kenpo_analytics.evaluation.did import NO_BEFORE, banded, by_year, did, per_letter
from kenpo_analytics.evaluation.did_lost import did_ipcw
from kenpo_analytics.evaluation.discontinuity import bandwidths, density, diff_in_disc, near, placebo_cutoffs, rdd
from kenpo_analytics.evaluation.doubts import e_value, negative_controls, subgroups
from kenpo_analytics.evaluation.estimate import Estimate, TooFew
from kenpo_analytics.evaluation.falsify import falsify, placebo_group, placebo_year, triple, warnings_of
from kenpo_analytics.evaluation.improved import needed, share_difference
from kenpo_analytics.evaluation.landmark import landmark
from kenpo_analytics.evaluation.regression_to_mean import expected, naive, pseudo_cohort
from kenpo_analytics.evaluation.states import moves
from kenpo_analytics.evaluation.stratified import between_groups, misclassified, stratified
from kenpo_analytics.evaluation.time_series import interrupted, placebo_dates
from kenpo_analytics.evaluation.weighting import LABELS, matched, prepare, within_eligible
from tests.simulation.worlds import Truth, cohort, world


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return world([1], Truth())


@pytest.fixture(scope="module")
def some() -> pl.DataFrame:
    return cohort(np.random.default_rng(3), "programme", Truth(sent="some"), year=2022, first=1, n=24_000)


# --- bands ----------------------------------------------------------------------------------------------------------


def test_did_is_the_interaction_of_an_ordinary_regression(people):
    one = did(people)
    frame = banded(people, (110, 125), (100, 109)).with_columns(h=pl.col("high").cast(float), d=pl.col("y0") - 110)
    frame = frame.with_columns(p=pl.col("programme").cast(float), a2=(pl.col("age") - pl.col("age").mean()) ** 2)
    frame = frame.with_columns(male=(pl.col("sex") == "M").cast(float))
    formula = "y1 ~ h * p + d:h + I(d * (1 - h)) + age + a2 + male + bmi + prior"
    theirs = smf.ols(formula, frame.to_pandas()).fit(cov_type="HC1")
    assert one.estimate == pytest.approx(theirs.params["h:p"])
    assert (one.lower, one.upper) == pytest.approx(tuple(theirs.conf_int().loc["h:p"]))
    assert one.lower < -2.0 < one.upper
    assert one.diagnostics["bands"]["letters"].to_list() == [0, 0, 0, one.persons]


@pytest.mark.parametrize("bands", [{"high": (125, 110)}, {"low": (100, 112)}, {"high": (100, 109), "low": (110, 125)}])
def test_bands_that_cannot_be_are_the_reason_not_too_few_people(people, bands):
    for one in (did(people, **bands), per_letter(people, **bands), did_ipcw(people, **bands)):
        assert one.state == "refused"
        assert "帯の指定が違うため" in one.reason and "下限は上限より小さく" in one.reason
        assert str(next(iter(bands.values()))) in one.reason
    with pytest.raises(ParameterError, match="帯の指定が違う"):
        by_year(people, reference=2017, **bands)
    assert did(people, low=(109, 109)).state == "estimated"  # a band of one value is one


def test_did_without_years_before_says_not_identified(people):
    one = did(people.filter(era="programme"), design="mine")
    assert (one.state, one.reason, one.design, one.estimate) == ("not_identified", NO_BEFORE, "mine", None)


def test_did_with_few_people_is_refused(people):
    one = did(people.head(300).vstack(people.tail(300)))
    assert one.state == "refused" and "30人" in one.reason


def test_few_clusters_get_the_wild_bootstrap_and_missing_ones_stay_single(people):
    one = did(people, cluster="institution")
    assert "ワイルド" in one.method and "24" in one.method
    assert one.lower < one.estimate < one.upper
    assert did(people).method != one.method
    with pytest.raises(EstimateError, match="nowhere"):
        did(people, cluster="nowhere")


def test_a_covariate_that_one_era_does_not_know_is_left_out(people):
    blind = people.with_columns(prior=pl.when(pl.col("era") == "programme").then("prior"))
    assert "prior" not in covariates(blind)[1] and "prior" in covariates(people)[1]
    assert did(blind).estimate == pytest.approx(did(people.drop("prior")).estimate)
    some_gaps = people.with_columns(prior=pl.when(pl.col("person_id") % 10 > 0).then("prior"))
    assert {"prior", "prior_missing"} <= set(covariates(some_gaps)[1])


def test_independent_leaves_out_what_is_already_there():
    x = np.column_stack([np.ones(6), np.arange(6), np.arange(6) * 2 + 1, np.arange(6) ** 2])
    x = np.vstack([x, x**2 + 1, x**3 + 2, x + 5])
    x[:, 2] = x[:, 1] * 2 + x[:, 0]
    assert independent(x, lead=2).tolist() == x[:, [0, 1, 3]].tolist()
    with pytest.raises(TooFew, match="群のどれか"):
        independent(x, lead=3)
    with pytest.raises(TooFew, match="人数が少ない"):
        independent(x[:12], lead=2)


def test_years_lie_around_zero_before_and_at_the_effect_after():
    three = world([3], Truth(), before=(2015, 2016, 2017))
    table = by_year(three, reference=2017)
    assert table["fiscal_year"].to_list() == [2015, 2016, 2017, 2022]
    assert table.filter(fiscal_year=2017).select("estimate", "lower").row(0) == (0.0, None)
    for year, truth in ((2015, 0.0), (2016, 0.0), (2022, -2.0)):
        row = table.filter(fiscal_year=year).row(0, named=True)
        assert row["lower"] < truth < row["upper"]
    with pytest.raises(EstimateError, match="2010"):
        by_year(three, reference=2010)


# --- line -----------------------------------------------------------------------------------------------------------


def test_the_jump_is_letter_and_label_and_its_difference_the_letter(people):
    jump, difference = rdd(people, bandwidth=12.0), diff_in_disc(people, bandwidth=12.0)
    assert jump.lower < -2.5 < jump.upper
    assert difference.lower < -2.0 < difference.upper


def test_diff_in_disc_is_a_weighted_regression(people):
    one = diff_in_disc(people, adjust=False)
    frame = near(people, 109.5, 9.0).with_columns(g=pl.col("y0") - 109.5).with_columns(a=(pl.col("g") > 0).cast(float))
    frame = frame.with_columns(p=(pl.col("era") == "programme").cast(float), w=1 - pl.col("g").abs() / 9).to_pandas()
    theirs = smf.wls("y1 ~ a * g * p", frame, weights=frame["w"]).fit(cov_type="HC1")
    assert one.estimate == pytest.approx(theirs.params["a:p"])
    assert one.standard_error == pytest.approx(theirs.bse["a:p"])


def test_without_years_before_the_letter_alone_is_not_identified(people):
    one = diff_in_disc(people.filter(era="programme"), label="名")
    assert one.state == "not_identified" and "識別不能" in one.reason and one.label == "名"
    assert rdd(people.filter(era="programme")).state == "estimated"


def test_no_placebo_line_looks_across_110_or_100(people):
    table = placebo_cutoffs(people)
    for cutoff, width in table.select("cutoff", "bandwidth").rows():
        assert cutoff - width >= 99.5 and not cutoff - width < 109.5 < cutoff + width
    assert (table["lower"] < 0).sum() >= 5 and (table["upper"] > 0).sum() >= 5
    assert bandwidths(people)["bandwidth"].to_list() == [5, 6, 7, 8, 9, 10, 12, 14, 16]


def test_the_donut_leaves_out_the_values_next_to_the_line(people):
    assert near(people, 109.5, 9.0, 1.0).filter(pl.col("y0").is_in([109.0, 110.0])).is_empty()


def test_density_sees_people_moved_over_the_line(people):
    even = density(people)
    assert (even["lower"] < 1).all() and (even["upper"] > 1).all()
    pushed = people.with_columns(
        y0=pl.when((pl.col("era") == "programme") & (pl.col("y0") == 109)).then(110.0).otherwise("y0")
    )
    heaped = density(pushed).filter(era="programme").row(0, named=True)
    assert heaped["lower"] > 1
    assert "density" in falsify(pushed).filter("warns")["check"].to_list()


# --- within the eligible --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", ["ancova", "iptw", "aipw", "match"])
def test_within_the_eligible_every_adjustment_finds_the_letter(some, design):
    one = within_eligible(some.filter("eligible"), design=design)
    assert one.lower < -2.0 < one.upper
    balance = one.diagnostics["balance"]
    if design != "ancova":
        limit = 0.15 if design == "match" else 0.05  # pairs are near, not equal: the rest is regressed out
        assert balance["smd_after"].abs().max() < limit < balance["smd_before"].abs().max()
    assert one.diagnostics["overlap"].select(pl.sum("sent", "not_sent")).row(0) == (
        some["letter"].sum(), some.filter("eligible").height - some["letter"].sum()
    )  # fmt: skip


@pytest.mark.parametrize("design", ["crude", "ancova", "iptw", "aipw"])
def test_people_who_come_twice_do_not_narrow_the_interval(some, design):
    once = some.filter("eligible")
    twice = once.vstack(once)
    one, two = (within_eligible(frame, design=design) for frame in (once, twice))
    assert two.estimate == pytest.approx(one.estimate)
    assert two.standard_error == pytest.approx(one.standard_error, rel=0.01)
    shares = [share_difference(f.with_columns(improved=pl.col("y1") < 110), "improved") for f in (once, twice)]
    assert shares[1].lower == pytest.approx(shares[0].lower, abs=0.004)


def test_weighting_against_the_ineligible_is_refused(some):
    with pytest.raises(EstimateError, match="重なり"):
        within_eligible(some, design="iptw")
    with pytest.raises(EstimateError, match="crude"):
        within_eligible(some.filter("eligible"), design="guess")


def test_everybody_mailed_leaves_nobody_to_compare(people):
    one = within_eligible(people.filter(pl.col("eligible"), era="programme"), design="iptw")
    assert one.state == "refused" and "20人" in one.reason


def test_pairs_use_nobody_twice_and_stay_within_the_caliper(some):
    sent = prepare(some.filter("eligible").head(600))
    pairs = matched(sent)
    assert len(np.unique(pairs)) == pairs.size > 200
    assert sent.letter[pairs[:, 0]].all() and not sent.letter[pairs[:, 1]].any()
    logit = np.log(sent.score / (1 - sent.score))
    assert np.abs(logit[pairs[:, 0]] - logit[pairs[:, 1]]).max() <= 0.2 * logit.std() + 1e-12


@pytest.mark.parametrize("method", ["gcomp", "iptw"])
def test_shares_are_risk_differences_with_a_number_needed(some, method):
    seen = some.filter("eligible").with_columns(improved=pl.col("y1") < 110)
    one = share_difference(seen, "improved", method=method)
    assert one.lower < 0.081 < one.upper  # the letter's own shift of the share below 110, from 600,000 people
    found = needed(one)
    assert found["nnt"] == pytest.approx(1 / one.estimate)
    assert found["lower"] < found["nnt"] < found["upper"]
    with pytest.raises(EstimateError, match="improved"):
        share_difference(seen, "healthy")


def test_no_effect_no_number_needed_and_no_price():
    none = Estimate("s", "s", "s", "s", unit="ポイント", estimate=0.02, lower=-0.01, upper=0.05)
    assert needed(none) == {"nnt": None, "lower": None, "upper": None}
    priced = cost(4_616_000, 10_000, none)
    assert priced["per_letter"] == pytest.approx(461.6)
    assert priced["per_improved"] is None and "示されていない" in priced["reason"]
    shown = Estimate("s", "s", "s", "s", unit="ポイント", estimate=0.05, lower=0.04, upper=0.08)
    found = cost(4_616_000, 10_000, shown)
    assert (found["per_improved"], found["lower"], found["upper"]) == pytest.approx((9232.0, 5770.0, 11540.0))
    assert found["letters_per_improved"] == pytest.approx(20)
    worse = Estimate("s", "s", "s", "s", unit="ポイント", estimate=-0.05, lower=-0.08, upper=-0.04)
    assert cost(1.0, 1, worse)["per_improved"] is None
    with pytest.raises(EstimateError):
        cost(1.0, 0)


# --- loss -----------------------------------------------------------------------------------------------------------


def test_people_whose_window_is_open_are_not_lost():
    rng = np.random.default_rng(6)
    lost = cohort(rng, "programme", Truth(sent="some", attrition="mar"), year=2022, first=1).filter("eligible")
    waiting = lost.head(200).with_columns(
        person_id=pl.col("person_id") + 10**6, y1=pl.lit(None, pl.Float64), outcome_state=pl.lit("open")
    )
    assert iptw_ipcw(lost.vstack(waiting)).estimate == pytest.approx(iptw_ipcw(lost).estimate)


def test_tipping_points_move_with_what_the_unseen_are_supposed_to_be():
    rng = np.random.default_rng(6)
    lost = cohort(rng, "programme", Truth(sent="some", attrition="mnar"), year=2022, first=1).filter("eligible")
    table = tipping_point(lost, imputations=5)
    steps = np.diff(table["estimate"].to_numpy())
    unseen = lost.filter("letter")["y1"].is_null().mean()
    assert steps == pytest.approx(np.full(8, 2 * unseen), rel=0.1)
    assert tipping_point(lost, imputations=5).equals(table)  # seeded


# --- regression to the mean -----------------------------------------------------------------------------------------


def test_the_naive_fall_is_larger_than_the_letter(people):
    one = naive(people)
    assert one.upper < -4 and one.role == "reference"
    nothing = world([1], Truth(letter=0.0))
    assert naive(nothing).upper < -3 and not did(nothing).shows_effect


def test_expected_fall_survives_the_cut_at_the_diabetes_range():
    rng = np.random.default_rng(9)
    y0 = rng.normal(97, 12, 200_000)
    y1 = 97 + 0.65 * (y0 - 97) + 0.4 + rng.normal(0, 12 * np.sqrt(1 - 0.65**2), 200_000)
    whole = pl.DataFrame({"era": "before", "y0": y0.round(), "y1": y1})
    cut = whole.filter(pl.col("y0") < 126)
    one, two = expected(whole), expected(cut)
    real = whole.filter(pl.col("y0").is_between(110, 125)).select((pl.col("y1") - pl.col("y0")).mean()).item()
    assert one.change == pytest.approx(real, abs=0.1)
    assert two.change == pytest.approx(real, abs=0.1)
    assert (two.mean, two.sd, two.correlation) == pytest.approx((97, 12, 0.65), rel=0.01)
    assert one.warning is None


def test_skewed_values_carry_their_warning(people):
    found = expected(people)
    assert found.skewness > 0.3
    skewed = people.with_columns(y0=pl.col("y0") + (pl.col("y0") - 95).clip(0) * 0.8)
    assert "歪" in expected(skewed).warning
    with pytest.raises(EstimateError, match="100人"):
        expected(people.head(50))


def test_the_pseudo_cohort_needs_years_before(people):
    assert pseudo_cohort(people.filter(era="programme")).state == "not_identified"


def test_moves_show_the_sign_pattern_of_no_effect():
    table = moves(world([5], Truth(letter=0.0, label=0.0, calendar=0.0)))
    improved, worsened, every = table.rows(named=True)
    assert improved["lower"] > 0 > worsened["upper"]  # "improvement" without any letter
    assert improved["p"] < 1e-6 and every["p"] < 1e-6
    assert improved["relative"] == pytest.approx(improved["after"] / improved["before"] - 1)
    assert improved["before_lower"] <= improved["before"] <= improved["before_upper"]


# --- what must find nothing -----------------------------------------------------------------------------------------


def test_placebo_year_needs_two_years_before(people):
    one = placebo_year(people)
    assert one.state == "refused" and "評価していません" in one.reason
    two = world([6], Truth(), before=(2016, 2017))
    assert not placebo_year(two).shows_effect and "2017" in placebo_year(two).label


def test_the_placebo_group_sees_a_label_that_grew():
    fair, grown = (world([7], Truth(letter=0.0, rule="and", label_growth=g)) for g in (0.0, 3.0))
    assert not placebo_group(fair, "and").shows_effect
    assert placebo_group(grown, "and").upper < -1
    assert warnings_of(falsify(fair, rule="and")) == []
    assert any("プラセボ群" in text for text in warnings_of(falsify(grown, rule="and")))


def test_the_triple_difference_takes_a_grown_label_out():
    fair, grown = (world([8], Truth(rule="and", label_growth=g)) for g in (0.0, 3.0))
    one, two = triple(fair, "and"), triple(grown, "and")
    assert two.estimate == pytest.approx(one.estimate)  # a whole number added above 110 in both groups
    assert two.lower < -2.0 < two.upper
    main = [did(frame.filter(pl.col("hba1c") >= 6.0)).estimate for frame in (fair, grown)]
    assert main[1] == pytest.approx(main[0] - 3.0)  # the plain one takes it for the letter
    parts = did(fair.filter(pl.col("hba1c") >= 6.0)), placebo_group(fair, "and")
    assert one.estimate == pytest.approx(parts[0].estimate - parts[1].estimate)
    assert one.standard_error == pytest.approx(np.hypot(parts[0].standard_error, parts[1].standard_error))
    assert triple(grown.filter(era="programme"), "and").state == "not_identified"


def test_what_could_not_be_evaluated_says_why(people):
    table = falsify(people)
    silent = table.filter(pl.col("estimate").is_null())
    assert set(silent["check"]) == {"placebo_year", "event_study"}
    assert silent["reason"].null_count() == 0 and not silent["warns"].any()


def test_negative_controls_hold_zero_and_subgroups_agree(people):
    controls = negative_controls(people, people.filter("eligible"))
    assert set(controls["control"]) == {"height", "prior"} and not controls["warns"].any()
    table = subgroups(people)
    assert set(table["subgroup"]) == {"sex", "age_group", "bmi_group"}
    assert table["p_adjusted"].min() > 0.05
    assert subgroups(people.drop("sex", "age", "bmi")).height == 0


def test_e_values_refuse_what_they_cannot_read(people):
    with pytest.raises(EstimateError, match="標準偏差"):
        e_value(did(people))
    assert e_value(did(people), sd=9.5).limit > 1
    with pytest.raises(EstimateError, match="割合の差"):
        e_value(Estimate("s", "s", "s", "s", unit="ポイント", estimate=0.1, lower=0.0, upper=0.2), sd=1.0)


# --- visits after a landmark ----------------------------------------------------------------------------------------


def visits(effect: float = 0.0, n: int = 4000) -> pl.DataFrame:
    """Letters six months after the checkup to half of those still unvisited then; hazard 5 % a month, leaving 1 %."""
    rng = np.random.default_rng(1)
    month, left = rng.geometric(0.05, n) - 1, rng.geometric(0.01, n) - 1
    sent = (month > 5) & (left > 5) & (rng.random(n) < 0.5)
    sooner = sent & (month > 6) & (rng.random(n) < effect)
    month = np.where(sooner, rng.integers(7, 9, n), month)
    state = np.where(np.minimum(month, left) > 16, "not_visited", np.where(month <= left, "visited", "left"))
    return pl.DataFrame(
        {"checkup_date": [dt.date(2022, 6, 15)] * n, "begin": [dt.date(2022, 12, 20)] * n, "letter": sent,
         "state": state, "months_to": np.minimum(np.minimum(month, left), 16)}
    )  # fmt: skip


def test_the_landmark_finds_nothing_where_letters_do_nothing():  # coverage over 60 seeds: 0.93
    one = landmark(visits())
    assert one.lower < 0 < one.upper
    frame = visits()
    naive_gap = (
        frame.filter("letter")["state"].eq("visited").mean()
        - frame.filter(~pl.col("letter"))["state"].eq("visited").mean()
    )
    assert naive_gap < -0.1  # from the checkup on, the letter "harms": those without one could visit earlier
    excluded = one.diagnostics["excluded"].filter(~pl.col("letter")).row(0, named=True)
    assert excluded["visited_before"] > 500
    assert one.compared == excluded["people"] - excluded["visited_before"] - excluded["gone_before"]


def test_the_landmark_finds_visits_that_letters_bring():
    one = landmark(visits(0.15))
    assert 0.05 < one.lower < one.estimate < 0.2
    curves = one.diagnostics["curves"]
    assert curves.group_by("letter").len()["len"].to_list() == [7, 7]
    assert (curves["net"] >= curves["estimate"] - 1e-12).all()


def test_a_curve_by_letter_from_the_checkup_month_is_refused():
    with pytest.raises(EstimateError, match="immortal time"):
        landmark(visits(), start="checkup")
    few = landmark(visits().head(30))
    assert few.state == "refused" and "20人" in few.reason
    with pytest.raises(EstimateError, match="begin"):
        landmark(visits().drop("begin"))


# --- series and strata ----------------------------------------------------------------------------------------------


def monthly(step: float, n: int = 72, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    error = np.zeros(n)
    for i in range(1, n):
        error[i] = 0.4 * error[i - 1] + rng.normal()
    months = [202001 + 100 * (i // 12) + i % 12 for i in range(n)]
    return pl.DataFrame({"month": months, "value": 50 + 0.02 * np.arange(n) + error + step * (np.arange(n) >= 40)})


def test_the_series_finds_its_step_and_placebo_dates_none():
    level, slope = interrupted(monthly(-3.0), start=202305)
    assert level.lower < -3 < level.upper < 0 and not slope.shows_effect
    assert level.diagnostics["fit"]["after"].sum() == 32
    dates = placebo_dates(monthly(-3.0), start=202305)
    assert dates.height == 17 and dates["excludes_zero"].mean() < 0.3
    control = monthly(0.0, seed=2)
    both, _ = interrupted(monthly(-3.0), start=202305, control=control)
    assert both.lower < -3 < both.upper


@pytest.mark.parametrize(
    "broken", [lambda s: s.filter(pl.col("month") != 202103), lambda s: s.vstack(s.head(1)), lambda s: s.tail(40)]
)
def test_broken_series_are_refused(broken):
    with pytest.raises(EstimateError):
        interrupted(broken(monthly(0.0)), start=202305)


def strata(*rows: tuple[int, int, int, int]) -> pl.DataFrame:
    names = ["exposed_events", "exposed", "control_events", "control"]
    return pl.DataFrame(rows, schema=names, orient="row").with_row_index("amount")


def test_risk_difference_over_strata_and_strata_without_a_side():
    one = stratified(strata((30, 100, 20, 100), (15, 50, 0, 0)), strata="amount", measure="risk_difference")
    assert one.estimate == pytest.approx(0.1)
    assert one.diagnostics["strata"]["estimate"].null_count() == 1
    assert stratified(strata((1, 5, 0, 0)), strata="amount").state == "refused"
    with pytest.raises(EstimateError, match="人数より多い"):
        stratified(strata((6, 5, 0, 5)), strata="amount")


def test_misclassification_moves_the_odds_ratio_away_from_one():
    table = strata((60, 200, 40, 200), (30, 100, 20, 100))
    found = misclassified(table, strata="amount")
    perfect = found.filter(sensitivity=1.0, specificity=1.0)["estimate"].item()
    assert perfect == pytest.approx(stratified(table, strata="amount").estimate)
    assert found.filter(sensitivity=0.8, specificity=0.9)["estimate"].item() > perfect
    tiny = misclassified(strata((1, 2, 50, 100)), strata="amount", sensitivities=[0.9], specificities=[0.9])
    assert tiny["estimate"].item() is None  # the rule would have to pick fewer than nobody
    with pytest.raises(EstimateError, match="感度"):
        misclassified(table, strata="amount", sensitivities=[0.5], specificities=[0.5])


def test_groups_are_compared_over_eras():
    table = pl.DataFrame(
        {"group": ["kana", "kana", "other", "other"], "era": ["before", "programme"] * 2, "events": [30, 60, 50, 60],
         "persons": [100, 120, 100, 120]}
    )  # fmt: skip
    one = between_groups(table, group="group", era="era", reference="other")
    assert one.estimate == pytest.approx(0.5 - 0.3 - (0.5 - 0.5))
    assert between_groups(table.head(3), group="group", era="era", reference="other").state == "not_identified"


def test_every_design_of_the_eligible_has_a_japanese_name():
    assert set(LABELS) == {"crude", "ancova", "iptw", "aipw", "match"}


def test_weights_without_overlap_are_refused_not_answered():
    """Whoever has 114 and more is sent a letter, nobody else: no design by weights may answer."""
    people = world([91], Truth(sent="some"), n=6000).filter(pl.col("era") == "programme", pl.col("eligible"))
    apart = people.with_columns(letter=pl.col("y0") >= 114, improved=pl.col("y1") < 110)
    for design in ("iptw", "aipw"):
        one = within_eligible(apart, design=design)
        assert one.state == "refused" and "重なる範囲" in one.reason
    assert iptw_ipcw(apart).state == "refused"
    assert share_difference(apart, "improved", method="iptw").state == "refused"


def test_a_covariate_known_only_of_the_unseen_does_not_blow_up_the_imputation():
    people = world([92], Truth(sent="some", attrition="mar"), n=6000).filter(
        pl.col("era") == "programme", pl.col("eligible")
    )
    lost = people.filter(pl.col("y1").is_null())["person_id"].head(4)
    odd = people.with_columns(bmi=pl.when(~pl.col("person_id").is_in(lost.implode())).then("bmi"))
    usual, found = (tipping_point(frame, deltas=[0.0], imputations=5)["estimate"][0] for frame in (people, odd))
    assert found == pytest.approx(usual, abs=0.3)


def test_with_five_clusters_nothing_can_be_rejected(people):
    five = people.with_columns(institution=pl.format("K{}", pl.col("person_id") % 5))
    one = did(five, cluster="institution")
    assert one.state == "refused" and "クラスター" in one.reason
