"""Where will a level be in March? Exponential smoothing of monthly values, and how well it would have done."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from kenpo_analytics.kpi.development import LAST, Projected, Try
from kenpo_analytics.kpi.readings import Reading
from kenpo_analytics.months import add_months, fiscal_year_of, months_between

MODELS: dict[str, dict[str, object]] = {
    "水準": {},
    "減衰する傾き": {"trend": "add", "damped_trend": True},
}
"""Additive errors, no season: three or four years cannot tell a season of twelve from chance."""
ENOUGH, TRAINED = 36, 24


def run_up(held: Sequence[Reading], version: str, last: int) -> list[Reading]:
    """The unbroken run of final months under one version that ends in month `last`."""
    known = {r.month: r for r in held if r.version == version and r.final}
    run = []
    while last in known:
        run.append(known[last])
        last = add_months(last, -1)
    return run[::-1]


def choose(values: Sequence[float]) -> str:
    """Which model describes the months best? The smallest AICc."""
    return min(MODELS, key=lambda name: _fitted(values, name).aicc)


def forecast(values: Sequence[float], ahead: int, model: str, level: float) -> Projected:
    """Where will the value be `ahead` months later, with its prediction interval (statsmodels' ETSModel)?"""
    found = _fitted(values, model)
    at = len(values) + ahead - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = found.get_prediction(start=len(values), end=at).summary_frame(alpha=1 - level).iloc[-1]
    lower, upper = float(row["pi_lower"]), float(row["pi_upper"])
    return Projected(float(row["mean"]), lower, upper, (upper - lower) / 2)


def tries(run: Sequence[Reading], model: str, level: float) -> list[Try]:
    """How would each known March have been forecast from each earlier month of its year, by what came before alone?"""
    values = {r.month: r.value for r in run}
    made = []
    for at, reading in enumerate(run):
        year = fiscal_year_of(reading.month)
        march = (year + 1) * 100 + 3
        ahead = months_between(reading.month, march)
        if at + 1 < TRAINED or not ahead > 0 or march not in values:
            continue
        found = forecast([r.value for r in run[: at + 1]], ahead, model, level)
        error = abs(values[march] - found.estimate)
        score = error / found.half if found.half > 0 else (0.0 if error < 1e-12 else float("inf"))
        made.append(Try(year, LAST - ahead, values[march], found.estimate, score, values.get(year * 100 + 3)))
    return made


def _fitted(values: Sequence[float], model: str):  # type: ignore[no-untyped-def]  # statsmodels tells no types
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    series = pd.Series(np.asarray(values, dtype=float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a flat series ends the search early; its forecast is its level
        return ETSModel(series, error="add", **MODELS[model]).fit(disp=False)
