from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.proportions import katz, newcombe, share, wilson

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "proportions.json").read_text(encoding="utf-8"))


def test_wilson_against_newcombe_1998() -> None:
    rows = AUTHORITY["wilson"]["rows"]
    limits = wilson([r["events"] for r in rows], [r["total"] for r in rows])
    np.testing.assert_allclose(limits.lower, [r["lower"] for r in rows], atol=5e-5)
    np.testing.assert_allclose(limits.upper, [r["upper"] for r in rows], atol=5e-5)


def test_none_and_all_have_exact_ends() -> None:
    limits = wilson([0, 7], [7, 7], level=0.998)
    assert limits.lower[0] == 0.0
    assert limits.upper[1] == 1.0
    assert limits.upper[0] == pytest.approx(1 - limits.lower[1])


def test_a_share_and_its_limits_as_cells_of_a_row() -> None:
    found = share(81, 263)
    assert found == {
        "estimate": 81 / 263, "lower": pytest.approx(0.2553, abs=5e-5), "upper": pytest.approx(0.3662, abs=5e-5),
    }  # fmt: skip
    assert share(0, 0) == {"estimate": None, "lower": None, "upper": None}
    with pytest.raises(EstimateError, match="信頼水準は0と1の間"):
        share(0, 0, level=95)


def test_newcombe_and_katz_equal_statsmodels_on_a_grid() -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep as theirs

    for level in (0.9, 0.95, 0.998):
        for n1, n0 in ((1, 1), (7, 30), (56, 29), (1200, 45_000)):
            counts = [(k1, k0) for k1 in sorted({0, 1, n1 // 2, n1}) for k0 in sorted({0, 1, n0 // 3, n0})]
            for k1, k0 in counts:
                gap = newcombe(k1, n1, k0, n0, level=level)
                known = theirs(k1, n1, k0, n0, compare="diff", method="newcomb", alpha=1 - level)
                np.testing.assert_allclose([gap.lower[0], gap.upper[0]], known, atol=1e-12)
                if k1 and k0:
                    ratio = katz(k1, n1, k0, n0, level=level)
                    known = theirs(k1, n1, k0, n0, compare="ratio", method="log", alpha=1 - level)
                    np.testing.assert_allclose([ratio.lower[0], ratio.upper[0]], known, rtol=1e-12)


@pytest.mark.parametrize(("k1", "k0"), [(0, 5), (5, 0)])
def test_a_ratio_needs_events_on_both_sides(k1: int, k0: int) -> None:
    with pytest.raises(EstimateError, match="分子が0の要素が1個あり、比の区間がありません"):
        katz(k1, 10, k0, 20)
    with pytest.raises(EstimateError, match="分子が分母を超える"):
        katz(11, 10, 5, 20)


def test_students_quantile_is_that_of_scipy_stats() -> None:
    from scipy.stats import t

    from kenpo_analytics.stats._checks import student_quantile

    freedom = np.array([1, 2, 9, 120, 10**6])
    for level in (0.5, 0.9, 0.95, 0.998):
        np.testing.assert_allclose(student_quantile(level, freedom), t.ppf((1 + level) / 2, freedom), rtol=1e-9)
    with pytest.raises(EstimateError, match="信頼水準は0と1の間"):
        student_quantile(95, freedom)


@pytest.mark.parametrize(
    ("events", "total", "level", "words"),
    [
        (1, 0, 0.95, "分母が0以下の要素が1個"),
        (5, 4, 0.95, "分子が分母を超える要素が1個"),
        (-1, 4, 0.95, "負の値が1個"),
        (float("nan"), 4, 0.95, "欠測または無限大が1個"),
        (1, 4, 95, "信頼水準は0と1の間"),
    ],
)
def test_what_cannot_be_is_refused(events: float, total: float, level: float, words: str) -> None:
    with pytest.raises(EstimateError, match=words):
        wilson(events, total, level=level)


def test_wilson_and_exact_poisson_equal_statsmodels_and_scipy():
    """Written out because importing statsmodels costs every kernel 1.7 CPU-s; the numbers are theirs."""
    from scipy.stats import gamma
    from statsmodels.stats.proportion import proportion_confint
    from statsmodels.stats.rates import confint_poisson

    from kenpo_analytics.stats.poisson import exact

    n = np.array([1, 7, 50, 731, 10**6])
    for level in (0.9, 0.95, 0.998):
        for part in (0, 0.1, 0.5, 1):
            k = np.round(n * part)
            theirs = proportion_confint(k, n, alpha=1 - level, method="wilson")
            ours = wilson(k, n, level=level)
            np.testing.assert_allclose([ours.lower, ours.upper], np.clip(theirs, 0, 1), atol=1e-12)
        counts = np.array([1, 2, 10, 500, 10**5])
        theirs = confint_poisson(counts, 1, method="exact-c", alpha=1 - level)
        np.testing.assert_allclose(
            [exact(counts, level=level).lower, exact(counts, level=level).upper], theirs, rtol=1e-9
        )
        np.testing.assert_allclose(exact(0, level=level).upper, gamma.isf((1 - level) / 2, 1), rtol=1e-9)
