from __future__ import annotations

import numpy as np
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.ranks import rank, rank_limits


def test_direction_and_ties() -> None:
    values = [0.3, 0.1, 0.3, -0.2]
    assert rank(values).tolist() == [3, 2, 3, 1]
    assert rank(values, first="highest").tolist() == [1, 3, 1, 4]
    assert rank(values, ties="average").tolist() == [3.5, 2, 3.5, 1]


def test_missing_values_have_no_place() -> None:
    with pytest.raises(EstimateError, match="欠測または無限大が1個"):
        rank([1.0, float("nan")])
    with pytest.raises(EstimateError, match="順位の向きが不明"):
        rank([1.0], first="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("first", ["lowest", "highest"])
def test_equal_draws_are_ranked_by_lot_not_by_the_order_of_the_columns(first) -> None:
    found = rank_limits(np.ones((20_000, 20)), first=first, worst=5)
    assert set(found.lower) == {1} and set(found.upper) == {20}
    assert found.worst == pytest.approx([0.25] * 20, abs=0.015)  # 5 of 20 places, standard error 0.003
    two = rank_limits(np.tile([5.0, 7.0, 7.0, 9.0], (2_000, 1)), first=first)
    assert two.lower.tolist() == ([1, 2, 2, 4] if first == "lowest" else [4, 2, 2, 1])
    assert two.upper.tolist() == ([1, 3, 3, 4] if first == "lowest" else [4, 3, 3, 1])


def test_the_interval_is_widened_to_hold_every_place_that_equal_values_share() -> None:
    limits = rank_limits(np.tile([1.0, 2.0, 3.0, 4.0], (100, 1)))
    assert limits.lower.tolist() == limits.upper.tolist() == [1, 2, 3, 4]
    tied = limits.with_observed([0.1, 0.5, 0.5, 0.5], first="lowest")
    assert tied.lower.tolist() == [1, 2, 2, 2] and tied.upper.tolist() == [1, 4, 4, 4]
    turned = limits.with_observed([4.0, 3.0, 2.0, 1.0], first="lowest")
    assert turned.lower.tolist() == [1, 2, 2, 1] and turned.upper.tolist() == [4, 3, 3, 4]
