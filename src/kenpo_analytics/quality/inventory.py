"""What is loaded, how complete is it, and which months may be used? One source for overview and detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics.checks import check_table
from kenpo_analytics.checks.rules import RULES
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.months import add_months, fiscal_months, fiscal_year_of, fiscal_year_of_date
from kenpo_analytics.outcomes.checkup_lag import mature_checkup_month
from kenpo_analytics.outcomes.lag import Maturity, mature_month
from kenpo_analytics.store import RECEIVED, Tables
from kenpo_analytics.tables import TABLES, Table

EVENTS = {
    "checkups": "checkup_date",
    "claims": "treatment_month",
    "claim_fees": "treatment_month",
    "guidance": "first_interview",
    "mailings": "planned_date",
}
"""Which column says when the event of a row happened? Tables without one are counted as a whole only."""
LEDGERS = ("sources", "quarantine")
"""What ingest tells of itself: no data to be judged like the others."""


@dataclass(frozen=True)
class Overview:
    """What is loaded, as small polars frames that all come from the same rows (those known at `month`).

    - `tables`: table, label (what a row is), rows, persons, first_month, last_month (event), first_received,
      last_received (YYYYMM; null where the table has no such column). Absent optional tables have null counts.
    - `columns`: table, column, label, required, rows, missing, missing_share, judged (rows with a value),
      out_of_range (outside the declared range or allowed values; null where none is declared), first_month, last_month
      (events with a value; null where the table has no months).
    - `coverage`: table, clock (event, received), month, rows, persons, complete (of checkups and claims on the event
      clock: has nearly everything of that month arrived? else null).
    - `maturity`: table, run_out (months), complete_through, through (YYYYMM), share (asked), observed, rows.
    - `years`: fiscal_year, rows, persons (of checkups), next_checkup and followup: complete, partly or open (are the
      months for the next checkup, and for the first visit, over and the data complete, for all its checkups?), no_data
      (claims begin later), unknown (too little data to tell).
    - `rules`: every rule of `checks` on the loaded rows, table by table, as `check_table(all_rules=True)` gives it (ids
      that refer to another table are checked by `kenpo check`).
    - `violations`: the rules that are broken: table, column, rule, label (the rule in words), level, rows, of.
    """

    month: int
    tables: pl.DataFrame
    columns: pl.DataFrame
    coverage: pl.DataFrame
    maturity: pl.DataFrame
    years: pl.DataFrame
    rules: pl.DataFrame

    @property
    def violations(self) -> pl.DataFrame:
        """The rules that are broken, errors first."""
        label = pl.col("rule").replace_strict({rule: text for rule, (_, text) in RULES.items()}, return_dtype=pl.String)
        failed = self.rules.filter(pl.col("state") == "fail")
        failed = failed.select("table", "column", "rule", label.alias("label"), "level", "rows", "of")
        return failed.sort(pl.col("level") != "error", maintain_order=True)

    def last_complete_year(self, outcome: str) -> int | None:
        """The last fiscal year of checkups for which `next_checkup` or `followup` is complete; None when none is."""
        complete = self.years.filter(pl.col(outcome) == "complete")["fiscal_year"]
        return int(complete.max()) if len(complete) else None  # type: ignore[arg-type]

    def __repr__(self) -> str:
        names = [field.name for field in fields(self) if field.name != "month"]
        return f"Overview({self.month}: {', '.join(names)})"


def overview(tables: Tables) -> Overview:
    """What is loaded: rows, people, months, missing and implausible values, and how far the data are complete?

    Parameters
    ----------
    tables
        From `load`: rows received later than its month are not counted anywhere.

    Returns
    -------
    Overview
        Small frames, sorted; counts only, nothing masked yet (`ka.check` before showing).

    Raises
    ------
    TableError
        A table cannot be read or a required column is missing.
    """
    names = [name for name in TABLES if name not in LEDGERS]
    held = {name: lazy for name in names if (lazy := getattr(tables, name)) is not None}
    rules = {name: check_table(lazy, name, all_rules=True) for name, lazy in held.items()}
    matured = _maturity(tables)
    coverage = pl.concat([_coverage(TABLES[name], lazy) for name, lazy in held.items() if name in EVENTS])
    summaries = [_summary(TABLES[name], held.get(name), coverage) for name in names]
    return Overview(
        month=tables.month,
        tables=pl.DataFrame(summaries, schema=_SUMMARY),
        columns=pl.concat([_columns(TABLES[name], held[name], rules[name]) for name in held]),
        coverage=_completed(coverage, matured),
        maturity=_maturity_rows(matured),
        years=_years(tables, matured),
        rules=pl.concat(rules.values()),
    )


_SUMMARY: dict[str, Any] = {
    "table": pl.String,
    "label": pl.String,
    "rows": pl.Int64,
    "persons": pl.Int64,
    "first_month": pl.Int32,
    "last_month": pl.Int32,
    "first_received": pl.Int32,
    "last_received": pl.Int32,
}


def _summary(table: Table, lazy: pl.LazyFrame | None, coverage: pl.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_SUMMARY) | {"table": table.name, "label": table.row}
    if lazy is None:
        return row
    names = lazy.collect_schema().names()
    people = pl.col("person_id").n_unique() if "person_id" in names else pl.lit(None, pl.Int64)
    rows, persons = lazy.select(pl.len(), people.alias("persons")).collect().row(0)
    for clock, first, last in (("event", "first_month", "last_month"), ("received", "first_received", "last_received")):
        months = coverage.filter(table=table.name, clock=clock)["month"].drop_nulls()
        row |= {first: months.min(), last: months.max()}
    return row | {"rows": rows, "persons": persons}


def _columns(table: Table, lazy: pl.LazyFrame, rules: pl.DataFrame) -> pl.DataFrame:
    """Missing values and months counted here, implausible ones as the checks count them."""
    names = lazy.collect_schema().names()
    present = [column for column in table.columns if column.name in names]
    month = next((month for clock, month in _clocks(table, lazy) if clock == "event"), pl.lit(None, pl.Int32))
    counts: list[pl.Expr] = [pl.len().alias("_rows")]
    for i, column in enumerate(present):
        filled = month.filter(pl.col(column.name).is_not_null())
        counts += [pl.col(column.name).null_count().alias(f"missing{i}")]
        counts += [filled.min().alias(f"first{i}"), filled.max().alias(f"last{i}")]
    row = lazy.select(counts).collect().row(0, named=True)
    bounds = rules.filter(pl.col("rule").is_in(["range", "value"]))
    broken = dict(bounds.group_by("column").agg(pl.col("rows").sum()).iter_rows())
    lines, rows = [], row["_rows"]
    for i, c in enumerate(present):
        missing, first, last = (row[f"{name}{i}"] for name in ("missing", "first", "last"))
        lines.append((c.name, c.label, c.required, rows, missing, rows - missing, broken.get(c.name), first, last))
    schema: dict[str, Any] = {"column": pl.String, "label": pl.String, "required": pl.Boolean}
    schema |= dict.fromkeys(("rows", "missing", "judged", "out_of_range"), pl.Int64)
    schema |= dict.fromkeys(("first_month", "last_month"), pl.Int32)
    share = pl.when(pl.col("rows") > 0).then(pl.col("missing") / pl.col("rows"))
    frame = pl.DataFrame(lines, schema=schema, orient="row").with_columns(share.alias("missing_share"))
    return frame.select(pl.lit(table.name).alias("table"), *schema, "missing_share")


def _coverage(table: Table, lazy: pl.LazyFrame) -> pl.DataFrame:
    parts = []
    for clock, month in _clocks(table, lazy):
        counted = lazy.group_by(month.alias("month")).agg(
            pl.len().cast(pl.Int64).alias("rows"), pl.col("person_id").n_unique().cast(pl.Int64).alias("persons")
        )
        labels = [pl.lit(table.name).alias("table"), pl.lit(clock).alias("clock"), pl.col("month").cast(pl.Int32)]
        parts.append(counted.select(*labels, "rows", "persons").sort("month", nulls_last=True))
    return pl.concat(pl.collect_all(parts))


def _clocks(table: Table, lazy: pl.LazyFrame) -> Iterator[tuple[str, pl.Expr]]:
    names, event = lazy.collect_schema().names(), EVENTS.get(table.name)
    if event in names:
        dated = event.endswith(("_date", "_interview"))
        yield "event", pl.col(event).dt.year() * 100 + pl.col(event).dt.month() if dated else pl.col(event)
    if RECEIVED in names:
        yield "received", pl.col(RECEIVED)


def _maturity(tables: Tables) -> dict[str, Maturity]:
    """Up to which month are checkups and claims complete? A table with too little data to tell is left out."""
    found = {}
    for name, judge in (("checkups", mature_checkup_month), ("claims", mature_month)):
        try:
            found[name] = judge(getattr(tables, name), definitions=tables.definitions, through=tables.month)
        except EstimateError:
            continue  # the row then reads null: not known, which is not the same as not complete
    return found


def _maturity_rows(matured: dict[str, Maturity]) -> pl.DataFrame:
    lines = []
    for name in ("checkups", "claims"):
        m = matured.get(name)
        lines.append(
            (name, m.run_out, m.complete_through, m.through, m.share, m.observed, m.claims)
            if m
            else (name, *[None] * 6)
        )
    names = ("run_out", "complete_through", "through")
    schema: dict[str, Any] = {"table": pl.String} | dict.fromkeys(names, pl.Int32)
    schema |= {"share": pl.Float64, "observed": pl.Float64, "rows": pl.Int64}
    return pl.DataFrame(lines, schema=schema, orient="row")


def _completed(coverage: pl.DataFrame, matured: dict[str, Maturity]) -> pl.DataFrame:
    complete: Any = pl.lit(None, pl.Boolean)
    for name, known in matured.items():
        here = (pl.col("table") == name) & (pl.col("clock") == "event")
        complete = pl.when(here).then(pl.col("month") <= known.complete_through).otherwise(complete)
    return coverage.with_columns(complete.alias("complete"))


def _years(tables: Tables, matured: dict[str, Maturity]) -> pl.DataFrame:
    """For which fiscal years of checkups are the windows of both outcomes over, with complete data?"""
    used = tables.definitions
    windows = {
        "next_checkup": ("checkups", int(used.number("next_checkup.max_months"))),
        "followup": ("claims", int(used.number("followup.months"))),
    }
    year = fiscal_year_of_date(nw.col("checkup_date")).alias("fiscal_year")
    held: pl.LazyFrame = nw.from_native(tables.checkups).select("person_id", year).to_native()
    counted = (
        held.drop_nulls("fiscal_year")
        .collect()
        .group_by("fiscal_year")
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("person_id").n_unique().cast(pl.Int64).alias("persons"))
    )
    counted = counted.sort("fiscal_year")
    first_claim = tables.claims.select(pl.col("treatment_month").min()).collect().item()
    for name, (table, months) in windows.items():
        begins = first_claim if table == "claims" else None
        states = [_state(y, months, matured.get(table), begins) for y in counted["fiscal_year"]]
        counted = counted.with_columns(pl.Series(name, states, dtype=pl.String))
    return counted


def _state(fiscal_year: int, months: int, known: Maturity | None, begins: int | None) -> str:
    """complete, partly, open; no_data when the outcome's table begins after the year has; unknown without maturity."""
    first, *_, last = fiscal_months(fiscal_year)
    if begins is not None and first < begins:
        return "no_data" if fiscal_year_of(begins) > fiscal_year else "partly"
    if known is None:
        return "unknown"
    if add_months(last, months) <= known.complete_through:
        return "complete"
    return "partly" if add_months(first, months) <= known.complete_through else "open"
