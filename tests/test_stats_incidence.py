from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.incidence import cumulative_incidence, net_incidence
from kenpo_analytics.stats.proportions import wilson

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "incidence.json").read_text(encoding="utf-8"))
FIELDS = ("at_risk", "events", "competing", "censored", "estimate", "se", "lower", "upper")


@pytest.mark.parametrize("event", [1, 2, 3])
def test_against_cmprsk_and_stcompet(event: int) -> None:
    case = AUTHORITY["competing"]
    status = np.array(case["status"])
    cause = np.where(status == event, 1, np.where(status > 0, 2, 0))
    found = cumulative_incidence(case["time"], cause, horizon=9)
    np.testing.assert_allclose(found.estimate[case["at"]], case["estimate"][str(event)], atol=5e-9)
    np.testing.assert_allclose(found.se[case["at"]], case["se"][str(event)], atol=5e-9)


def test_net_incidence_against_freireich() -> None:
    """Ties between relapse and censoring (weeks 6 and 10): the censored are at risk in that week."""
    case = AUTHORITY["kaplan_meier"]
    found = net_incidence(case["time"], case["event"], horizon=35)
    np.testing.assert_allclose(1 - found.estimate[case["at"]], case["survival"], atol=5e-4)
    np.testing.assert_allclose(found.se[case["at"]], case["se"], atol=5.1e-5)
    assert found.at_risk[[6, 10]].tolist() == [21, 15]


def _people(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([20261123, seed])
    return rng.integers(0, 14, size=n), rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2], size=n)


def test_against_statsmodels_person_by_person() -> None:
    time, cause = _people(5)
    found = cumulative_incidence(time, cause, horizon=12)
    other = CumIncidenceRight(time, cause)
    np.testing.assert_allclose(found.estimate, other.cinc[0][:13], rtol=1e-12)
    np.testing.assert_allclose(found.se, other.cinc_se[0][:13], rtol=1e-10)


def test_grouped_counts_are_people() -> None:
    time, cause = _people(6)
    pairs, count = np.unique(np.column_stack((time, cause)), axis=0, return_counts=True)
    people = cumulative_incidence(time, cause, horizon=10)
    grouped = cumulative_incidence(pairs[::-1, 0], pairs[::-1, 1], count[::-1], horizon=10)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(grouped, name), getattr(people, name))


def test_a_month_does_not_depend_on_the_grid() -> None:
    """lifelines#1699: values must not change with the months asked for."""
    time, cause = _people(7)
    short, long = (cumulative_incidence(time, cause, horizon=h) for h in (5, 13))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:6])


def test_without_censoring_it_is_the_binomial_share() -> None:
    found = cumulative_incidence([0, 1, 2, 3, 3, 9, 9, 9], [1, 2, 1, 1, 2, 2, 1, 1], horizon=9)
    share = np.array([1, 1, 2, 3, 3, 3, 3, 3, 3, 5]) / 8
    np.testing.assert_allclose(found.estimate, share)
    np.testing.assert_allclose(found.se, np.sqrt(share * (1 - share) / 8))


def test_before_the_first_event_there_is_still_an_upper_limit() -> None:
    found = cumulative_incidence([0, 1, 2, 5, 5], [0, 2, 0, 1, 0], horizon=5)
    assert found.estimate[:3].tolist() == [0, 0, 0]
    # 5 people known in month 0; one is lost at its end, one at the end of month 2
    expected = wilson([0, 0, 0, 0], [5, 4, 4, 3]).upper
    np.testing.assert_allclose(found.upper[:4], expected)
    assert found.lower[:4].tolist() == [0, 0, 0, 0]


def test_everybody_has_the_event() -> None:
    found = cumulative_incidence([0, 1], [1, 1], [6, 4], horizon=3)
    assert found.estimate.tolist() == [0.6, 1, 1, 1]
    assert found.upper[1] == 1
    assert found.lower[1:] == pytest.approx([float(wilson(10, 10).lower[0])] * 3)


def test_after_the_last_person_is_lost_nothing_is_claimed() -> None:
    found = cumulative_incidence([1, 3, 3], [1, 0, 0], horizon=6)
    assert found.estimate[:4].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    for name in ("estimate", "se", "lower", "upper"):
        assert np.isnan(getattr(found, name)[4:]).all()


def test_interval_is_log_minus_log() -> None:
    """Choudhury (2002): estimate ** exp(+- z se / (estimate log estimate))."""
    time, cause = _people(8)
    found = cumulative_incidence(time, cause, horizon=10, level=0.9)
    p, se = found.estimate[10], found.se[10]
    ends = sorted(p ** np.exp(sign * 1.6448536 * se / (p * np.log(p))) for sign in (-1, 1))
    assert (found.lower[10], found.upper[10]) == pytest.approx(ends)


def test_bias_and_coverage_with_leavers_and_open_windows() -> None:
    """1000 worlds of 400 people: visit 4 %, leaving 3 % a month, windows closing from month 4; month 10."""
    visit, leave = 0.04, 0.03
    truth = sum((1 - visit - leave) ** m * visit for m in range(11))
    rng = np.random.default_rng([20261123, 9])
    estimates, hits, naive = [], [], []
    for _ in range(1000):
        end = rng.geometric(visit + leave, size=400) - 1
        closes = rng.integers(4, 16, size=400)
        cause = np.where(rng.random(400) < visit / (visit + leave), 1, 2)
        time, cause = np.minimum(end, closes), np.where(end <= closes, cause, 0)
        found = cumulative_incidence(time, cause, horizon=10)
        estimates.append(found.estimate[10])
        hits.append(found.lower[10] <= truth <= found.upper[10])
        naive.append(((time <= 10) & (cause == 1)).mean())
    assert abs(np.mean(estimates) - truth) < 0.003
    assert 0.93 < np.mean(hits) < 0.97
    assert truth - np.mean(naive) > 0.03  # counting everybody is visibly wrong in this world


@pytest.mark.parametrize(
    ("time", "cause", "words"),
    [
        ([], [], "追跡する人が1人もいない"),
        ([1.5], [1], "端数のある値が1個"),
        ([-1], [1], "負の値が1個"),
        ([1, 2], [1, 3], "理由が不明なものが1件"),
        ([1, 2], [1], "層の数がそろっていません"),
    ],
)
def test_what_cannot_be_is_refused(time: list[float], cause: list[int], words: str) -> None:
    with pytest.raises(EstimateError, match=words):
        cumulative_incidence(time, cause, horizon=10)
