from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import poisson

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "poisson.json").read_text(encoding="utf-8"))


def test_exact_against_garwood_1936() -> None:
    rows = AUTHORITY["exact"]["rows"]
    limits = poisson.exact([r["count"] for r in rows])
    np.testing.assert_allclose(limits.lower, [r["lower"] for r in rows], atol=5e-3)
    np.testing.assert_allclose(limits.upper, [r["upper"] for r in rows], atol=5e-3)


def test_byar_within_the_published_distance_of_exact() -> None:
    claim = AUTHORITY["byar"]
    counts = np.arange(claim["from_count"], 2000)
    exact, byar = poisson.exact(counts), poisson.byar(counts)
    assert np.abs(byar.lower / exact.lower - 1).max() < claim["relative_error"]
    assert np.abs(byar.upper / exact.upper - 1).max() < claim["relative_error"]
    # the formula itself, by hand for 10 events
    assert byar.lower[0] == pytest.approx(10 * (1 - 1 / 90 - 1.959964 / (3 * 10**0.5)) ** 3, rel=1e-6)
    assert byar.upper[0] == pytest.approx(11 * (1 - 1 / 99 + 1.959964 / (3 * 11**0.5)) ** 3, rel=1e-6)


def test_byar_never_goes_below_zero() -> None:
    limits = poisson.byar([0, 1], level=0.9999)
    assert limits.lower.tolist() == [0.0, 0.0]


def test_several_levels_nest() -> None:
    wide, narrow = poisson.exact(12, level=0.998), poisson.exact(12)
    assert wide.lower[0] < narrow.lower[0] < 12 < narrow.upper[0] < wide.upper[0]


def test_compound_without_repeats_is_exact() -> None:
    counts = np.array([0, 1, 7, 300])
    compound, exact = poisson.compound(counts, counts), poisson.exact(counts)
    np.testing.assert_allclose(compound.lower, exact.lower)
    np.testing.assert_allclose(compound.upper, exact.upper)


def test_compound_of_people_who_all_come_k_times_is_k_times_the_count_of_people() -> None:
    people = poisson.exact(25)
    visits = poisson.compound(25 * 4, 25 * 16)
    assert visits.lower[0] == pytest.approx(4 * people.lower[0])
    assert visits.upper[0] == pytest.approx(4 * people.upper[0])


def test_compound_of_no_visit_uses_the_jump() -> None:
    limits = poisson.compound(0, 0, jump=1.5)
    assert (limits.lower[0], limits.upper[0]) == (0.0, pytest.approx(1.5 * chi2.isf(0.025, 2) / 2))


def test_mean_jump() -> None:
    assert poisson.mean_jump([0, 10, 10], [0, 10, 40]).tolist() == [1.0, 1.0, 4.0]


@pytest.mark.parametrize(("people", "low"), [(30, 0.93), (200, 0.94)])
def test_compound_covers_where_exact_does_not(people: int, low: float) -> None:
    """Geometric visits per visitor (half come once, a quarter twice ...): 4000 worlds, fixed seed."""
    rng = np.random.default_rng([20261123, people])
    visits = np.arange(1, 11)
    share = 0.5**visits / (0.5**visits).sum()
    visitors = rng.poisson(people * share, size=(4000, 10))
    count, squares, truth = visitors @ visits, visitors @ visits**2, people * share @ visits

    def coverage(limits: poisson.Limits) -> float:
        return float(((limits.lower <= truth) & (truth <= limits.upper)).mean())

    assert low < coverage(poisson.compound(count, squares)) < 0.97
    assert coverage(poisson.exact(count)) < 0.82


@pytest.mark.parametrize("people", [30, 200])
def test_compound_with_a_rare_very_frequent_visitor(people: int) -> None:
    """1 visitor in 200 comes 30 times: the limit of the method, stated in its docstring, and far above exact."""
    rng = np.random.default_rng([20261123, 1, people])
    visits, share = np.array([1, 2, 5, 30]), np.array([0.8, 0.14, 0.055, 0.005])
    visitors = rng.poisson(people * share, size=(4000, 4))
    count, squares, truth = visitors @ visits, visitors @ visits**2, people * share @ visits
    compound, exact = poisson.compound(count, squares), poisson.exact(count)
    assert 0.89 < ((compound.lower <= truth) & (truth <= compound.upper)).mean() < 0.94
    assert 0.62 < ((exact.lower <= truth) & (truth <= exact.upper)).mean() < 0.75


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(EstimateError, match="二乗和が件数より小さい要素が1個"):
        poisson.compound([5, 5], [5, 4])
    with pytest.raises(EstimateError, match="方法が不明"):
        poisson.limits(5, method="wald")  # type: ignore[arg-type]
