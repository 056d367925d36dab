"""Which institution's values or gaps lie far from those of the others? Robust z, sex and age not adjusted for."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.tables import CHECKUPS

MEASURED = tuple(column.name for column in CHECKUPS.columns if column.kind == "float")
ASKED = ("fasting", "medication_bp", "medication_glucose", "medication_lipid", "smoking", "weight_gain_10kg",
         "weight_change_1y")  # fmt: skip
TO_SIGMA = 1.4826
"""The MAD of a normal distribution times this is its standard deviation."""
_SCHEMA: dict[str, Any] = {
    "institution": pl.String,
    "item": pl.String,
    "measure": pl.String,
    "records": pl.Int64,
    "behind": pl.Int64,
    "value": pl.Float64,
    "others": pl.Float64,
    "z": pl.Float64,
    "state": pl.String,
}


def institution_outliers(checkups: Any, *, definitions: Definitions | None = None) -> Any:
    """Which institution's median, or share of missing values, lies far from the other institutions'?

    Robust z: (value - median of the institutions) / (1.4826 MAD). Sex and age are not adjusted for, so that an
    institution of other people is flagged too: a reason to ask, not a proof. Sources: Iglewicz and Hoaglin (1993).

    Parameters
    ----------
    checkups
        Canonical checkups: pandas, polars (eager, lazy) or DuckDB. Needs person_id; items that are there are judged;
        without institution there is nothing to compare: no rows.
    definitions
        `quality.outlier.*` and `quality.institution.records`.

    Returns
    -------
    Small eager frame, sorted: institution, item, measure (median, missing), records (of the institution), behind
    (values of a median; missing ones), value, others (median of the institutions), z (null where the institutions do
    not differ: MAD 0), state: fail (z and the difference itself are large), pass, or not_evaluated (too few records or
    values, or too few institutions).

    Raises
    ------
    TableError
        A column is missing or of another type.
    """
    used = definitions or define()
    present = [name for name in (*MEASURED, *ASKED) if name in frames.columns_of(checkups)]
    lazy = frames.enter(checkups, CHECKUPS, ("person_id", *present), optional=("institution",))
    lazy = lazy.filter(~nw.col("institution").is_null())
    counts = [nw.col(name).count().cast(nw.Int64).alias(f"n_{name}") for name in present]
    middle = [nw.col(name).median().alias(f"m_{name}") for name in present if name in MEASURED]
    plan = lazy.group_by("institution").agg(nw.len().cast(nw.Int64).alias("records"), *counts, *middle)
    wide = frames.collect(plan).sort("institution")
    parts = [_missing(wide, name, used) for name in present]
    parts += [_median(wide, name, used) for name in present if name in MEASURED]
    found = pl.concat([pl.DataFrame(schema=_SCHEMA), *parts]).sort("item", "measure", "institution")
    return frames.small(found, frames.source_of(checkups))


def _missing(wide: pl.DataFrame, name: str, used: Definitions) -> pl.DataFrame:
    gone = pl.col("records") - pl.col(f"n_{name}")
    rows = wide.select("institution", "records", gone.alias("behind"), (gone / pl.col("records")).alias("value"))
    enough = pl.col("records") >= used.number("quality.institution.records")
    return _judged(rows, name, "missing", enough, pl.lit(used.number("quality.outlier.missing")), used)


def _median(wide: pl.DataFrame, name: str, used: Definitions) -> pl.DataFrame:
    value = pl.col(f"m_{name}").cast(pl.Float64).alias("value")
    rows = wide.select("institution", "records", pl.col(f"n_{name}").alias("behind"), value)
    enough = pl.col("behind") >= used.number("quality.institution.records")
    relative = pl.col("others").abs() * used.number("quality.outlier.median")
    return _judged(rows.filter(pl.col("behind") > 0), name, "median", enough, relative, used)


def _judged(
    rows: pl.DataFrame, item: str, measure: str, enough: pl.Expr, least: pl.Expr, used: Definitions
) -> pl.DataFrame:
    """Each institution against the middle of those with enough records."""
    values = rows.filter(enough)["value"]
    middle = values.median() if len(values) >= used.number("quality.outlier.institutions") else None
    spread = TO_SIGMA * float((values - middle).abs().median()) if middle is not None else None  # type: ignore[arg-type]
    far = (pl.col("value") - pl.col("others")).alias("far")
    rows = rows.with_columns(pl.lit(middle, pl.Float64).alias("others")).with_columns(far)
    # shares that must differ by exactly the least difference do so whatever the last bit says
    odd = (pl.col("far").abs() > used.number("quality.outlier.z") * (spread or 0)) & (
        pl.col("far").abs() >= least - 1e-12
    )
    state = pl.when(~enough | pl.col("others").is_null()).then(pl.lit("not_evaluated"))
    rows = rows.with_columns(
        pl.lit(item).alias("item"),
        pl.lit(measure).alias("measure"),
        (pl.col("far") / spread if spread else pl.lit(None, pl.Float64)).alias("z"),
        state.when(odd).then(pl.lit("fail")).otherwise(pl.lit("pass")).alias("state"),
    )
    return rows.select(*_SCHEMA)
