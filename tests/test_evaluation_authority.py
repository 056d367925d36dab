"""Designs held against published results, other software and formulas worked by hand. Each test names its source."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from causaldata import nhefs, nsw_mixtape
from scipy.linalg import toeplitz
from scipy.stats import truncnorm
from statsmodels.treatment.treatment_effects import TreatmentEffect

from kenpo_analytics.evaluation._matrix import fit
from kenpo_analytics.evaluation._wild import DRAWS, limits
from kenpo_analytics.evaluation.attrition import pooled, seen_weights
from kenpo_analytics.evaluation.did import did
from kenpo_analytics.evaluation.doubts import adjust, e_value
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.evaluation.regression_to_mean import expected_change
from kenpo_analytics.evaluation.states import paired
from kenpo_analytics.evaluation.stratified import by_stratum, stratified
from kenpo_analytics.evaluation.time_series import interrupted, reml, whiten
from kenpo_analytics.evaluation.weighting import _ESTIMATORS, Sent, prepare, propensity, weights, within_eligible
from tests.simulation.worlds import Truth, cohort

# Admissions to Berkeley, 1973, by department: men admitted and rejected, women admitted and rejected
# (Bickel, Hammel, O'Connell (1975) Science 187:398; R: datasets::UCBAdmissions).
BERKELEY = {
    "A": (512, 313, 89, 19), "B": (353, 207, 17, 8), "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244), "E": (53, 138, 94, 299), "F": (22, 351, 24, 317),
}  # fmt: skip


def berkeley() -> pl.DataFrame:
    rows = [(dept, a, a + b, c, c + d) for dept, (a, b, c, d) in BERKELEY.items()]
    names = ["dept", "exposed_events", "exposed", "control_events", "control"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_mantel_haenszel_of_r_mantelhaen_test_ucbadmissions():
    one = stratified(berkeley(), strata="dept")
    assert one.estimate == pytest.approx(0.9046968, abs=5e-8)
    assert (one.lower, one.upper) == pytest.approx((0.7719074, 1.0603298), abs=5e-8)
    assert one.warnings and "層によって" in one.warnings[0]  # department A stands out: the strata differ


def test_exact_conditional_odds_ratio_of_fisher_1935_tea_tasting():
    # R's fisher.test(matrix(c(3, 1, 1, 3), 2)) gives 6.408309; the limits solve P(X >= 3) = P(X <= 3) = 0.025
    table = pl.DataFrame({"s": ["x"], "exposed_events": [3], "exposed": [4], "control_events": [1], "control": [4]})
    row = by_stratum(table, strata="s").row(0, named=True)
    assert row["estimate"] == pytest.approx(6.408309, abs=1e-4)
    assert row["small"]

    def chance(odds: float) -> np.ndarray:
        terms = np.array([1, 16 * odds, 36 * odds**2, 16 * odds**3, odds**4])
        return terms / terms.sum()

    assert chance(row["lower"])[3:].sum() == pytest.approx(0.025, rel=1e-6)
    assert chance(row["upper"])[:4].sum() == pytest.approx(0.025, rel=1e-6)


def test_mcnemar_of_agresti_prime_minister_ratings():
    # Agresti, Categorical Data Analysis (2013) 11.1: 944 approve first, 880 later; z2 = 17.36; -0.04 (-0.059, -0.021)
    found = paired(794, 150, 86, 570)
    assert found["statistic"] == pytest.approx((86 - 150) ** 2 / (86 + 150))
    assert round(found["statistic"], 2) == 17.36
    assert [round(found[name], 3) for name in ("before", "after")] == [0.59, 0.55]
    assert [round(found[name], 3) for name in ("estimate", "lower", "upper")] == [-0.04, -0.059, -0.021]
    assert found["relative"] == pytest.approx(880 / 944 - 1)


def test_mcnemar_is_exact_where_few_changed():
    assert paired(50, 9, 1, 40)["p"] == pytest.approx(2 * (1 + 10) / 2**10)  # binomial by hand


def test_e_value_of_vanderweele_ding_2017_breastfeeding():
    # Ann Intern Med 167:268: risk ratio 3.9 (1.8 to 8.7) needs 7.26, its limit 3.0
    found = e_value(Estimate("x", "x", "x", "x", estimate=3.9, lower=1.8, upper=8.7, null_value=1.0))
    assert (round(found.point, 2), round(found.limit, 1)) == (7.26, 3.0)


def test_regression_to_the_mean_of_gardner_heady_by_hand():
    # z = (109.5 - 97) / 12 = 1.0417: density 0.2319, tail 0.1488; (1 - 0.65) x 12 x 0.2319 / 0.1488 = 6.55
    assert expected_change(97, 12, 0.65, 109.5) == pytest.approx(-6.55, abs=0.01)


@pytest.mark.parametrize("upper", [125.5, np.inf])
def test_regression_to_the_mean_is_that_of_the_truncated_normal_of_scipy(upper):
    a, b = (109.5 - 97) / 12, (upper - 97) / 12
    selected = truncnorm.mean(a, b, loc=97, scale=12)
    assert expected_change(97, 12, 0.65, 109.5, upper, drift=0.4) == pytest.approx(0.4 - 0.35 * (selected - 97))


def test_two_by_two_of_card_krueger_1994():
    # AER 84:772 table 3: full-time employment New Jersey 20.44 -> 21.03, Pennsylvania 23.33 -> 21.17: +2.76
    cells = {("before", 115): 20.44, ("programme", 115): 21.03, ("before", 105): 23.33, ("programme", 105): 21.17}
    rows = [(era, y0, mean + d) for (era, y0), mean in cells.items() for d in (-9.0, 9.0) for _ in range(40)]
    people = pl.DataFrame(rows, schema=["era", "y0", "y1"], orient="row").with_row_index("person_id")
    one = did(people)
    assert one.estimate == pytest.approx(2.76, abs=0.015)  # the table's means are rounded
    # four independent means of 80 with SD 9 (HC1 counts the four parameters)
    assert one.standard_error == pytest.approx(np.sqrt(4 * 81 / 80 * 320 / 316), rel=1e-6)


def people_some(n: int = 24_000) -> pl.DataFrame:
    return cohort(np.random.default_rng(4), "programme", Truth(sent="some"), year=2022, first=1, n=n).filter("eligible")


def test_aipw_and_iptw_are_those_of_statsmodels_treatmenteffect():
    # statsmodels 0.15 (Wooldridge 2010 ch. 21): same averages; errors by GMM there, by influence function here
    people = people_some()
    sent = prepare(people)
    x = np.column_stack([np.ones(len(sent.letter)), sent.x])
    outcome = sm.OLS(sent.frame["y1"].to_numpy(), x)
    theirs = TreatmentEffect(
        outcome, sent.letter.astype(float), results_select=sm.Logit(sent.letter * 1.0, x).fit(disp=0)
    )
    aipw, iptw = (within_eligible(people, design=name, trim=0.0) for name in ("aipw", "iptw"))
    both = theirs.aipw(), theirs.ipw()
    assert aipw.estimate == pytest.approx(float(np.ravel(both[0].effect)[0]), abs=1e-4)
    assert aipw.standard_error == pytest.approx(float(np.ravel(both[0].results_gmm.bse)[0]), rel=0.02)
    assert iptw.estimate == pytest.approx(float(np.ravel(both[1].effect)[0]), abs=1e-4)


def test_iptw_is_the_normalised_weighted_difference_of_lunceford_davidian_2004():
    people = people_some(12_000)
    sent = prepare(people)
    y, t, e = sent.frame["y1"].to_numpy(), sent.letter, sent.score
    one, zero = (y * t / e).sum() / (t / e).sum(), (y * ~t / (1 - e)).sum() / (~t / (1 - e)).sum()
    assert within_eligible(people, design="iptw", trim=0.0).estimate == pytest.approx(one - zero)


def test_rubins_rules_by_hand():
    # mean 2; within (0.25 + 0.25 + 1) / 3 = 0.5; between 1; total 0.5 + (1 + 1/3) 1 = 1.8333 (Rubin 1987, 3.1)
    value, size = pooled([1.0, 2.0, 3.0], [0.5, 0.5, 1.0])
    assert (value, size**2) == pytest.approx((2.0, 1.8333333))


def series() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    n, begin = 72, 40
    errors = np.zeros(n)
    for t in range(1, n):
        errors[t] = 0.4 * errors[t - 1] + rng.normal(0, 1.5)
    t = np.arange(n)
    x = np.column_stack([np.ones(n), t / 12, t >= begin, (t >= begin) * (t - begin)]).astype(float)
    return x @ [50, 1, -3, 0.05] + errors, x


def test_ar1_coefficients_are_those_of_statsmodels_gls_at_the_same_phi():
    y, x = series()
    phi, beta, cov = reml(y, x)
    theirs = sm.GLS(y, x, sigma=toeplitz(phi ** np.arange(len(y)))).fit()
    assert beta == pytest.approx(theirs.params)
    assert np.sqrt(np.diag(cov)) == pytest.approx(theirs.bse)


def test_phi_maximises_the_restricted_likelihood_of_cheang_reinsel_2000_written_out():
    y, x = series()
    phi, _, _ = reml(y, x)

    def restricted(value: float) -> float:
        v = toeplitz(value ** np.arange(len(y))) / (1 - value**2)
        w = np.linalg.inv(v)
        beta = np.linalg.solve(x.T @ w @ x, x.T @ w @ y)
        rest = y - x @ beta
        logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(x.T @ w @ x)[1]
        return float(-0.5 * (logs + (len(y) - x.shape[1]) * np.log(rest @ w @ rest)))

    at = restricted(phi)
    assert all(at >= restricted(phi + d) for d in (-0.2, -0.01, -0.001, 0.001, 0.01, 0.2))
    assert whiten(np.array([1.0, 2.0, 4.0]), 0.6) == pytest.approx([0.8, 1.4, 2.8])  # Prais, Winsten (1954) by hand


def test_level_change_agrees_with_statsmodels_arima():
    y, x = series()
    months = [202001 + 100 * (i // 12) + i % 12 for i in range(len(y))]
    level, _ = interrupted(pl.DataFrame({"month": months, "value": y}), start=months[40], season=False)
    theirs = sm.tsa.ARIMA(y, exog=x, order=(1, 0, 0), trend="n").fit()
    assert level.estimate == pytest.approx(theirs.params[2], abs=0.3)  # another phi: ML's is smaller
    assert level.standard_error == pytest.approx(theirs.bse[2], rel=0.1)


def test_holm_and_benjamini_hochberg_of_r_p_adjust_by_hand():
    p = [0.01, 0.02, 0.03, 0.04]
    assert adjust(p, method="holm") == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert adjust(p) == pytest.approx([0.04] * 4)


def test_wild_bootstrap_limits_are_where_cameron_gelbach_miller_2008_just_rejects():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 25)
    x = np.column_stack([np.ones(300), rng.normal(size=300) + rng.normal(size=12)[groups], (groups < 5) * 1.0])
    y = x @ [1, 2, 0.5] + rng.normal(size=12)[groups] + rng.normal(size=300)
    low, high = limits(y, x, 2, groups, seed=1)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(DRAWS, 12))
    bread = np.linalg.inv(x.T @ x)

    def t(values: np.ndarray, null: float) -> float:
        rest = values - x @ (beta := bread @ x.T @ values)
        scores = np.stack([x[groups == g].T @ rest[groups == g] for g in range(12)])
        return float((beta[2] - null) / np.sqrt(((scores @ bread[2]) ** 2).sum()))

    def p(null: float) -> float:
        held = np.linalg.lstsq(x[:, :2], y - x[:, 2] * null, rcond=None)[0]
        fitted = x[:, :2] @ held + x[:, 2] * null
        drawn = np.array([t(fitted + (y - fitted) * sign[groups], null) for sign in signs[:600]])
        return float((np.abs(drawn) >= abs(t(y, null))).mean())

    assert p(low - 0.4) < 0.05 < p(low + 0.4)
    assert p(high + 0.4) < 0.05 < p(high - 0.4)
    plain = fit(y, x, groups=groups).conf_int()[2]
    assert high - low > plain[1] - plain[0]  # few clusters: the ordinary interval is too narrow


def quitters(*, seen_only: bool) -> Sent:
    """NHEFS with the covariates of Hernán, Robins (2020) Causal Inference: What If, ch. 12: 1,629 smokers of 1971.

    "Sent a letter" is having quit by 1982, the outcome is the gain of weight (kg); 63 people have none.
    """
    data = nhefs.load_pandas().data
    data = data[data["wt82_71"].notna()] if seen_only else data
    columns = [data[name].to_numpy(float) for name in ("sex", "race")]
    for name in ("education", "exercise", "active"):
        value = data[name].to_numpy(float)
        columns += [(value == level).astype(float) for level in np.unique(value)[1:]]
    for name in ("age", "smokeintensity", "smokeyrs", "wt71"):
        value = data[name].to_numpy(float)
        value = (value - value.mean()) / value.std()
        columns += [value, value**2]
    x, quit_smoking = np.column_stack(columns), data["qsmk"].to_numpy(float) == 1
    frame = pl.DataFrame({"person_id": np.arange(len(x)), "y1": data["wt82_71"].to_numpy(float)})
    frame = frame.with_columns(pl.col("y1").fill_nan(None), enrolled1=pl.lit(True))
    return Sent(frame, quit_smoking, x, [], propensity(quit_smoking, x))


@pytest.mark.parametrize(("design", "published"), [("crude", 2.5), ("ancova", 3.5), ("iptw", 3.4)])
def test_weight_gain_of_quitters_of_hernan_robins_what_if(design, published):
    """Printed: crude 2.5 (ch. 12.1), outcome regression 3.5 (ch. 15.1), weighting 3.4 with limits 2.4 to 4.5 (12.2)."""
    value, size, _ = _ESTIMATORS[design](quitters(seen_only=True))
    assert round(value, 1) == published
    if design == "iptw":
        assert (round(value - 1.96 * size, 1), round(value + 1.96 * size, 1)) == (2.4, 4.5)


def test_weights_for_the_censored_quitters_of_hernan_robins_what_if():
    """Printed in ch. 12.6: 3.5 when the 63 without a weight in 1982 are weighted for."""
    sent = quitters(seen_only=False)
    seen = sent.frame["y1"].is_not_null().to_numpy()
    weight = weights(sent.letter, sent.score) * seen_weights(sent.frame, sent.letter, sent.x)
    x = np.column_stack([np.ones(seen.sum()), sent.letter[seen]])
    result = fit(sent.frame["y1"].drop_nulls().to_numpy(), x, weights=weight[seen])
    assert (sent.frame.height, int(seen.sum())) == (1629, 1566)
    assert round(float(result.params[1]), 1) == 3.5


def test_earnings_of_the_trained_of_dehejia_wahba_1999_experiment():
    """The randomised benchmark of LaLonde's data (185 trained, 260 not): 1,794 dollars (J Am Stat Assoc 94:1053)."""
    data = nsw_mixtape.load_pandas().data
    people = pl.DataFrame({"person_id": np.arange(len(data)), "y1": data["re78"].to_numpy(float)})
    trained = data["treat"].to_numpy() == 1
    nothing = np.empty((len(data), 0))
    value, _, _ = _ESTIMATORS["crude"](Sent(people, trained, nothing, [], np.full(len(data), 0.5)))
    assert (int(trained.sum()), round(value)) == (185, 1794)
