"""Is the input a number we can work with? Shared refusals; every message is Japanese and states counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats.estimate import FloatArray


def numbers(values: Any, name: str) -> FloatArray:
    """Return `values` as a 1-d float array; refuse missing or non-finite numbers."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise EstimateError(
            f"{name}に欠測または無限大が{bad}個あります。", hint="欠測は0に置き換えず、先に除くか補ってください。"
        )
    return array


def counts(values: Any, name: str) -> FloatArray:
    """Return `values` as non-negative floats (fractions are allowed: bounds and weighted counts use them)."""
    array = numbers(values, name)
    bad = int((array < 0).sum())
    if bad:
        raise EstimateError(f"{name}に負の値が{bad}個あります。")
    return array


def positive(values: Any, name: str) -> FloatArray:
    """Return `values` as strictly positive floats."""
    array = numbers(values, name)
    bad = int((array <= 0).sum())
    if bad:
        raise EstimateError(
            f"{name}が0以下の要素が{bad}個あり、計算できません。", hint="分母のない層は先に除いてください。"
        )
    return array


def same_length(**arrays: FloatArray) -> None:
    """Refuse arrays of different lengths; the caller aligns strata by key."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = "、".join(f"{name}={length}" for name, length in lengths.items())
        raise EstimateError(f"層の数がそろっていません({found})。", hint="層はキーで結合してから渡してください。")
    if not next(iter(lengths.values()), 0):
        raise EstimateError("層が1つもありません。")


def tail(level: float) -> float:
    """Return the probability in each tail of a two-sided interval; refuse levels outside (0, 1)."""
    if not 0 < level < 1:
        raise EstimateError(f"信頼水準は0と1の間で指定してください: {level}", hint="95%は0.95と書きます。")
    return (1 - level) / 2


def normal_quantile(level: float) -> float:
    """Return the two-sided standard normal quantile of `level` (1.96 for 0.95)."""
    from scipy.special import ndtri  # scipy.stats takes 1.3 CPU-s to import, statsmodels 1.7 and 135 MB

    return float(-ndtri(tail(level)))


def student_quantile(level: float, freedom: Any) -> FloatArray:
    """Return the two-sided quantiles of Student's t of `level`, one for each number of degrees of freedom."""
    from scipy.special import stdtrit  # not scipy.stats: see above

    return np.asarray(stdtrit(np.asarray(freedom, dtype=np.float64), 1 - tail(level)), dtype=np.float64)
