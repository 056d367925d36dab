"""What do the 47 branches report? Their published strata (`national`) as cells for the index."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import VISIT, eager, named

OUT_OF_HOURS = {"out_of_hours_first": "first", "out_of_hours_return": "return"}


def branch_cells(national: Any, *, fiscal_year: int) -> Any:
    """Which out-of-hours visits (時間外受診) had each branch in a fiscal year?

    Parameters
    ----------
    national
        The canonical table `national`, of any kind; other measures and periods are left out.
    fiscal_year
        The period "FY2024" for 2024.

    Returns
    -------
    Cells as `out_of_hours` gives them: area, sex, age_band, visit_type ("first", "return"), events, events_sq, persons,
    denominator, denominator_unit. Pandas for pandas, polars otherwise.

    Raises
    ------
    TableError
        Either measure is missing in that fiscal year.
    """
    table = eager(national)
    ours = table.filter(pl.col("measure").is_in(list(OUT_OF_HOURS)))
    year = ours.filter(pl.col("period") == f"FY{fiscal_year}")
    if lacking := sorted(set(OUT_OF_HOURS) - set(year["measure"])):
        raise TableError(
            f"nationalに{fiscal_year}年度の値がありません: {named(lacking)}",
            hint=f"nationalにある期間: {named(sorted(ours['period'].unique())) or 'なし'}",
        )
    cells = year.with_columns(pl.col("measure").replace_strict(OUT_OF_HOURS).alias(VISIT)).drop("measure", "period")
    return small(cells.sort(VISIT, "area", "sex", "age_band"), source_of(national))


def branch_years(national: Any, *, through: int, count: int = 3) -> list[int]:
    """Which fiscal years, `count` at most and up to `through`, have both out-of-hours measures in `national`?"""
    table = eager(national).filter(pl.col("measure").is_in(list(OUT_OF_HOURS)) & pl.col("period").str.starts_with("FY"))
    complete = table.group_by("period").agg(pl.col("measure").n_unique()).filter(pl.col("measure") == len(OUT_OF_HOURS))
    years = sorted(int(period.removeprefix("FY")) for period in complete["period"])
    return [year for year in years if year <= through][-count:]
