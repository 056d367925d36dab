"""How has each KPI run? Months of a branch by fiscal year, and the printed history of the plan; breaks stay breaks."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.definitions.kpi import NATION, kpi, kpis, printed, targets, version_at
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.kpi.computed import untreated_visits
from kenpo_analytics.kpi.readings import readings
from kenpo_analytics.kpi.workplaces import workplace_totals
from kenpo_analytics.months import fiscal_year_of, parse_month
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES

PLAN_BRANCH = "24"
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "short", "group", "unit"), pl.String),
    "digits": pl.Int64,
    "counts": pl.String,
    **dict.fromkeys(("fiscal_year", "place", "month"), pl.Int64),
    "definition_version": pl.String,
    "official": pl.Boolean,
    "state": pl.String,
    **dict.fromkeys(("numerator", "denominator", "estimate"), pl.Float64),
}


def monthly_totals(tables: Tables, *, branch: str) -> pl.DataFrame:
    """Which monthly totals are there? Those that were reported, and those the branch can compute itself.

    The table `kpi_monthly` with the rows of `untreated_visits` and `workplace_totals` of each KPI and month of which
    no value has arrived (of the branch, of whatever definition version). Beside months that have arrived the counted
    ones are provisional: the two need not be counted alike.

    Raises
    ------
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    reported = tables.polars("kpi_monthly")
    arrived = reported.filter(pl.col("branch") == branch, _valued(reported))
    parts = []
    for count in (untreated_visits, workplace_totals):
        try:
            counted = count(tables, branch=branch)
        except EstimateError:
            continue
        parts.append(counted.cast({name: reported.schema[name] for name in counted.columns}))
    if not parts:
        return reported
    ours = pl.concat(parts).join(arrived, on=["kpi_id", "month"], how="anti")
    mixed = pl.col("kpi_id").is_in(arrived["kpi_id"].unique().to_list())
    ours = ours.with_columns(state=pl.when(mixed).then(pl.lit("provisional")).otherwise("state"))
    valued = reported.join(ours, on=list(TABLES["kpi_monthly"].key), how="anti")
    return pl.concat([valued, ours], how="diagonal")


def _valued(reported: pl.DataFrame) -> pl.Expr:
    """Which rows give a value: a numerator, and something to divide it by where the KPI is a ratio?"""
    below = pl.col("denominator") > 0 if "denominator" in reported.columns else pl.lit(False)
    ratios = [item.id for item in kpis() if item.denominator]
    return pl.col("numerator").is_not_null() & (below | ~pl.col("kpi_id").is_in(ratios))


def monthly_series(monthly: Any, *, month: int | str, branch: str) -> Any:
    """How has each KPI run over the months, up to one?

    One row per KPI, month and definition version: kpi_id, short, group, unit, digits, counts, fiscal_year, place
    (1 = April .. 12 = March), month, definition_version, official (counted as the KPI is counted now), state,
    numerator, denominator, estimate (shares as fractions). Of two versions of one month both rows are kept.
    """
    at = parse_month(month)
    rows = []
    for id, held in readings(monthly, branch=branch, month=at).items():
        if not held:
            continue
        item = kpi(id)
        now = version_at(id, at).version
        rows += [
            {
                "kpi_id": id,
                "short": item.short,
                "group": item.group,
                "unit": item.unit,
                "digits": item.digits,
                "counts": item.counts,
                "fiscal_year": fiscal_year_of(r.month),
                "place": (r.month % 100 - 4) % 12 + 1,
                "month": r.month,
                "definition_version": r.version,
                "official": r.version == now,
                "state": r.state,
                "numerator": r.numerator,
                "denominator": r.denominator,
                "estimate": r.value,
            }
            for r in held
        ]
    order = {item.id: at for at, item in enumerate(kpis())}
    rows.sort(key=lambda row: (order[str(row["kpi_id"])], row["month"], row["definition_version"]))
    return frames.small(pl.DataFrame(rows, schema=_SCHEMA), frames.source_of(monthly))


def plan_history() -> pl.DataFrame:
    """What has been printed of the KPIs of 三重支部 and the nation, FY2022-2024?

    One row per KPI, month and definition version: kpi_id, short, group, unit, digits, fiscal_year, month (as of),
    definition_version, part_year, mie, target (of that year, under that version), nation, source. A year counted in two
    ways has two rows; `target` stands only beside the version it was set under.
    """
    found: dict[tuple[str, int, str], dict[str, Any]] = {}
    goals = {(t.kpi_id, t.fiscal_year, t.version): t.target for t in targets()}
    for row in printed():
        item, month = kpi(row["kpi_id"]), row["month"]
        year = fiscal_year_of(month)
        target = goals.get((item.id, year, row["version"]))
        line = found.setdefault(
            (item.id, month, row["version"]),
            {
                "kpi_id": item.id,
                "short": item.short,
                "group": item.group,
                "unit": item.unit,
                "digits": item.digits,
                "fiscal_year": year,
                "month": month,
                "definition_version": row["version"],
                "part_year": row["part_year"],
                "mie": None,
                "target": None if target is None else item.of_printed(target),
                "nation": None,
                "source": row["source"],
            },
        )
        line["mie" if row["area"] == PLAN_BRANCH else "nation"] = item.of_printed(row["value"])
        assert row["area"] in (PLAN_BRANCH, NATION)
    order = {item.id: at for at, item in enumerate(kpis())}
    rows = sorted(found.values(), key=lambda row: (order[row["kpi_id"]], row["month"], row["definition_version"]))
    return pl.DataFrame(rows, infer_schema_length=None)
