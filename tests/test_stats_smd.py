from __future__ import annotations

import math

import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.smd import smd_levels, smd_mean


def test_means_by_hand() -> None:
    assert smd_mean(118, 6, 115, 8) == pytest.approx(3 / math.sqrt(50))
    assert smd_mean(115, 8, 118, 6) == pytest.approx(-3 / math.sqrt(50))


def test_two_levels_are_austins_share_by_hand() -> None:
    by_hand = 0.2 / math.sqrt((0.25 + 0.21) / 2)  # 50 % against 30 %
    assert smd_levels([50, 50], [30, 70]) == pytest.approx(by_hand)
    assert smd_levels([50, 50, 0], [30, 70, 0]) == pytest.approx(by_hand)


def test_order_of_levels_does_not_matter() -> None:
    assert smd_levels([10, 20, 30], [30, 20, 15]) == pytest.approx(smd_levels([30, 10, 20], [15, 30, 20]))


def test_groups_that_share_no_level_are_infinitely_far_apart() -> None:
    """kaz-yos/tableone#114 reports 0.028 here."""
    assert smd_levels([60, 40, 0, 0], [0, 0, 50, 50]) == math.inf
    assert smd_levels([100, 0], [0, 100]) == math.inf
    assert smd_mean(1, 0, 2, 0) == -math.inf


def test_no_difference_is_zero() -> None:
    assert smd_levels([7, 0], [90, 0]) == 0
    assert smd_levels([10, 20, 30], [1, 2, 3]) == pytest.approx(0, abs=1e-9)
    assert smd_mean(3, 0, 3, 0) == 0


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(EstimateError, match="1人もいない"):
        smd_levels([0, 0], [1, 2])
