"""May these data be trusted? Every finding in one frame, from which the overview is counted.

Dimensions after Kahn et al., A Harmonized Data Quality Assessment Terminology and Framework (eGEMs 2016;4(1):1244).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.quality.detail import DIMENSIONS, STATES, WORST, findings
from kenpo_analytics.quality.institutions import institution_outliers
from kenpo_analytics.quality.inventory import Overview, overview
from kenpo_analytics.quality.ledger import file_balance, rejections
from kenpo_analytics.quality.overdue import LATE, SILENT, overdue_institutions, overdue_months
from kenpo_analytics.quality.units import unit_suspicion
from kenpo_analytics.quality.volume import monthly_volume
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES


@dataclass(frozen=True)
class Quality:
    """What was found, as small polars frames; `summary` and the states of `columns` are counted from `detail`.

    - `detail`: table, column (or file type), dimension (completeness, conformance, plausibility), rule, label (in
      words), level (error, warning), state (pass, fail, not_applicable, not_evaluated), rows (that break the rule), of
      (rows judged), flagged and judged (months, institutions and years, or files; null where rows are judged), item
      (the column in Japanese).
    - `summary`: table, dimension, and how many rules are in each state.
    - `columns`: those of `Overview.columns`, and the state of the column in each dimension (the worst of its rules).
    - `volume`, `units`, `outliers`, `late_months`, `silent`: from `monthly_volume`, `unit_suspicion`,
      `institution_outliers`, `overdue_months`, `overdue_institutions`.
    - `files`, `rejections`: what became of every delivered file; no rows where ingest left no record.
    - `loaded`: the `Overview`.
    """

    month: int
    loaded: Overview
    detail: pl.DataFrame
    summary: pl.DataFrame
    columns: pl.DataFrame
    volume: pl.DataFrame
    units: pl.DataFrame
    outliers: pl.DataFrame
    late_months: pl.DataFrame
    silent: pl.DataFrame
    files: pl.DataFrame
    rejections: pl.DataFrame

    def __repr__(self) -> str:
        failed = len(self.detail.filter(pl.col("state") == "fail"))
        names = [field.name for field in fields(self) if field.name != "month"]
        return f"Quality({self.month}: 不合格 {failed}, {', '.join(names)})"


def data_quality(tables: Tables, *, loaded: Overview | None = None, definitions: Definitions | None = None) -> Quality:
    """Which columns, months, institutions and files look wrong, and on how many rows does that rest?

    Parameters
    ----------
    tables
        From `load`: rows received later than its month are not judged.
    loaded
        The `overview` of the same tables, where it has been made already.
    definitions
        The thresholds `quality.*`; default those of the tables.

    Returns
    -------
    Quality
        Small frames; counts only, nothing masked yet (`ka.check` before showing).

    Raises
    ------
    TableError
        A table cannot be read or a required column is missing.
    """
    used, known = definitions or tables.definitions, loaded or overview(tables)
    found: dict[str, pl.DataFrame] = {
        "volume": monthly_volume(known, definitions=used),
        "units": _collected(unit_suspicion(tables.checkups, tables.quarantine, definitions=used)),
        "outliers": _collected(institution_outliers(tables.checkups, definitions=used)),
        **_overdue(tables, known, used),
        "files": file_balance(tables.sources, used),
        "rejections": rejections(tables.quarantine, tables.sources),
    }
    detail = findings(tables, known, found, used)
    return Quality(tables.month, known, detail, _summary(detail), _columns(known, detail), **found)


def _collected(frame: Any) -> pl.DataFrame:
    assert isinstance(frame, pl.DataFrame)  # lazy polars in, eager polars out
    return frame


def _overdue(tables: Tables, loaded: Overview, used: Definitions) -> dict[str, pl.DataFrame]:
    """Without a lag to go by nobody can say what is overdue: no rows, and the detail says not evaluated."""
    through = loaded.maturity.filter(pl.col("table") == "claims")["complete_through"].item()
    if through is None:
        return {"late_months": pl.DataFrame(schema=LATE), "silent": pl.DataFrame(schema=SILENT)}
    return {
        "late_months": _collected(overdue_months(tables.claims, through=tables.month, definitions=used)),
        "silent": _collected(overdue_institutions(tables.claims, complete_through=through, definitions=used)),
    }


def _summary(detail: pl.DataFrame) -> pl.DataFrame:
    counts = [(pl.col("state") == state).sum().cast(pl.Int64).alias(state) for state in STATES]
    rows = detail.group_by("table", "dimension").agg(pl.len().cast(pl.Int64).alias("rules"), *counts)
    order = {name: i for i, name in enumerate(TABLES)}
    return rows.sort(pl.col("table").replace_strict(order, default=len(order), return_dtype=pl.Int64), "dimension")


def _columns(loaded: Overview, detail: pl.DataFrame) -> pl.DataFrame:
    """The worst state of the rules on each column, by dimension."""
    rank = pl.col("state").replace_strict(WORST, return_dtype=pl.Int64)
    states = (
        detail.sort(rank, maintain_order=True).group_by("table", "column", "dimension").agg(pl.col("state").first())
    )
    columns = loaded.columns
    for dimension in DIMENSIONS:
        own = states.filter(pl.col("dimension") == dimension).select(
            "table", "column", pl.col("state").alias(dimension)
        )
        columns = columns.join(own, on=["table", "column"], how="left", maintain_order="left")
        columns = columns.with_columns(pl.col(dimension).fill_null("not_applicable"))
    return columns
