"""Did a monthly series change its level or slope when the programme began? Interrupted time series (分割時系列)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import Floats
from kenpo_analytics.evaluation.estimate import Estimate, Role
from kenpo_analytics.months import from_month_index, month_index, parse_month

LABELS = {"level": "分割時系列: 水準の変化", "slope": "分割時系列: 傾きの変化(1か月あたり)"}
ESTIMANDS = {
    "level": "事業を始めた月からの、それまでの傾向から外れた水準の変化",
    "slope": "事業を始めてからの、1か月あたりの傾きの変化",
}
ASSUMPTION = "事業がなければ、それまでの傾向と季節変動が続いた(同じ月に始まったほかの施策や制度の変更がない)"
LEAST = 12
"""Months needed before and after the start."""


@any_frame
def interrupted(
    series: pl.DataFrame,
    *,
    start: int | str,
    value: str = "value",
    control: pl.DataFrame | None = None,
    season: bool = True,
    level: float = 0.95,
    unit: str = "",
    role: Role = "sensitivity",
) -> tuple[Estimate, Estimate]:
    """How much did the level, and the slope, of a monthly series change from `start` on?

    Parameters
    ----------
    series
        `month` (YYYYMM, each once, no gaps) and `value`.
    control
        The same of a branch or outcome without the programme: the analysis is of the difference.
    season
        Add one pair of yearly harmonics.

    Returns
    -------
    (level, slope) estimates; diagnostics: `fit` (month, value, fitted, expected without the programme, residual) and
    `residuals` (autocorrelation of the whitened residuals at lags 1, 2, 3, 12, phi).

    Raises
    ------
    EstimateError
        Gaps, repeated months, or fewer than 12 months on a side.

    Notes
    -----
    Generalised least squares with AR(1) errors, phi by restricted maximum likelihood, t intervals. Measured on 72
    months at phi 0 to 0.6: coverage 0.94 to 0.95, where ordinary errors have 0.83, Newey-West 0.73 to 0.79. Design:
    Bernal, Cummins, Gasparrini (2017) Int J Epidemiol 46:348; REML for AR errors: Cheang, Reinsel (2000) JASA 95:1173.
    """
    months, y = _aligned(series, value, control)
    begin = months.index(parse_month(start)) if parse_month(start) in months else -1
    if not LEAST <= begin <= len(months) - LEAST:
        raise EstimateError(
            f"開始月の前後に、それぞれ{LEAST}か月以上のデータが要ります", hint="もっと長い系列を渡してください。"
        )
    x = _design(len(months), begin, season, month_index(months[0]))
    phi, beta, cov = reml(y, x)
    freedom = len(y) - x.shape[1]
    diagnostics = {"fit": _fitted(months, y, x, beta, begin), "residuals": _residuals(y, x, beta, phi)}
    made = [
        _one(name, float(beta[j]), float(np.sqrt(cov[j, j])), freedom, level, unit, role, len(y) - begin, begin)
        for j, name in ((2, "level"), (3, "slope"))
    ]
    first, second = (replace(one, diagnostics=diagnostics) for one in made)
    return first, second


def _aligned(series: pl.DataFrame, value: str, control: pl.DataFrame | None) -> tuple[list[int], Floats]:
    frame = series.select("month", y=pl.col(value).cast(pl.Float64))
    if control is not None:
        other = control.select("month", other=pl.col(value).cast(pl.Float64))
        frame = frame.join(other, on="month", how="left").select("month", y=pl.col("y") - pl.col("other"))
    frame = frame.sort("month")
    months = frame["month"].to_list()
    first = month_index(months[0]) if months else 0
    if months != [from_month_index(first + i) for i in range(len(months))] or frame["y"].null_count():
        raise EstimateError(
            "月が抜けているか重なっているか、値が空の月があります", hint="毎月1行、値のある系列にしてください。"
        )
    return months, frame["y"].to_numpy()


def _design(n: int, begin: int, season: bool, first: int) -> Floats:
    t = np.arange(n, dtype=float)
    after = (t >= begin).astype(float)
    parts = [np.ones(n), (t - begin) / 12, after, after * (t - begin)]
    if season:
        angle = 2 * np.pi * (t + first) / 12
        parts += [np.sin(angle), np.cos(angle)]
    return np.column_stack(parts)


def whiten(a: Floats, phi: float) -> Floats:
    """The Prais-Winsten transform: what is left of AR(1) errors is white."""
    first = np.sqrt(1 - phi**2) * a[:1]
    return np.concatenate([first, a[1:] - phi * a[:-1]])


def reml(y: Floats, x: Floats) -> tuple[float, Floats, Floats]:
    """Which phi, coefficients and covariance does restricted maximum likelihood give under AR(1) errors?"""
    from scipy.optimize import minimize_scalar

    n, k = x.shape

    def fit(phi: float) -> tuple[Floats, float, Any]:
        wy, wx = whiten(y, phi), whiten(x, phi)
        inverse = np.linalg.inv(wx.T @ wx)
        beta = inverse @ (wx.T @ wy)
        return beta, float(((wy - wx @ beta) ** 2).sum()), inverse

    def minus(phi: float) -> float:
        _, squares, inverse = fit(phi)
        # log |V| of AR(1) is -log(1 - phi^2); log |X' V^-1 X| is minus log |inverse|
        return 0.5 * ((n - k) * np.log(squares) - np.log(1 - phi**2) - np.linalg.slogdet(inverse)[1])

    best = minimize_scalar(minus, bounds=(-0.95, 0.95), method="bounded", options={"xatol": 1e-6})
    beta, squares, inverse = fit(float(best.x))
    return float(best.x), beta, np.asarray(inverse * squares / (n - k), dtype=float)


def _one(
    name: str, value: float, size: float, freedom: int, level: float, unit: str, role: Role, after: int, before: int
) -> Estimate:
    from scipy.special import stdtrit

    wide = float(stdtrit(freedom, (1 + level) / 2)) * size
    return Estimate(
        f"its_{name}",
        LABELS[name],
        ESTIMANDS[name],
        ASSUMPTION,
        unit=unit,
        role=role,
        estimate=value,
        lower=value - wide,
        upper=value + wide,
        standard_error=size,
        level=level,
        method="AR(1)の制限付き最尤法、t分布(人数の欄は月数)",
        persons=after,
        compared=before,
    )


def _fitted(months: Sequence[int], y: Floats, x: Floats, beta: Floats, begin: int) -> pl.DataFrame:
    without = x.copy()
    without[:, 2:4] = 0.0
    fitted = x @ beta
    table = {"month": months, "value": y, "fitted": fitted, "expected": without @ beta, "residual": y - fitted}
    return pl.DataFrame(table).with_columns(after=pl.int_range(pl.len()) >= begin)


def _residuals(y: Floats, x: Floats, beta: Floats, phi: float) -> pl.DataFrame:
    white = whiten(y - x @ beta, phi)
    white = white - white.mean()
    total = float((white**2).sum())
    lags = [lag for lag in (1, 2, 3, 12) if lag < len(white) // 2]
    values = [float((white[lag:] * white[:-lag]).sum() / total) for lag in lags]
    return pl.DataFrame({"lag": lags, "autocorrelation": values, "phi": phi, "limit": 1.96 / np.sqrt(len(white))})


@any_frame
def placebo_dates(series: pl.DataFrame, *, start: int | str, value: str = "value", **options: Any) -> pl.DataFrame:
    """Does the level also jump where nothing began? The same estimate at every possible month before the start."""
    begin = month_index(parse_month(start))
    before = series.filter(pl.col("month") < parse_month(start))
    first = month_index(int(before["month"].min())) if before.height else begin  # type: ignore[arg-type]
    rows = []
    for index in range(first + LEAST, begin - LEAST + 1):
        one, _ = interrupted(before, start=from_month_index(index), value=value, **options)
        rows.append({"month": from_month_index(index), "estimate": one.estimate, "lower": one.lower,
                     "upper": one.upper, "excludes_zero": one.shows_effect})  # fmt: skip
    schema = {"month": pl.Int64, "estimate": pl.Float64, "lower": pl.Float64, "upper": pl.Float64,
              "excludes_zero": pl.Boolean}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)
