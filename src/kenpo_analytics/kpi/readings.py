"""What was counted, and what was published? Monthly totals of a branch, and printed values of the nation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.definitions.kpi import Kpi, kpis, printed, why_impossible
from kenpo_analytics.errors import TableError
from kenpo_analytics.kpi.provider import FILE, KEY, SCHEMA, read_provider
from kenpo_analytics.months import format_month
from kenpo_analytics.tables import TABLES

TABLE = TABLES["kpi_monthly"]


@dataclass(frozen=True)
class Reading:
    """One month of one KPI as it was reported: totals, how they were counted, 速報 (provisional) or 確定 (final)."""

    month: int
    version: str
    numerator: float
    denominator: float | None
    state: str
    value: float

    @property
    def final(self) -> bool:
        """Is it 確定?"""
        return self.state == "final"


def readings(monthly: Any, *, branch: str, month: int) -> dict[str, list[Reading]]:
    """Which months of each KPI does a branch have, up to a month? Rows that give no value (nothing to divide by) go.

    `monthly` is the table `kpi_monthly`, of any kind. Each list is in the order of months.

    Raises
    ------
    TableError
        A missing column, two rows of one KPI, month and definition version, or totals that cannot be
        (`why_impossible`), naming KPI and month.
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    lazy = frames.enter(monthly, TABLE, [column.name for column in TABLE.columns if column.name != "received_month"])
    rows = frames.collect(lazy).filter(pl.col("branch") == branch, pl.col("month") <= month).sort("kpi_id", "month")
    if twice := int(rows.select(TABLE.key).is_duplicated().sum()):
        raise TableError(
            f"kpi_monthlyに、同じ支部・指標・月・定義の版の行が{twice}行あります",
            hint="kenpo checkで確かめてください。",
        )
    known = {kpi.id: kpi for kpi in kpis()}
    found: dict[str, list[Reading]] = {}
    for row in rows.iter_rows(named=True):
        held = found.setdefault(row["kpi_id"], [])
        _refuse_impossible(known.get(row["kpi_id"]), row)
        value = _value(known.get(row["kpi_id"]), row["numerator"], row["denominator"])
        if value is not None:
            held.append(
                Reading(
                    row["month"], row["definition_version"], row["numerator"], row["denominator"], row["state"], value
                )
            )
    return found


def _refuse_impossible(item: Kpi | None, row: dict[str, Any]) -> None:
    if item is None:
        return
    below = row["denominator"] if item.denominator else None
    if why := why_impossible(item, row["numerator"], below, empty=True):
        raise TableError(
            f"kpi_monthlyの{item.short} {format_month(row['month'])}の {why}",
            hint="kenpo checkで行を確かめ、直してください。",
        )


def _value(kpi: Kpi | None, numerator: float | None, denominator: float | None) -> float | None:
    if kpi is None or numerator is None or (kpi.denominator and not denominator):
        return None
    return kpi.value(numerator, denominator)


def published(folder: Path | str | None = None) -> pl.DataFrame:
    """Which KPI values are published? The packaged ones, and those that the branch received from headquarters.

    Parameters
    ----------
    folder
        The data folder. Its file `kpi_published.csv`, if there is one, is added (columns, refusals: `read_provider`). A
        row of the file replaces the packaged one of the same KPI, version, month and area.

    Returns
    -------
    kpi_id, version, month (YYYYMM), area, value (as printed), numerator, denominator, part_year, status, source, as_of
    and published_rank (null where not given).
    """
    packaged = pl.DataFrame(printed(), schema=SCHEMA)
    path = None if folder is None else Path(folder) / FILE
    if path is None or not path.is_file():
        return packaged
    own = read_provider(path)
    return pl.concat([packaged.join(own, on=KEY, how="anti"), own])
