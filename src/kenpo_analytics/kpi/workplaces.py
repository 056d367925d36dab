"""Which KPIs of workplaces can the branch count itself? 健康宣言事業所, 健康保険委員, as of the month of the data."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.definitions.kpi import kpi, version_at
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES

DECLARED, DECLARED_STD = "declared_workplaces", "declared_workplaces_std"
COVERAGE, COMMITTEE = "committee_coverage_rate", "committee_workplaces"
LIMITS = {
    DECLARED: "宣言日のある事業所。更新の見込みは分からず、宣言した事業所がすべて続けるとした(仮定)",
    DECLARED_STD: "標準化された宣言の事業所",
    COVERAGE: "事業所一覧の被保険者数による。任意継続の人は分母にも入らない(仮定)",
    COMMITTEE: "委嘱の日がないため、過去の月は数えられない",
}
_BESIDE: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "short", "group", "unit"), pl.String),
    "digits": pl.Int64,
    "counts": pl.String,
    "month": pl.Int64,
    "definition_version": pl.String,
    **dict.fromkeys(("numerator", "denominator", "estimate", "arrived"), pl.Float64),
    "arrived_month": pl.Int64,
    "limit": pl.String,
}
_NAMES = tuple(column.name for column in TABLES["kpi_monthly"].columns[:7])


def workplace_totals(tables: Tables, *, branch: str) -> pl.DataFrame:
    """How many workplaces have declared (健康宣言) or have a committee member (健康保険委員), at `tables.month`?

    Rows of `kpi_monthly` for that month only: the table `workplaces` tells neither when a committee member was
    appointed or left, nor when a declaration was standardised or ended. Before the last month of the data
    (`tables.last_received`) only the declarations are counted, whose day is there. `state` is provisional: what the
    plan counts as expected to renew is not in the data (仮定). Workplaces all of whose members belong to other
    branches are left out; a workplace without members stays (it has declared all the same). A KPI whose column is
    absent or empty has no row, nor has the coverage where a workplace lacks its insured people.

    Raises
    ------
    EstimateError
        There is no table `workplaces`, or nothing in it can be counted.
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch_code(branch)
    if tables.workplaces is None:
        raise EstimateError("事業所の表(workplaces)がないため、事業所の指標を数えられません。")
    held = _of_branch(tables, branch)
    earlier = tables.last_received is not None and tables.month < tables.last_received
    found = {id: counts for id, counts in _counts(held).items() if id == DECLARED or not earlier}
    rows = [
        (branch, id, tables.month, version_at(id, tables.month).version, above, below, "provisional")
        for id, (above, below) in found.items()
    ]
    if not rows:
        raise EstimateError("事業所の表に、この月に数えられる健康宣言日も健康保険委員もありません。")
    made = pl.DataFrame(rows, schema=list(_NAMES), orient="row")
    return made.with_columns(pl.col("month").cast(pl.Int32), pl.col("numerator", "denominator").cast(pl.Float64))


def _of_branch(tables: Tables, branch: str) -> pl.DataFrame:
    assert tables.workplaces is not None
    placed = tables.members.filter(pl.col("workplace_id").is_not_null()) if _has(tables.members) else None
    if placed is None:
        return tables.workplaces.unique("workplace_id").collect()
    here = pl.col("branch").cast(pl.String) == branch
    of_others = placed.group_by("workplace_id").agg(here.any().alias("ours")).filter(~pl.col("ours"))
    return tables.workplaces.unique("workplace_id").join(of_others, on="workplace_id", how="anti").collect()


def _has(members: pl.LazyFrame) -> bool:
    return "workplace_id" in members.collect_schema().names()


def _counts(held: pl.DataFrame) -> dict[str, tuple[float, float | None]]:
    flags = ("declaration_standardised", "committee_member")  # an unknown one is not "no": then nothing is counted
    known = {name for name in held.columns if held[name].null_count() < (1 if name in flags else held.height)}
    found: dict[str, tuple[float, float | None]] = {}
    if "declared_from" in known:
        declared = held.filter(pl.col("declared_from").is_not_null())
        found[DECLARED] = (declared.height, None)
        if "declaration_standardised" in known:
            found[DECLARED_STD] = (int(declared["declaration_standardised"].sum()), None)
    if "committee_member" in known:
        members = held.filter("committee_member")
        if "insured_count" in held.columns and not held["insured_count"].null_count() and held["insured_count"].sum():
            found[COVERAGE] = (int(members["insured_count"].sum()), int(held["insured_count"].sum()))
        found[COMMITTEE] = (members.height, None)
    return found


def beside_reported(tables: Tables, *, branch: str) -> pl.DataFrame:
    """The branch's own counts beside the totals that arrived: do the two tell the same?

    One row per KPI of `workplace_totals` (none where nothing can be counted): kpi_id, short, group, unit, digits,
    counts, month, definition_version, numerator, denominator, estimate (own), arrived and arrived_month (the latest
    total of the same version in `kpi_monthly` up to that month, else null), limit (what the data cannot say).
    """
    try:
        counted = workplace_totals(tables, branch=branch)
    except EstimateError:
        return pl.DataFrame(schema=_BESIDE)
    reported = tables.polars("kpi_monthly").filter(pl.col("branch") == branch, pl.col("month") <= tables.month)
    whole = pl.col("denominator") > 0 if "denominator" in reported.columns else pl.lit(True)
    usable = reported.filter(pl.col("numerator").is_not_null(), whole | (pl.col("kpi_id") != COVERAGE))
    rows: list[dict[str, Any]] = []
    for row in counted.to_dicts():
        item = kpi(row["kpi_id"])
        same = {"kpi_id": item.id, "definition_version": row["definition_version"]}
        last = usable.filter(**same).sort("month").tail(1).to_dicts()
        rows.append(
            {
                **{name: getattr(item, name) for name in ("short", "group", "unit", "digits", "counts")},
                **{n: row[n] for n in ("kpi_id", "month", "definition_version", "numerator", "denominator")},
                "estimate": item.value(row["numerator"], row["denominator"]),
                "arrived": item.value(last[0]["numerator"], last[0]["denominator"]) if last else None,
                "arrived_month": last[0]["month"] if last else None,
                "limit": LIMITS[item.id],
            }
        )
    return pl.DataFrame(rows, schema=_BESIDE)
