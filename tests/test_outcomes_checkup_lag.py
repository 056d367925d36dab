"""Up to which month are checkups complete? A triangle counted by hand."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.months import add_months
from kenpo_analytics.outcomes.checkup_lag import mature_checkup_month

LAGS = [1] * 60 + [2] * 38 + [4] * 2  # 60 % after one month, 98 % after two, all after four


def rows(months: int = 20) -> dict[str, list]:
    first = [add_months(202204, i) for i in range(months) for _ in LAGS]
    received = [add_months(month, lag) for month, lag in zip(first, LAGS * months, strict=True)]
    return {
        "checkup_date": [dt.date(month // 100, month % 100, 15) for month in first],
        "received_month": received,
    }


def test_run_out_by_hand(engine) -> None:
    known = mature_checkup_month(engine(rows(), {"received_month": pl.Int32}), through=202311)
    assert (known.run_out, known.complete_through, known.through) == (4, 202307, 202311)
    assert known.observed == pytest.approx(1.0)


def test_too_little_to_tell_is_said() -> None:
    with pytest.raises(EstimateError, match="推定できません"):
        mature_checkup_month(pl.DataFrame(rows(4)), through=202211)
