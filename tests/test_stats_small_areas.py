"""Shrinkage, rank intervals, funnel and control chart: published numbers, algebra, and a few measured worlds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2, gamma
from statsmodels.stats.meta_analysis import combine_effects

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import funnel, poisson
from kenpo_analytics.stats.process import xmr
from kenpo_analytics.stats.ranks import bootstrap_ratios, rank_limits
from kenpo_analytics.stats.small_areas import shrink
from tests.simulation.small_areas import measure

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "regional.json").read_text(encoding="utf-8"))
LIP = AUTHORITY["lip_cancer"]


# --- shrinkage ------------------------------------------------------------------------------------------


def test_the_likeliest_point_is_the_published_estimate_of_the_lip_cancer_data() -> None:
    found = shrink(LIP["observed"], LIP["expected"])
    best = int(found.weight.argmax())
    # the grid has steps; the estimate must lie within one of them
    assert found.mean[best] == pytest.approx(LIP["mean"], rel=0.05)
    assert found.shape[best] == pytest.approx(LIP["shape"], rel=0.10)
    shape, rate = found.shape[best], found.shape[best] / found.mean[best]
    plug_in = (np.array(LIP["observed"]) + shape) / (np.array(LIP["expected"]) + rate)
    np.testing.assert_allclose(found.estimate, plug_in, rtol=0.08)  # many areas: the grid stays near the plug-in


def test_every_area_is_drawn_towards_the_mean_and_small_ones_further() -> None:
    expected = np.array([5.0, 50, 500, 5, 50, 500, 40, 60])
    found = shrink(expected * [1.4, 1.4, 1.4, 0.6, 0.6, 0.6, 1, 1], expected)
    assert found.estimate[:3].tolist() == sorted(found.estimate[:3])
    assert found.estimate[3:6].tolist() == sorted(found.estimate[3:6], reverse=True)
    assert (found.estimate[:3] < 1.4).all() and (found.estimate[:3] > found.centre).all()
    width = found.limits().upper - found.limits().lower
    assert width[0] > width[1] > width[2]


def test_limits_are_quantiles_of_the_mixture() -> None:
    found = shrink(LIP["observed"], LIP["expected"])
    limits = found.limits(level=0.9)
    a = found.shape[:, None] + found.events
    b = (found.shape / found.mean)[:, None] + found.expected
    np.testing.assert_allclose(found.weight @ gamma.cdf(limits.lower, a, scale=1 / b), 0.05, atol=1e-9)
    np.testing.assert_allclose(found.weight @ gamma.cdf(limits.upper, a, scale=1 / b), 0.95, atol=1e-9)
    drawn = np.quantile(found.draws(40_000, seed=1), [0.05, 0.95], axis=0)
    np.testing.assert_allclose(drawn, [limits.lower, limits.upper], rtol=0.05)


def test_the_order_of_areas_and_equal_areas_do_not_matter() -> None:
    x, e = np.array(LIP["observed"]), np.array(LIP["expected"])
    back = shrink(x[::-1], e[::-1]).estimate[::-1]
    np.testing.assert_allclose(back, shrink(x, e).estimate, rtol=1e-9)
    alike = shrink([30.0] * 10, [20.0] * 10)
    assert alike.estimate == pytest.approx(np.full(10, 1.5), rel=0.01)
    assert alike.spread < 0.25
    assert (alike.limits().upper - alike.limits().lower < 0.7).all()  # less than the 1.13 of one area alone


def test_huge_counts_and_empty_areas_are_no_trouble() -> None:
    rng = np.random.default_rng(20261123)
    expected = np.full(47, 500_000.0)
    found = shrink(rng.poisson(expected * np.exp(rng.normal(0, 0.06, 47))), expected)
    assert found.spread == pytest.approx(0.06, rel=0.3)
    np.testing.assert_allclose(found.estimate, found.events / expected, rtol=1e-3)
    zero = shrink([0, 0, 0, 0, 3], [4.0, 4, 4, 4, 4])
    assert 0 < zero.estimate[0] < zero.estimate[4] < 0.75
    assert 0 < zero.limits().lower[0] < zero.estimate[0] < zero.limits().upper[0]


@pytest.mark.parametrize(("events", "expected"), [([1, 2, 3, 4], [1.0] * 4), ([0] * 6, [1.0] * 6)])
def test_too_little_to_learn_from_is_refused(events: list[int], expected: list[float]) -> None:
    with pytest.raises(EstimateError, match="5以上の地域"):
        shrink(events, expected)


# --- ranks ----------------------------------------------------------------------------------------------


def test_rank_limits_of_certain_and_of_equal_areas() -> None:
    certain = rank_limits(np.tile([3.0, 1.0, 2.0], (100, 1)), worst=1)
    assert certain.lower.tolist() == certain.median.tolist() == certain.upper.tolist() == [3, 1, 2]
    assert certain.worst.tolist() == [1, 0, 0]
    turned = rank_limits(np.tile([3.0, 1.0, 2.0], (100, 1)), first="highest", worst=1)
    assert turned.median.tolist() == [1, 3, 2] and turned.worst.tolist() == [0, 1, 0]
    equal = rank_limits(np.random.default_rng(1).normal(size=(20_000, 20)), worst=10)
    assert equal.lower.tolist() == [1] * 20 and equal.upper.tolist() == [20] * 20
    assert equal.worst == pytest.approx(np.full(20, 0.5), abs=0.02)
    assert equal.worst.sum() == pytest.approx(10)


def test_the_bootstrap_has_the_poisson_scatter_and_no_fixed_order_of_ties() -> None:
    drawn = bootstrap_ratios([100, 0, 0], [50.0, 50.0, 50.0], size=20_000, seed=3)
    assert drawn[:, 0].mean() == pytest.approx(2, abs=0.01) and drawn[:, 0].std() == pytest.approx(0.2, abs=0.01)
    assert (drawn[:, 1] < drawn[:, 2]).mean() == pytest.approx(0.5, abs=0.02)


def test_a_direction_that_is_none_is_refused() -> None:
    with pytest.raises(EstimateError, match="順位の向きが不明"):
        rank_limits(np.ones((5, 3)), first="best")  # type: ignore[arg-type]


# --- funnel ---------------------------------------------------------------------------------------------


def log_odds() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = np.array(AUTHORITY["bcg"]["trials"], dtype=float).T
    return np.log(a * d / b / c), 1 / a + 1 / b + 1 / c + 1 / d


def test_paule_mandel_solves_the_published_q_profile_and_agrees_with_statsmodels() -> None:
    effect, variance = log_odds()
    mean, tau2 = funnel.paule_mandel(effect, variance)

    def q(t: float) -> float:
        weight = 1 / (variance + t)
        return float(weight @ (effect - weight @ effect / weight.sum()) ** 2)

    assert q(tau2) == pytest.approx(12, abs=1e-9)
    low, high = AUTHORITY["bcg"]["q_profile"]  # metafor's interval inverts the same Q
    assert q(low) == pytest.approx(chi2.isf(0.025, 12), rel=1e-3)
    assert q(high) == pytest.approx(chi2.ppf(0.025, 12), rel=1e-3)
    assert low < tau2 < high
    other = combine_effects(effect, variance, method_re="iterated", atol=1e-9, maxiter=500)  # finer: it returns 0
    assert (mean, tau2) == pytest.approx((other.mean_effect_re, other.tau2), rel=1e-9)


def test_paule_mandel_is_zero_where_effects_scatter_less_than_their_errors() -> None:
    effect = [0.1, -0.1, 0.05, -0.05]
    assert funnel.paule_mandel(effect, [1.0] * 4) == (pytest.approx(0), 0.0)
    with pytest.raises(EstimateError, match="1つの地域だけ"):
        funnel.paule_mandel([1.0], [1.0])


@pytest.mark.parametrize("expected", [20, 100, 10_000])
def test_limits_without_between_variance_are_those_of_a_poisson_count(expected: int) -> None:
    found = funnel.funnel_limits(expected, centre=1.0, tau2=0.0, level=0.95)
    rng = np.random.default_rng([20261123, expected])
    ratio = rng.poisson(expected, 200_000) / expected
    outside = ((ratio < found.lower) | (ratio > found.upper)).mean()
    assert outside == pytest.approx(0.05, abs=0.012)  # discrete at 20


def test_limits_at_an_area_say_the_same_as_its_z() -> None:
    rng = np.random.default_rng(7)
    expected = rng.uniform(10, 400, 40)
    events = rng.poisson(expected * rng.gamma(25, 1 / 25, 40))
    events[0] = 3 * expected[0]
    for centre in (None, 1.0):
        found = funnel.funnel(events, expected, centre=centre)
        limits = funnel.funnel_limits(expected, centre=found.centre, tau2=found.tau2, level=0.95)
        outside = (events / expected < limits.lower) | (events / expected > limits.upper)
        assert outside.tolist() == (np.abs(found.z) > 1.959964).tolist()
        assert found.z[0] > 3
    assert found.centre == 1.0
    zero = funnel.funnel([0, 9, 11, 10], [10.0] * 4)
    assert np.isfinite(zero.z).all() and zero.z[0] < -1


# --- control chart --------------------------------------------------------------------------------------


def test_control_limits_against_the_handbook() -> None:
    case = AUTHORITY["xmr"]
    chart = xmr(case["values"])
    assert chart.centre == pytest.approx(case["centre"])
    assert (chart.lower, chart.upper) == pytest.approx((case["lower"], case["upper"]), abs=2e-3)
    assert np.nanmean(chart.moving_range) == pytest.approx(case["mean_moving_range"], abs=1e-4)
    assert chart.range_limit == pytest.approx(3.267 * case["mean_moving_range"], rel=1e-3)
    assert set(chart.signal) == {""}


def test_signals_beyond_the_limits_and_of_a_run() -> None:
    quiet = [10.0, 11, 10, 9, 10, 11, 9, 10, 11, 10]
    chart = xmr([*quiet, 20], baseline=10)
    assert chart.signal[-1] == "beyond" and set(chart.signal[:-1]) == {""}
    drifted = xmr([*quiet, *[10.6] * 8], baseline=10)
    assert drifted.signal[10:] == ("",) * 7 + ("run",)
    assert drifted.centre == pytest.approx(10.1)
    assert len(drifted.as_columns()["signal"]) == 18
    with pytest.raises(EstimateError, match="6か月以上"):
        xmr([1.0, 2, 3, 4, 5])
    with pytest.raises(EstimateError, match="欠測"):
        xmr([1.0, 2, 3, float("nan"), 5, 6, 7])


def test_false_signals_of_the_chart_are_rare() -> None:
    """24 normal months, 2,000 charts: 3 standard deviations say 1 in 370, and the limits follow the outliers."""
    rng = np.random.default_rng(20261123)
    beyond = np.mean([np.mean(np.array(xmr(rng.normal(size=24)).signal) == "beyond") for _ in range(2000)])
    assert 0.001 < beyond < 0.005


# --- together -------------------------------------------------------------------------------------------


def test_a_few_known_worlds() -> None:
    """The whole measurement is `make test-simulation`; 15 worlds leave a coverage about 1 point of error."""
    found = measure(15)
    assert 0.93 < found["rank coverage, posterior"] < 0.995
    assert 0.90 < found["ratio coverage, grid"] < 0.985
    assert 0.89 < found["ratio coverage, repeat visitors"] < 0.985
    assert found["ratio coverage, plug-in"] < found["ratio coverage, grid"]
    assert found["squared error, shrunken / raw"] < 0.7
    assert found["beyond 3 SD, Paule-Mandel"] < 0.01 < 0.3 < found["beyond 3 SD, Poisson"]
    assert found["outlier of +42 % found"] > 0.9


def test_an_area_alone_is_the_plain_interval_when_areas_differ_wildly() -> None:
    """With a spread as large as it may be, an area with many events keeps its own exact interval."""
    expected = np.full(8, 200.0)
    events = np.array([20, 50, 100, 200, 400, 800, 1600, 3200])
    limits, plain = shrink(events, expected).limits(), poisson.exact(events).scaled(1 / expected)
    np.testing.assert_allclose(limits.lower[2:], plain.lower[2:], rtol=0.03)
    np.testing.assert_allclose(limits.upper[2:], plain.upper[2:], rtol=0.03)
