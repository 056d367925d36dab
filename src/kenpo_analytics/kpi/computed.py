"""Which KPIs can the branch compute itself? Rows of `kpi_monthly` counted from its own tables."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.cohorts.untreated import untreated
from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.definitions.kpi import version_at
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.kpi.judging import YEAR_END
from kenpo_analytics.months import add_months, fiscal_year_of, months_between
from kenpo_analytics.outcomes.first_visit import first_visit, followup_window
from kenpo_analytics.outcomes.incidence import visit_incidence
from kenpo_analytics.outcomes.lag import Maturity, mature_month
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES

UNTREATED = "untreated_visit_rate"


def untreated_visits(tables: Tables, *, branch: str, months: int = 48) -> pl.DataFrame:
    """What share of untreated people saw a doctor within 10 months, month by month of the fiscal year?

    Rows of `kpi_monthly`, one per month from `months` before `tables.month`: KPI year t counts the checkups of fiscal
    year t - 1 (decision D3), and of those everybody whose 10 months were over by the month, so that March counts the
    whole year; people who left stay in the denominator (仮定). All months are counted from the data of `tables.month`,
    under the version in force then, hence not as they were reported once. Nobody counts whose claims have not all
    arrived (`mature_month`): months after that repeat the people of the last complete month and are provisional, and
    so is a March in which somebody is still missing. A month in which nobody's 10 months are over has no row, nor have
    fiscal years whose checkups begin before the claims do: an earlier visit could not be seen.

    Raises
    ------
    EstimateError
        No month of claims is complete.
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    first, last = followup_window(tables.definitions)
    mature = mature_month(tables.claims, definitions=tables.definitions, through=tables.month)
    known = mature.complete_through
    version = version_at(UNTREATED, tables.month).version
    asked = [add_months(tables.month, -back) for back in range(months, -1, -1)]
    rows: list[tuple[str, str, int, str, float, float, str]] = []
    for year in dict.fromkeys(fiscal_year_of(month) for month in asked):
        visits = _visits(tables, branch, year - 1, mature)
        if visits is None:
            continue
        for month in (month for month in asked if fiscal_year_of(month) == year):
            through = min(month, known)
            over = visits.filter(pl.col("complete_months") >= last + months_between(through, known))
            if not over.height:
                continue
            found = visit_incidence(over).kpi.filter(pl.col("window") == f"{first}-{last}").row(0, named=True)
            whole = through >= add_months(year * 100 + YEAR_END, last)
            state = "final" if whole or (month <= known and month % 100 != YEAR_END) else "provisional"
            rows.append((branch, UNTREATED, month, version, float(found["events"]), float(found["persons"]), state))
    if not rows:
        raise EstimateError("10か月の期間が終わった健診がまだありません。")
    names = [column.name for column in TABLES["kpi_monthly"].columns][:7]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("month").cast(pl.Int32))


def _visits(tables: Tables, branch: str, year: int, mature: Maturity) -> pl.DataFrame | None:
    """The first visits of a year's people, if there are any and the claims reach back before their checkups."""
    before, through = int(tables.definitions.number("untreated.lookback.kpi")), mature.complete_through
    if mature.first > add_months(year * 100 + 4, -before):  # a stray older claim does not make the months before whole
        return None
    people = _people(tables, branch, year, through)
    if people is None:
        return None
    visits = first_visit(
        people.lazy(), tables.claims, tables.members, data_through=through, definitions=tables.definitions
    )
    return visits.collect()


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
