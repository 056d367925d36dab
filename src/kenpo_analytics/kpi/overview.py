"""What does the page of one month show of the KPIs? Every part of it, of all groups or of one, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import polars as pl

from kenpo_analytics.definitions.kpi import GROUPS, in_year, kpis, version_at
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.kpi.branches import eager
from kenpo_analytics.kpi.places import with_ranks
from kenpo_analytics.kpi.process import control
from kenpo_analytics.kpi.projection import landing
from kenpo_analytics.kpi.readings import published
from kenpo_analytics.kpi.series import monthly_series, monthly_totals, plan_history
from kenpo_analytics.kpi.standing import STATUSES, status
from kenpo_analytics.kpi.workplaces import beside_reported
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.store import Tables

REFERENCE = "参考"
_STATES = {"final": "確定", "provisional": "速報"}


@dataclass(frozen=True)
class Overview:
    """The frames of one month's KPI page, each of the group that was asked for.

    `latest` and `final`: `kpi.status` of the latest and of the latest final month, with `when` (2025年10月(速報));
    `latest` also has the places among the 47 branches. `ended`: `kpi.status` of last March, final values only. In all
    three what is no KPI of that year's plan has the status 参考.
    `landing` and `backtest`: `kpi.landing` (the test month by month only of the KPIs with an interval, if there are
    any). `series`: `kpi.monthly_series`; `arrived`: from which month to which. `control`: `kpi.control`, with `last`
    (the latest month of its chart). `counted`: `kpi.beside_reported`. `printed`: `kpi.plan_history`. `plan`: the rows
    of `latest` that are KPIs of the year's plan. `definitions`: what numerator and denominator of each are.
    """

    fiscal_year: int
    latest: pl.DataFrame
    final: pl.DataFrame
    ended: pl.DataFrame
    landing: pl.DataFrame
    backtest: pl.DataFrame
    series: pl.DataFrame
    arrived: pl.DataFrame
    control: pl.DataFrame
    counted: pl.DataFrame
    printed: pl.DataFrame
    plan: pl.DataFrame
    definitions: pl.DataFrame


def overview(tables: Tables, *, branch: str, group: str = "") -> Overview:
    """Where does the branch stand in the month of `tables`, KPI by KPI? All parts of the monthly page.

    `group`: 業務, レセプト, 保健 or 企画総務; empty for all.

    Raises
    ------
    ParameterError
        `branch` is no code of a branch, or there is no such group.
    """
    if group and group not in GROUPS:
        raise ParameterError(
            f"グループ「{group}」はありません。", hint=f"使えるグループ: {'、'.join(GROUPS)}(空: すべて)"
        )

    def of_group(table: pl.DataFrame) -> pl.DataFrame:
        return table.filter(pl.col("group") == group) if group else table

    totals, nation, month = monthly_totals(tables, branch=branch), published(tables.folder), tables.month
    year = fiscal_year_of(month)
    judged = partial(status, totals, branch=branch, nation=nation)
    latest, final = (_apart(of_group(eager(judged(month=month, use=use)))) for use in ("latest", "final"))
    march = year * 100 + 3
    ended = _apart(of_group(eager(judged(month=march, use="final", known_at=month))))
    found = landing(totals, month=month, branch=branch, nation=nation)
    lands, series = of_group(eager(found.rows)), of_group(eager(monthly_series(totals, month=month, branch=branch)))
    latest = with_ranks(_dated(latest), nation, month=month, branch=branch)
    plan = latest.filter(pl.col("status") != REFERENCE, pl.col("kind") != "unknown")
    return Overview(
        fiscal_year=year,
        latest=latest,
        final=_dated(final),
        ended=ended.filter(pl.col("month") == march),
        landing=lands,
        backtest=_tested(eager(found.backtest), lands),
        series=series,
        arrived=_arrived(series),
        control=of_group(eager(control(totals, month=month, branch=branch))).with_columns(
            last=pl.col("month") == pl.col("month").max().over("kpi_id")
        ),
        counted=of_group(eager(beside_reported(tables, branch=branch))),
        printed=of_group(eager(plan_history())),
        plan=plan,
        definitions=_definitions(latest["kpi_id"].to_list(), month),
    )


def _apart(rows: pl.DataFrame) -> pl.DataFrame:
    """What is no KPI of the plan is not judged: 参考, not 判定不能."""
    planned = {year: [item.id for item in in_year(year) if item.kind != "reference"] for year in rows["fiscal_year"]}
    pairs = rows.select("kpi_id", "fiscal_year", "kind").iter_rows()
    apart = pl.Series([kind != "unknown" and id not in planned[year] for id, year, kind in pairs], dtype=pl.Boolean)
    return rows.with_columns(status=pl.when(apart).then(pl.lit(REFERENCE)).otherwise("status"))


def by_group(plan: pl.DataFrame) -> pl.DataFrame:
    """How many KPIs of the plan stand where, by group? Of rows of `kpi.status`: group, a column per status, kpis.

    Of checked rows: a verdict that is hidden there (判定不能) must not come back as a number here.
    """
    counted = ((pl.col("status") == name).sum().alias(name) for name in STATUSES)
    return plan.group_by("group", maintain_order=True).agg(*counted, kpis=pl.len())


def _dated(rows: pl.DataFrame) -> pl.DataFrame:
    month, state = pl.col("month"), pl.col("state").replace_strict(_STATES, return_dtype=pl.String)
    return rows.with_columns(when=pl.format("{}年{}月({})", month // 100, month % 100, state))


def _tested(backtest: pl.DataFrame, lands: pl.DataFrame) -> pl.DataFrame:
    """Of the KPIs with an interval; where none has one, of all: it shows why."""
    projected = lands.filter(pl.col("method") == "development_factor")
    shown = projected if projected.height else lands
    return backtest.filter(pl.col("kpi_id").is_in(shown["kpi_id"].implode()))


def _arrived(series: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("month")
    return series.group_by("kpi_id", "short", "definition_version", maintain_order=True).agg(
        months=pl.len(),
        first_month=month.min(),
        last_month=month.max(),
        final_month=month.filter(pl.col("state") == "final").max(),
    )


def _definitions(ids: list[str], month: int) -> pl.DataFrame:
    told = {item.id: item for item in kpis()}
    names = ("short", "numerator", "denominator", "status", "source")
    rows = [
        {"kpi_id": id, "what": version_at(id, month).what} | {name: getattr(told[id], name) for name in names}
        for id in ids
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("kpi_id", "what", *names), pl.String))
