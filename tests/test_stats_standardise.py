from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import poisson
from kenpo_analytics.stats.proportions import wilson
from kenpo_analytics.stats.standardise import direct, direct_share, indirect

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "standardise.json").read_text(encoding="utf-8"))


def test_direct_gamma_against_fay_feuer_1997() -> None:
    case = AUTHORITY["direct"]
    found = direct(case["events"], case["denominator"], case["weight"], method="gamma", level=case["level"])
    per = case["per"]
    assert found.value * per == pytest.approx(case["value"], abs=5e-6)
    assert found.lower * per == pytest.approx(case["lower"], abs=5e-6)
    assert found.upper * per == pytest.approx(case["upper"], abs=5e-6)


def test_direct_dobson_by_hand_on_the_same_data() -> None:
    """Dobson et al. (1991): value + sqrt(V / x) * (exact limit of x - x), written out with chi-square quantiles."""
    case = AUTHORITY["direct"]
    x, n, weight = (np.array(case[name], dtype=float) for name in ("events", "denominator", "weight"))
    found = direct(x, n, weight)
    value = sum(w * a / b for a, b, w in zip(x, n, weight, strict=True)) / weight.sum()
    variance = sum((w / weight.sum()) ** 2 * a / b**2 for a, b, w in zip(x, n, weight, strict=True))
    scale = (variance / x.sum()) ** 0.5
    assert found.lower == pytest.approx(value + scale * (chi2.ppf(0.025, 2 * 740) / 2 - 740), rel=1e-9)
    assert found.upper == pytest.approx(value + scale * (chi2.isf(0.025, 2 * 741) / 2 - 740), rel=1e-9)


def test_indirect_against_sas_stdrate() -> None:
    case = AUTHORITY["indirect"]
    rate = np.array(case["standard_events"]) / np.array(case["standard_denominator"])
    expected = np.array(case["denominator"]) * rate
    np.testing.assert_allclose(expected, case["expected"], atol=5e-4)
    found = indirect(case["events"], expected)
    assert found.value == pytest.approx(538 / sum(case["expected"]), abs=1e-5)
    assert (found.numerator, found.denominator) == (538, pytest.approx(528.726, abs=2e-3))


def test_ratio_limits_against_elliott() -> None:
    for row in AUTHORITY["ratio_exact"]["rows"]:
        found = indirect([row["observed"]], [row["expected"]])
        # expected is printed with one decimal, which moves a ratio by up to 0.05 / E of itself
        slack = 0.005 + 0.05 / row["expected"] * row["upper"]
        assert (found.value, found.lower, found.upper) == pytest.approx(
            (row["ratio"], row["lower"], row["upper"]), abs=slack
        )


def test_no_events_have_an_upper_limit() -> None:
    weight, people = [100.0, 300.0], [50.0, 1000.0]
    for method in ("dobson", "gamma"):
        found = direct([0, 0], people, weight, method=method, events_sq=[0, 0], jump=2.0)
        assert (found.value, found.lower) == (0.0, 0.0)
        assert found.upper == pytest.approx(0.25 / 50 * 3.688879, rel=1e-6)
        assert found.upper_repeat == pytest.approx(2 * 0.25 / 50 * 3.688879, rel=1e-6)
    ratio = indirect([0, 0], [1.0, 3.0], events_sq=[0, 0], jump=2.0)
    assert (ratio.value, ratio.lower, ratio.upper) == (0.0, 0.0, pytest.approx(3.688879 / 4, rel=1e-6))
    assert ratio.upper_repeat == pytest.approx(2 * 3.688879 / 4, rel=1e-6)


def test_one_stratum_is_the_plain_interval() -> None:
    plain = poisson.exact(17).scaled(1 / 340)
    repeat = poisson.compound(17, 51).scaled(1 / 340)
    for method in ("dobson", "gamma"):
        found = direct([17], [340], [5], events_sq=[51], method=method)
        assert (found.lower, found.upper) == pytest.approx((plain.lower[0], plain.upper[0]))
        assert (found.lower_repeat, found.upper_repeat) == pytest.approx((repeat.lower[0], repeat.upper[0]))
    share = direct_share([17], [340], [5])
    simple = wilson(17, 340)
    assert (share.lower, share.upper) == pytest.approx((simple.lower[0], simple.upper[0]))


def test_share_of_nobody_and_everybody() -> None:
    nobody = direct_share([0, 0], [40, 60], [40, 60])
    assert (nobody.value, nobody.lower, nobody.upper) == (0.0, 0.0, pytest.approx(wilson(0, 100).upper[0]))
    everybody = direct_share([40, 60], [40, 60], [40, 60])
    assert (everybody.value, everybody.lower, everybody.upper) == (1.0, pytest.approx(wilson(100, 100).lower[0]), 1.0)


def test_share_covers_the_truth() -> None:
    """2000 worlds of four age classes, another age mix as standard: nominal 95 %."""
    rng = np.random.default_rng([20261123, 3])
    n, p, weight = np.array([300, 500, 400, 150]), np.array([0.02, 0.05, 0.09, 0.15]), np.array([1, 1, 2, 3])
    truth = (weight * p).sum() / weight.sum()
    worlds = rng.binomial(n, p, size=(2000, 4))
    hits = [f.lower <= truth <= f.upper for f in (direct_share(x, n, weight) for x in worlds)]
    assert 0.935 < np.mean(hits) < 0.965


def test_repeat_interval_covers_the_truth() -> None:
    """600 worlds with geometric visits per visitor: the plain interval is too short, the repeat interval is not."""
    rng = np.random.default_rng([20261123, 4])
    k = np.arange(1, 7)
    share = 0.5**k / (0.5**k).sum()
    n, visitors = np.array([2000, 5000, 4000, 500.0]), np.array([0.02, 0.005, 0.008, 0.03])
    weight = np.array([3000, 4000, 5000, 1500.0])
    truth = (weight * visitors * (share @ k)).sum() / weight.sum()
    plain, repeat = [], []
    for people in rng.poisson((n * visitors)[:, None] * share, size=(600, 4, 6)):
        found = direct(people @ k, n, weight, events_sq=people @ k**2)
        plain.append(found.lower <= truth <= found.upper)
        repeat.append(found.lower_repeat <= truth <= found.upper_repeat)
    assert 0.93 < np.mean(repeat) < 0.98
    assert np.mean(plain) < 0.86


strata = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 5000), st.integers(1, 9000)), min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(strata, st.randoms(use_true_random=False), st.sampled_from(["dobson", "gamma"]))
def test_order_and_units_do_not_matter(rows: list[tuple[int, int, int]], shuffle: object, method: str) -> None:
    x, n, w = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    order = np.arange(len(rows))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    base = direct(x, n, w, method=method)
    moved = direct(x[order], n[order], 7 * w[order], method=method)
    years = direct(x, n / 12, w / 12, method=method)
    for other, unit in ((moved, 1), (years, 1 / 12)):
        assert (other.value * unit, other.lower * unit, other.upper * unit) == pytest.approx(
            (base.value, base.lower, base.upper), rel=1e-9, abs=1e-12
        )


@settings(max_examples=60, deadline=None)
@given(strata)
def test_splitting_a_stratum_changes_nothing(rows: list[tuple[int, int, int]]) -> None:
    """Two halves with the same rate and a standard split alike are the stratum they came from."""
    x, n, w = (2.0 * np.array(column, dtype=float) for column in zip(*rows, strict=True))
    halves = [np.concatenate((c[:1] / 2, c[:1] / 2, c[1:])) for c in (x, n, w)]
    whole, split = direct(x, n, w), direct(*halves)
    assert (split.value, split.lower, split.upper) == pytest.approx((whole.value, whole.lower, whole.upper))
    ratio, ratio_split = indirect(x, w), indirect(halves[0], halves[2])
    assert (ratio_split.value, ratio_split.upper) == pytest.approx((ratio.value, ratio.upper))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(EstimateError, match=r"層の数がそろっていません\(件数=2、分母=3、標準人口=3\)"):
        direct([1, 2], [1, 2, 3], [1, 2, 3])
    with pytest.raises(EstimateError, match="分母が0以下の要素が1個"):
        direct([0, 2], [0, 2], [1, 1])
    with pytest.raises(EstimateError, match="期待件数が0なのに件数のある層が1個"):
        indirect([1, 2], [0, 2])
    with pytest.raises(EstimateError, match="期待件数の合計が0"):
        indirect([0], [0])
    with pytest.raises(EstimateError, match="直接法の区間の方法が不明"):
        direct([1], [2], [3], method="wald")  # type: ignore[arg-type]
    with pytest.raises(EstimateError, match="分子が分母を超える層が1個"):
        direct_share([3], [2], [1])
