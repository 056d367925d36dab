"""Which place? Ranks that say in which direction they count."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray

First = Literal["lowest", "highest"]
Ties = Literal["min", "max", "average"]
DIRECTION: dict[str, str] = {"lowest": "1=低い", "highest": "1=高い"}


def rank(values: Any, *, first: First = "lowest", ties: Ties = "min") -> FloatArray:
    """Which place does each value take, counted from `first`? Equal values share the best place ("min").

    Print `DIRECTION[first]` beside it. A raw rank of noisy values is unstable: never show it without intervals.
    """
    if first not in DIRECTION:
        raise EstimateError(f"順位の向きが不明です: {first}", hint="lowest または highest を指定してください。")
    x = _checks.numbers(values, "順位をつける値")
    return pl.Series(x).rank(ties, descending=first == "highest").cast(pl.Float64).to_numpy()
