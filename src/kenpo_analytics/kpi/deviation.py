"""How many points is a value worth? The algebra of the incentive score on arrays: the last axis is the 47 branches.

T = 50 + 10 (x - mean) / sd over the branches, for each component of an indicator; T of the indicator is their weighted
mean, its points are base / 50 x T, and the score of a branch is the sum over the indicators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.kpi.weights import COMPONENT_NAMES, Indicator
from kenpo_analytics.stats.estimate import FloatArray

_NOTHING = 1e-12


@dataclass(frozen=True)
class Values:
    """One indicator of all branches: shares (0-1) now and a year before, and the numerators behind them if known."""

    now: FloatArray
    before: FloatArray | None = None
    taken: FloatArray | None = None
    taken_before: FloatArray | None = None

    def raised(self, at: int, points: FloatArray, total: FloatArray | None) -> Values:
        """One branch higher by so many percentage points, the others as they are: one row per element of `points`."""
        now = np.repeat(self.now[None, :], len(points), axis=0)
        now[:, at] += points / 100
        taken = None if self.taken is None else np.repeat(self.taken[None, :], len(points), axis=0)
        if taken is not None and total is not None:
            taken[:, at] += points / 100 * total[at]
        return replace(self, now=now, taken=taken)


def components(item: Indicator, values: Values, *, rise: str) -> dict[str, FloatArray]:
    """What is measured of each component that has a weight? level and rise in points, number in percent.

    `rise` "room": 100 (now - before) / (100 - before), the share of the room for improvement (伸びしろ) that was used;
    "points": now - before.

    Raises
    ------
    EstimateError
        A branch at 100 % the year before (no room), nobody the year before, or no numerators for the rise in number.
    """
    found: dict[str, FloatArray] = {}
    if item.weights["level"]:
        found["level"] = 100 * values.now
    if item.weights["rise"]:
        assert values.before is not None
        room = 1 - values.before if rise == "room" else np.ones_like(values.before)
        _refuse(item, room <= _NOTHING, "前年度が100%の支部があり、伸びしろに対する上昇幅を計算できません")
        found["rise"] = 100 * (values.now - values.before) / room
    if item.weights["number"]:
        if values.taken is None or values.taken_before is None:
            raise EstimateError(
                f"{item.label}の件数上昇率には、2年度の分子が要ります。",
                hint="kpi_published.csv に分子・分母を書くか、kenpo.toml で配分を変えてください。",
            )
        _refuse(item, values.taken_before <= 0, "前年度の分子が0の支部があり、件数上昇率を計算できません")
        found["number"] = 100 * (values.taken / values.taken_before - 1)
    return found


def deviation_value(x: FloatArray, *, sd: str, what: str = "値") -> FloatArray:
    """The deviation value (偏差値) of each branch: 50 + 10 (x - mean) / sd; mean 50 and sd 10 over the branches.

    `sd` "population" divides by their number, "sample" by one less.

    Raises
    ------
    EstimateError
        All branches have the same value.
    """
    mean = x.mean(axis=-1, keepdims=True)
    spread = x.std(axis=-1, ddof=1 if sd == "sample" else 0, keepdims=True)
    if (spread <= _NOTHING * np.maximum(1, abs(mean))).any():
        raise EstimateError(f"{what}が全支部で同じで、偏差値を計算できません(標準偏差が0)。")
    return np.asarray(50 + 10 * (x - mean) / spread, dtype=np.float64)


def deviations(item: Indicator, values: Values, *, rise: str, sd: str) -> dict[str, FloatArray]:
    """The deviation value of each component, and under `all` that of the indicator (their weighted mean)."""
    found = {
        name: deviation_value(x, sd=sd, what=f"{item.label}の{COMPONENT_NAMES[name]}")
        for name, x in components(item, values, rise=rise).items()
    }
    parts = [item.weights[name] * found[name] for name in found]
    return found | {"all": np.asarray(sum(parts), dtype=np.float64)}


def indicator_points(item: Indicator, values: Values, *, rise: str, sd: str) -> FloatArray:
    """The points of each branch: base / 50 x the indicator's deviation value."""
    return item.base / 50 * deviations(item, values, rise=rise, sd=sd)["all"]


def _refuse(item: Indicator, wrong: Any, text: str) -> None:
    if count := int(np.asarray(wrong).sum()):
        raise EstimateError(f"{item.label}: {text}({count}支部)。")
