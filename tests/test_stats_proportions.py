from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.proportions import proportion, wilson

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


def test_proportion_carries_its_origin() -> None:
    found = proportion(81, 263, definition_version="v1", as_of=202410)
    assert found.as_dict() == {
        "value": 81 / 263, "lower": pytest.approx(0.2553, abs=5e-5), "upper": pytest.approx(0.3662, abs=5e-5),
        "level": 0.95, "method": "wilson", "numerator": 81.0, "denominator": 263.0, "definition_version": "v1",
        "as_of": 202410,
    }  # fmt: skip


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
        for share in (0, 0.1, 0.5, 1):
            k = np.round(n * share)
            theirs = proportion_confint(k, n, alpha=1 - level, method="wilson")
            ours = wilson(k, n, level=level)
            np.testing.assert_allclose([ours.lower, ours.upper], np.clip(theirs, 0, 1), atol=1e-12)
        counts = np.array([1, 2, 10, 500, 10**5])
        theirs = confint_poisson(counts, 1, method="exact-c", alpha=1 - level)
        np.testing.assert_allclose(
            [exact(counts, level=level).lower, exact(counts, level=level).upper], theirs, rtol=1e-9
        )
        np.testing.assert_allclose(exact(0, level=level).upper, gamma.isf((1 - level) / 2, 1), rtol=1e-9)
