"""Which numbers go into a regression? Columns of an analysis set as arrays, gaps filled with a mark that they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.estimate import TooFew

Floats = NDArray[np.float64]
COVARIATES = ("age", "age_squared", "male", "bmi", "prior")
SPARE = 10
"""People beyond the number of columns without whom no regression is made."""
UNEVEN = 0.2
"""A covariate whose missing share differs between years by more than this is left out of the comparison."""


def covariates(frame: pl.DataFrame, names: Sequence[str] = COVARIATES) -> tuple[Floats, list[str]]:
    """The asked covariates, standardised, one column each, and one more (name_missing) where values are missing.

    A missing value is set to the mean and marked: everybody stays in, and the mark has a coefficient of its own.
    Constant columns are left out, and so is a covariate that some years know and others do not (last year's FPG of the
    first year on file): adjusting one side of a comparison for it and not the other makes a difference of its own.
    Standardised, since statsmodels' weighting needs columns of one scale.
    """
    columns: list[Floats] = []
    used: list[str] = []
    for name in names:
        if (values := _values(frame, name)) is None:
            continue
        gap = np.isnan(values)
        if gap.all() or _uneven(frame, gap):
            continue
        filled = np.where(gap, np.nanmean(values), values)
        for label, column in ((name, filled), (f"{name}_missing", gap.astype(float))):
            if (spread := column.std()) > 0:
                columns.append((column - column.mean()) / spread)
                used.append(label)
    return (np.column_stack(columns) if columns else np.empty((frame.height, 0))), used


def _uneven(frame: pl.DataFrame, gap: NDArray[np.bool_]) -> bool:
    by = next((name for name in ("fiscal_year", "era") if name in frame.columns), None)
    if by is None or not gap.any():
        return False
    shares = frame.select(by, gap=pl.Series(gap)).group_by(by).agg(pl.col("gap").mean())["gap"]
    return bool(np.ptp(shares.to_numpy()) > UNEVEN)


def _values(frame: pl.DataFrame, name: str) -> Floats | None:
    if name == "age_squared":
        age = _values(frame, "age")
        return None if age is None else (age - np.nanmean(age)) ** 2  # centred: else it repeats age
    if name == "male":
        return (frame["sex"] == "M").cast(pl.Float64).to_numpy() if "sex" in frame.columns else None
    if name not in frame.columns:
        return None
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(float)


def clusters(frame: pl.DataFrame, by: str) -> NDArray[np.int64]:
    """Whole numbers that name the clusters of a column; a missing one is a cluster of its own person."""
    if by not in frame.columns:
        raise EstimateError(f"クラスターの列 {by} がありません", hint="person_id か institution を指定してください。")
    own = pl.lit("?") + pl.col("person_id").cast(pl.String)
    text = frame.select(pl.col(by).cast(pl.String).fill_null(own))[by]
    return text.rank("dense").cast(pl.Int64).to_numpy()


def independent(x: Floats, *, lead: int) -> Floats:
    """Without columns that those before them already make up (strata by sex beside the covariate sex): `kept`."""
    return x[:, kept(x, lead=lead)]


def kept(x: Floats, *, lead: int) -> NDArray[np.bool_]:
    """Which columns are not already made up by those before them?

    Raises
    ------
    TooFew
        One of the first `lead` columns is among them, or there are hardly more rows than columns: nothing to estimate.
    """
    if len(x) < x.shape[1] + SPARE:
        raise TooFew("調整する項目の数に対して人数が少ないため、推定しません")
    size = np.abs(np.diag(np.linalg.qr(x, mode="r")))
    found = np.asarray(size > 1e-9 * np.maximum(np.linalg.norm(x, axis=0), 1e-300))
    if not found[:lead].all():
        raise TooFew("比べる群のどれかに人がいないため、推定しません")
    return found


def fit(y: Floats, x: Floats, *, groups: NDArray[np.int64] | None = None, weights: Floats | None = None) -> Any:
    """Least squares with robust errors: HC1, or clustered where `groups` repeat."""
    import statsmodels.api as sm

    model = sm.OLS(y, x) if weights is None else sm.WLS(y, x, weights=weights)
    if groups is not None and len(np.unique(groups)) < len(groups):
        return model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    return model.fit(cov_type="HC1")
