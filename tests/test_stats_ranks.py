from __future__ import annotations

import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.ranks import rank


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
