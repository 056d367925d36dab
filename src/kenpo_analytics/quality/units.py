"""Which institution reports in another unit? From rejected values, values out of range, and a shifted mean."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.months import fiscal_year_of_date
from kenpo_analytics.tables import CHECKUPS, QUARANTINE, Column

ITEMS = {column.name: column for column in CHECKUPS.columns if column.kind == "float"}
UNITS = {
    ("fpg", "low"): "mmol/L",
    ("casual_glucose", "low"): "mmol/L",
    ("tg", "low"): "mmol/L",
    ("hdl", "low"): "mmol/L",
    ("ldl", "low"): "mmol/L",
    ("non_hdl", "low"): "mmol/L",
    ("hba1c", "high"): "10倍、またはmmol/mol(IFCC)",
    ("creatinine", "high"): "μmol/L",
    ("height", "low"): "m",
}
"""Which unit would explain values below (low) or above (high) the declared range?"""
JDS = "JDS値"
REJECTED = "unit_suspected"
_SCHEMA: dict[str, Any] = {
    "institution": pl.String,
    "fiscal_year": pl.Int32,
    "item": pl.String,
    "suspicion": pl.String,
    "found_in": pl.String,
    "rows": pl.Int64,
    "of": pl.Int64,
    "share": pl.Float64,
    "shift": pl.Float64,
    "state": pl.String,
}


def unit_suspicion(checkups: Any, quarantine: Any = None, *, definitions: Definitions | None = None) -> Any:
    """Which institution reports an item in another unit, and in which fiscal year?

    Three signs: values that ingest put aside because another unit explains them (quarantine, rule unit_suspected);
    values in the table outside the declared range on the side where another unit would put them; and for HbA1c a mean
    that lies below the median of the other institutions' means by what JDS values differ from NGSP (sex and age are
    not adjusted for: an institution of young people can look alike).

    Parameters
    ----------
    checkups
        Canonical checkups: pandas, polars (eager, lazy) or DuckDB. Needs checkup_date. Without
        institution there is nothing to tell: no rows.
    quarantine
        The quarantine that ingest wrote; of any kind.
    definitions
        `quality.unit.*`, `quality.jds.*`, `quality.institution.records`.

    Returns
    -------
    Small eager frame, sorted: institution, fiscal_year, item, suspicion (the unit), found_in (quarantine, range, mean),
    rows (values that look so; for a mean all values), of (values reported, rejected ones among them), share, shift (of
    the mean; else null), state: fail (suspected), pass, or not_evaluated (for the mean: fewer values than
    `quality.institution.records`, or no other institution).

    Raises
    ------
    TableError
        A column is missing or of another type.
    """
    used = definitions or define()
    wide = _counted(checkups)
    rejected = _rejected(quarantine)
    parts = [_by_range(wide, item, side, rejected, used) for item, side in UNITS]
    parts += [_by_quarantine(wide, rejected, used), _by_mean(wide, used)]
    types = [pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()]
    found = pl.concat([part.select(types) for part in parts])
    return frames.small(found.sort("item", "institution", "fiscal_year", "found_in"), frames.source_of(checkups))


def _counted(checkups: Any) -> pl.DataFrame:
    """Of each institution and year: values of each item, those out of range by side, and what makes a mean."""
    lazy = frames.enter(checkups, CHECKUPS, ("checkup_date",), optional=("institution", *ITEMS))
    year = fiscal_year_of_date(nw.col("checkup_date")).alias("fiscal_year")
    lazy = lazy.filter(~nw.col("institution").is_null()).with_columns(year)
    counts = [nw.col(name).count().cast(nw.Int64).alias(f"n_{name}") for name in ITEMS]
    flags, sums = [], []
    for item, side in UNITS:
        flags.append(nw.when(_outside(ITEMS[item], side)).then(1).otherwise(0).alias(f"{side}_{item}"))
        sums.append(nw.col(f"{side}_{item}").sum().cast(nw.Int64))
    within = nw.col("hba1c").is_between(*_bounds(ITEMS["hba1c"]))
    mean = nw.when(within).then(nw.col("hba1c")).alias("_in"), nw.when(within).then(nw.col("hba1c") ** 2).alias("_sq")
    made = [
        nw.col("_in").count().cast(nw.Int64).alias("n_mean"),
        nw.col("_in").mean().alias("mean"),
        nw.col("_sq").mean().alias("square"),
    ]
    plan = lazy.with_columns(*flags, *mean).group_by("institution", "fiscal_year").agg(*counts, *sums, *made)
    return frames.collect(plan).with_columns(pl.col("fiscal_year").cast(pl.Int32))


def _bounds(column: Column) -> tuple[float, float]:
    assert column.low is not None and column.high is not None
    return column.low, column.high


def _outside(column: Column, side: str) -> nw.Expr:
    low, high = _bounds(column)
    return frames.sure(nw.col(column.name) < low if side == "low" else nw.col(column.name) > high)


def _rejected(quarantine: Any) -> pl.DataFrame:
    """Values put aside by institution, year and item, and the unit that the reason names most often."""
    keys = ("institution", "fiscal_year", "item")
    if quarantine is None:
        return pl.DataFrame(schema={key: _SCHEMA[key] for key in keys} | {"suspicion": pl.String, "aside": pl.Int64})
    lazy = frames.enter(quarantine, QUARANTINE, ("rule", "item", "reason"), optional=("institution", "month"))
    counted = lazy.filter(nw.col("rule") == REJECTED).group_by("institution", "month", "item", "reason")
    month, reason = pl.col("month"), pl.col("reason")
    year = (month // 100 - (month % 100 < 4).cast(pl.Int32)).cast(pl.Int32).alias("fiscal_year")
    unit = reason.str.extract(r"疑いがあります\((.+?)\)。").fill_null(reason).alias("suspicion")
    rows = frames.collect(counted.agg(rows=nw.len())).with_columns(year, unit).drop_nulls(keys)
    units = rows.group_by(*keys, "suspicion").agg(pl.col("rows").sum().cast(pl.Int64))
    most = units.sort("rows", "suspicion", descending=[True, False]).group_by(keys, maintain_order=True)
    return most.agg(pl.col("suspicion").first(), pl.col("rows").sum().alias("aside")).sort(keys)


def _many(used: Definitions) -> pl.Expr:
    """Are so many values suspect that it is the institution, not a slip of the pen?"""
    many = pl.col("rows") >= used.number("quality.unit.values")
    often = pl.col("share") >= used.number("quality.unit.share")
    return pl.when(many & often).then(pl.lit("fail")).otherwise(pl.lit("pass")).alias("state")


def _by_range(wide: pl.DataFrame, item: str, side: str, rejected: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    aside = rejected.filter(pl.col("item") == item).drop("item", "suspicion")
    of = pl.col(f"n_{item}") + pl.col("aside").fill_null(0)
    rows = wide.join(aside, on=["institution", "fiscal_year"], how="left").with_columns(of.alias("of"))
    rows = rows.filter(pl.col("of") > 0).with_columns(
        pl.lit(item).alias("item"),
        pl.lit(UNITS[item, side]).alias("suspicion"),
        pl.lit("range").alias("found_in"),
        pl.col(f"{side}_{item}").alias("rows"),
        (pl.col(f"{side}_{item}") / pl.col("of")).alias("share"),
        pl.lit(None, pl.Float64).alias("shift"),
    )
    return rows.with_columns(_many(used))


def _by_quarantine(wide: pl.DataFrame, rejected: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    keys = ["institution", "fiscal_year", "item"]
    values = wide.unpivot(
        [f"n_{item}" for item in ITEMS], index=keys[:2], variable_name="item", value_name="kept"
    ).with_columns(pl.col("item").str.strip_prefix("n_"))
    rows = rejected.rename({"aside": "rows"}).join(values, on=keys, how="left")
    of = pl.col("rows") + pl.col("kept").fill_null(0)
    rows = rows.with_columns(
        of.alias("of"),
        (pl.col("rows") / of).alias("share"),
        pl.lit("quarantine").alias("found_in"),
        pl.lit(None, pl.Float64).alias("shift"),
    )
    return rows.with_columns(_many(used))


def _by_mean(wide: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    """HbA1c of an institution and year against the median of the means of the others."""
    least = used.number("quality.institution.records")
    lines = []
    for year in wide["fiscal_year"].unique().sort().drop_nulls():
        rows = wide.filter((pl.col("fiscal_year") == year) & (pl.col("n_mean") > 0))
        enough = rows.filter(pl.col("n_mean") >= least)
        for row in rows.to_dicts():
            others = enough.filter(pl.col("institution") != row["institution"])["mean"].median()
            judged = row["n_mean"] >= least and others is not None
            shift = row["mean"] - others if judged else None
            error = (max(row["square"] - row["mean"] ** 2, 0.0) / row["n_mean"]) ** 0.5
            state = "not_evaluated" if shift is None else "fail" if _is_jds(shift, error, used) else "pass"
            n = row["n_mean"]
            lines.append((row["institution"], year, "hba1c", JDS, "mean", n, n, None, shift, state))
    return pl.DataFrame(lines, schema=_SCHEMA, orient="row")


def _is_jds(shift: float, error: float, used: Definitions) -> bool:
    near = abs(shift - used.number("quality.jds.shift")) <= used.number("quality.jds.tolerance")
    return near and -shift >= used.number("quality.jds.z") * error
