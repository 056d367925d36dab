"""Which KPIs can the branch compute itself? Rows of `kpi_monthly` counted from its own tables."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.cohorts.untreated import untreated
from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.definitions.kpi import version_at
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.months import add_months, fiscal_year_of
from kenpo_analytics.outcomes.first_visit import first_visit
from kenpo_analytics.outcomes.incidence import visit_incidence
from kenpo_analytics.outcomes.lag import mature_month
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES

UNTREATED = "untreated_visit_rate"


def untreated_visits(tables: Tables, *, branch: str, months: int = 24) -> pl.DataFrame:
    """What share of untreated people saw a doctor within 10 months, as it would have been reported in past months?

    Rows of `kpi_monthly`, one per month from `months` before `tables.month`: KPI year t counts the checkups of fiscal
    year t - 1 (decision D3), and of those the people whose 10 months are over and whose claims have all arrived by
    the month; people who left stay in the denominator (仮定). A month in which nobody is complete has no row. `state`
    is final: these claims are complete (`mature_month`). The version is the one of `tables.month` in every row, since
    all are counted so; earlier months are counted anew from today's data, with the run-out of today.

    Raises
    ------
    EstimateError
        No month of claims is complete.
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    window = "-".join(f"{tables.definitions.number(f'followup.{name}'):g}" for name in ("first_month", "months"))
    known = mature_month(tables.claims, definitions=tables.definitions, through=tables.month)
    version = version_at(UNTREATED, tables.month).version
    rows: list[tuple[str, str, int, str, float, float]] = []
    cohorts: dict[int, pl.DataFrame | None] = {}
    for back in range(months, -1, -1):
        month, through = add_months(tables.month, -back), add_months(known.complete_through, -back)
        year = fiscal_year_of(month) - 1
        if year not in cohorts:
            cohorts[year] = _people(tables, branch, year, known.complete_through)
        people = cohorts[year]
        if people is None:
            continue
        visits = first_visit(
            people.lazy(), tables.claims, tables.members, data_through=through, definitions=tables.definitions
        ).collect()
        found = visit_incidence(visits).kpi.filter(pl.col("window") == window)
        if len(found) and found["persons"][0]:
            rows.append((branch, UNTREATED, month, version, float(found["events"][0]), float(found["persons"][0])))
    if not rows:
        raise EstimateError("10か月の期間が終わった健診がまだありません。")
    names = [column.name for column in TABLES["kpi_monthly"].columns][:6]
    made = pl.DataFrame(rows, schema=names, orient="row")
    return made.with_columns(pl.col("month").cast(pl.Int32), state=pl.lit("final"))


def _people(tables: Tables, branch: str, year: int, through: int) -> pl.DataFrame | None:
    cohort = untreated(
        tables.checkups,
        tables.claims,
        tables.members,
        fiscal_year=year,
        branch=branch,
        data_through=through,
        definitions=tables.definitions,
    ).collect()
    return cohort.people if len(cohort.people) else None
