"""What was counted, and what was published? Monthly totals of a branch, and printed values of the nation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.kpi import Kpi, kpis, printed, versions
from kenpo_analytics.errors import DateError, TableError
from kenpo_analytics.months import parse_month
from kenpo_analytics.tables import TABLES

TABLE = TABLES["kpi_monthly"]
FILE = "kpi_published.csv"
GIVEN = ("kpi_id", "version", "month", "area", "value", "numerator", "denominator", "source")
_SCHEMA = {
    "kpi_id": pl.String,
    "version": pl.String,
    "month": pl.Int64,
    "area": pl.String,
    "value": pl.Float64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "part_year": pl.Boolean,
    "status": pl.String,
    "source": pl.String,
}


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
        A missing column, or two rows of one KPI, month and definition version.
    """
    lazy = frames.enter(monthly, TABLE, [column.name for column in TABLE.columns])
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
        value = _value(known.get(row["kpi_id"]), row["numerator"], row["denominator"])
        if value is not None:
            held.append(
                Reading(
                    row["month"], row["definition_version"], row["numerator"], row["denominator"], row["state"], value
                )
            )
    return found


def _value(kpi: Kpi | None, numerator: float | None, denominator: float | None) -> float | None:
    if kpi is None or numerator is None or (kpi.denominator and not denominator):
        return None
    return kpi.value(numerator, denominator)


def published(folder: Path | str | None = None) -> pl.DataFrame:
    """Which KPI values are published? The packaged ones, and those that the branch received from headquarters.

    Parameters
    ----------
    folder
        The data folder. Its file `kpi_published.csv`, if there is one, is added: UTF-8, columns kpi_id, version, month
        (2025-03), area (JIS "01".."47" or 全国), value (as printed: 58.4 for 58.4%), numerator, denominator (may be
        empty), source. A row of the file replaces the packaged one of the same KPI, version, month and area.

    Returns
    -------
    kpi_id, version, month (YYYYMM), area, value (as printed), numerator, denominator, part_year, status, source.

    Raises
    ------
    TableError
        The file lacks a column or a source, or holds an unknown KPI, version, area, month or a value that is no number;
        two rows of one KPI, version, month and area.
    """
    packaged = pl.DataFrame(printed(), schema=_SCHEMA)
    path = None if folder is None else Path(folder) / FILE
    if path is None or not path.is_file():
        return packaged
    own = _own(path)
    key = ["kpi_id", "version", "month", "area"]
    if own.select(key).is_duplicated().any():
        raise TableError(f"{FILE} に、同じ指標・定義の版・月・地域の行が重なっています")
    return pl.concat([packaged.join(own, on=key, how="anti"), own])


def _own(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{FILE} を読めません", hint="UTF-8のCSVで保存してください。") from error
    if missing := [name for name in GIVEN if name not in table.columns]:
        raise TableError(f"{FILE} に列がありません: {', '.join(missing)}", hint=f"列: {', '.join(GIVEN)}")
    rows = [_row(line, row) for line, row in enumerate(table.select(GIVEN).iter_rows(named=True), start=2)]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(line: int, row: dict[str, str | None]) -> dict[str, Any]:
    text = {name: (value or "").strip() for name, value in row.items()}
    known = {kpi.id for kpi in kpis()}
    area = text["area"]
    wrong = {
        "kpi_id": text["kpi_id"] not in known,
        "version": text["kpi_id"] in known and text["version"] not in {v.version for v in versions(text["kpi_id"])},
        "area": area != "全国" and not (len(area) == 2 and area.isascii() and area.isdigit() and 1 <= int(area) <= 47),
        "source": not text["source"],
    }
    if bad := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise TableError(f"{FILE} の{line}行目の {', '.join(bad)} が使えない値です", hint="docs/kpi.mdを見てください。")
    try:
        numbers = {n: float(text[n]) if text[n] else None for n in ("numerator", "denominator")}
        month = parse_month(text["month"])
        made = {**text, "value": float(text["value"]), **numbers, "month": month}
    except (ValueError, DateError) as error:
        raise TableError(f"{FILE} の{line}行目に、月または数として読めない値があります") from error
    return made | {"part_year": month % 100 != 3, "status": "支部設定"}
