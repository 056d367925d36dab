"""Which claims should have come by now? Months that are late for their age, institutions that fell silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.months import add_months, index_of, month_range, months_between, parse_month
from kenpo_analytics.outcomes.lag import lag_triangle, mature_month
from kenpo_analytics.quality.volume import usual_rows
from kenpo_analytics.tables import CLAIMS

LATE: dict[str, Any] = {
    "treatment_month": pl.Int32,
    "rows": pl.Int64,
    "arrived": pl.Float64,
    "usual": pl.Float64,
    "expected": pl.Float64,
    "ratio": pl.Float64,
    "state": pl.String,
}
SILENT: dict[str, Any] = {
    "institution": pl.String,
    "treatment_month": pl.Int32,
    "months": pl.Int32,
    "usual": pl.Float64,
    "resumed": pl.Boolean,
    "state": pl.String,
}


def overdue_months(claims: Any, *, through: int | str, definitions: Definitions | None = None) -> Any:
    """Which treatment months are not yet complete, and did fewer claims arrive so far than at this age is usual?

    Expected is the usual number of the month (as `monthly_volume`, from complete months) times the share that had
    arrived at the same age in months long past (the lag triangle of `mature_month`, same claims).

    Parameters
    ----------
    claims
        Canonical claims: pandas, polars (eager, lazy) or DuckDB.
    through
        The month up to which claims were received (YYYYMM or "2024-10").
    definitions
        `runout.share`, `visit.kind`, `quality.volume.*`.

    Returns
    -------
    Small eager frame: treatment_month (those after the last complete one), rows (so far), arrived (usual share by now),
    usual, expected, ratio (rows / expected), state: fail (overdue), pass (on time), not_evaluated (no usual level).

    Raises
    ------
    EstimateError
        Too little data to tell the lag, see `mature_month`.
    """
    used, last = definitions or define(), parse_month(through)
    known = mature_month(claims, definitions=used, through=last)
    triangle = lag_triangle(claims, through=last, kind=used.text("visit.kind"))
    held = triangle if isinstance(triangle, pl.DataFrame) else pl.from_pandas(triangle)
    counts = dict(held.group_by("treatment_month").agg(pl.col("n").sum()).sort("treatment_month").iter_rows())
    complete = {m: counts.get(m, 0) for m in month_range(known.first, known.complete_through)}
    old = held.filter(pl.col("treatment_month").is_between(known.first, known.last))
    lines = []
    for month in month_range(add_months(known.complete_through, 1), last):
        lag = pl.col("lag") <= months_between(month, last)
        arrived = float(old.filter(lag)["n"].sum()) / float(old["n"].sum())
        lines.append(_late(month, counts.get(month, 0), arrived, complete, used))
    return frames.small(pl.DataFrame(lines, schema=LATE, orient="row"), frames.source_of(claims))


def _late(month: int, rows: int, arrived: float, complete: Mapping[int, int], used: Definitions) -> tuple[Any, ...]:
    least = used.number("quality.volume.rows")
    usual = usual_rows(month, rows / arrived if arrived else 0, complete, least)
    expected = usual * arrived if usual is not None else None
    if expected is None or expected < least:
        return month, rows, arrived, usual, expected, None, "not_evaluated"
    late = rows < expected / used.number("quality.volume.ratio")
    return month, rows, arrived, usual, expected, rows / expected, "fail" if late else "pass"


def overdue_institutions(claims: Any, *, complete_through: int | str, definitions: Definitions | None = None) -> Any:
    """Which institutions that claim every month have a complete month without any claim?

    An institution is expected to claim when it has claims in each of the `quality.overdue.months` months before, and
    `quality.overdue.claims` or more in the middle one of them. An institution that closed looks the same. A month of
    which no institution claimed is a missing delivery (`monthly_volume`), and passed over here.

    Parameters
    ----------
    claims
        Canonical claims: pandas, polars (eager, lazy) or DuckDB. Returned ones (返戻) do not count; without institution
        no rows.
    complete_through
        The last treatment month that is complete (`mature_month(…).complete_through`); later ones are not judged.
    definitions
        See above.

    Returns
    -------
    Small eager frame, sorted: institution, treatment_month (first without a claim), months (without one in a row),
    usual (median of the months before), resumed (claims again later), state fail; an institution that is expected and
    never silent has one row, its state pass and the rest null.

    Raises
    ------
    TableError
        A column is missing or of another type.
    """
    used, last = definitions or define(), parse_month(complete_through)
    lazy = frames.enter(claims, CLAIMS, ("treatment_month", "status"), optional=("institution",))
    lazy = lazy.filter(nw.col("status") != "returned", nw.col("treatment_month") <= last)
    lazy = lazy.filter(~nw.col("institution").is_null()).with_columns(i=index_of(nw.col("treatment_month")))
    counted = frames.collect(lazy.group_by("institution", "i").agg(n=nw.len()))
    return frames.small(_silent(counted.cast({"i": pl.Int32, "n": pl.Int64}), used), frames.source_of(claims))


def _silent(counted: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    """Every institution and month from its first on, those without claims too; where a habit breaks off.

    Months are numbered without those of which nobody claimed: these are not an institution's fault.
    """
    span, by = int(used.number("quality.overdue.months")), "institution"
    if counted.is_empty():
        return pl.DataFrame(schema=SILENT)
    months = counted.select("i").unique().sort("i").with_row_index("number")
    counted = counted.join(months, on="i")
    grid = counted.group_by(by).agg(pl.col("number").min().alias("begun")).join(months, how="cross")
    grid = grid.filter(pl.col("number") >= pl.col("begun")).drop("begun")
    grid = grid.join(counted.drop("i"), on=[by, "number"], how="left").sort(by, "number")
    n, here = pl.col("n").fill_null(0), pl.when(pl.col("n") > 0).then(pl.col("number"))
    grid = grid.with_columns(
        n.rolling_min(span).shift(1).over(by).alias("least"),
        n.rolling_median(span).shift(1).over(by).alias("usual"),
        here.backward_fill().over(by).alias("again"),
    )
    grid = grid.filter((pl.col("least") > 0) & (pl.col("usual") >= used.number("quality.overdue.claims")))
    gaps = grid.filter(pl.col("n").is_null()).with_columns(
        (pl.col("i") // 12 * 100 + pl.col("i") % 12 + 1).alias("treatment_month"),
        (pl.col("again").fill_null(len(months)) - pl.col("number")).alias("months"),
        pl.col("again").is_not_null().alias("resumed"),
        pl.lit("fail").alias("state"),
    )
    sound = grid.join(gaps, on=by, how="anti").select(by).unique().with_columns(pl.lit("pass").alias("state"))
    found = [gaps.select(pl.col(name).cast(dtype) for name, dtype in SILENT.items()), sound]
    return pl.concat(found, how="diagonal").select(*SILENT).sort(by, "treatment_month")
