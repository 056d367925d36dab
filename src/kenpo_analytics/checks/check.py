"""Is each row what its table says? Every rule one expression, counted alike on pandas, polars and DuckDB.

A report of violations holds tables, columns, counts and row numbers, never the values of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.checks.between import REFERENCES, key_results, overlap_result, reference
from kenpo_analytics.checks.opened import (
    KINDS,
    ROW,
    SCHEMA,
    Opened,
    canonical,
    finding,
    first_rows,
    length,
    open_frame,
    why_not,
)
from kenpo_analytics.checks.rules import RULES, Rule, State, column_rules, row_rules
from kenpo_analytics.checks.totals import totals_results
from kenpo_analytics.errors import TableError
from kenpo_analytics.store import scan
from kenpo_analytics.tables import TABLES, Table


def check_table(frame: Any, table: Table | str, *, all_rules: bool = False) -> pl.DataFrame:
    """Which rules of its table does a frame break, and in how many rows?

    Parameters
    ----------
    frame
        pandas, polars (eager, lazy) or DuckDB.
    table
        A canonical table, or its name.
    all_rules
        Also the rules that are kept, with `state`: pass, fail, not_applicable (an optional column is absent) or
        not_evaluated (no row to judge, or the column cannot be read).

    Returns
    -------
    polars.DataFrame
        table, column, rule, level (error / warning), [state,] rows (that break it), of (rows judged), first_rows (up to
        five row numbers from 1 in the order given; null where rows have no order: lazy frames and DuckDB), detail (the
        types found and expected, what to look at; else null). Key rules count the rows beyond the first of each key.
        Rows repeated in full are a warning, since cohorts drop them. Values out of range are a warning, an error when
        most values of the column are.

    Raises
    ------
    FrameKindError, TableError
        Not a frame, or no such table.
    """
    opened = open_frame(frame, _table(table))
    return _report(_results(opened), all_rules)


def check_folder(path: Path | str, *, all_rules: bool = False) -> pl.DataFrame:
    """Which rules do the tables of a data folder break? Columns as `check_table`; errors first.

    Reads `<table>.parquet` or `<table>/**/*.parquet`. Beyond each table: ids that are not in the table they refer to
    (warning; error if most of them are not). A table that is missing or has no row is an error unless it is optional;
    a file that cannot be read is one, and the other tables are judged all the same.

    Raises
    ------
    TableError
        The folder is not there.
    """
    folder, results, found = Path(path), [], {}
    if not folder.is_dir():
        raise TableError(f"データのフォルダがありません: {folder}", hint="フォルダの場所を確かめてください。")
    for table in TABLES.values():
        lazy, numbered = scan(folder, table, row_index=ROW)
        if lazy is None:
            state: State = "not_applicable" if table.optional else "fail"
            near = None if table.optional else _lying(folder, table)
            results.append(finding(table.name, "", "table_missing", state, 0 if table.optional else 1, 0, detail=near))
            continue
        try:
            opened = canonical(table, lazy, numbered)
            results += [*_results(opened), *_empty(opened)]
            found[table.name] = opened
        except (pl.exceptions.PolarsError, nw.exceptions.NarwhalsError, OSError):
            broken = "Parquetファイルが壊れていないか確かめてください"
            results.append(finding(table.name, "", "unreadable", "fail", 1, 0, detail=broken))
    results += [reference(*names, found) for names in REFERENCES if names[0] in found and names[2] in found]
    return _report(results, all_rules).sort(pl.col("level") != "error", maintain_order=True)


def describe(row: Mapping[str, Any]) -> str:
    """How is a violation told on a terminal? One Japanese line with counts and row numbers."""
    level = "誤り" if row["level"] == "error" else "注意"
    place = f"{row['table']}.{row['column']}" if row["column"] else row["table"]
    text = f"{level} {place}: {RULES[row['rule']][1]}"
    if row["of"]:
        text += f" {row['rows']:,}行({row['of']:,}行のうち)"
    if row["first_rows"]:
        more = " …" if row["rows"] > len(row["first_rows"]) else ""
        text += f" 行番号 {', '.join(map(str, row['first_rows']))}{more}"
    return text + (f"({row['detail']})" if row.get("detail") else "")


def _table(table: Table | str) -> Table:
    if isinstance(table, Table):
        return table
    if table not in TABLES:
        raise TableError(f"表の名前が違います: 「{table}」", hint=f"使える表: {', '.join(TABLES)}")
    return TABLES[table]


def _lying(folder: Path, table: Table) -> str | None:
    """Is a text file there in place of the table? The one of its name, else any."""
    named = [path.name for path in sorted(folder.glob("*.[cC][sS][vV]"))]
    own = [name for name in named if table.name in name.lower()] or named
    if not own:
        return None
    return f"{own[0]} がありますが、CSVは読みません。{table.name}.parquet(Parquet形式)にしてください"


def _empty(opened: Opened) -> list[dict[str, Any]]:
    """Has a required table any row? Nothing can be made of one without."""
    if opened.table.optional:
        return []
    state: State = "pass" if length(opened.lazy) else "fail"
    return [finding(opened.table.name, "", "table_empty", state, 0, 0)]


def _results(opened: Opened) -> list[dict[str, Any]]:
    table = opened.table
    rules = [rule for column in table.columns for rule in column_rules(column)] + row_rules(table)
    readable = set(opened.readable)
    counts = iter(_count(opened, [rule for rule in rules if set(rule.needs) <= readable]))
    results = _schema_results(opened)
    for rule in rules:
        if set(rule.needs) <= readable:
            results.append(_judged(opened, rule, *next(counts)))
        else:
            results.append(finding(table.name, rule.column, rule.name, why_not(opened, rule.needs), 0, 0))
    results += key_results(opened)
    if table.name == "kpi_monthly":
        return [*results, *totals_results(opened)]
    return [*results, overlap_result(opened)] if table.name == "members" else results


def _schema_results(opened: Opened) -> list[dict[str, Any]]:
    results = []
    for column in opened.table.columns:
        absent = opened.absent(column.name)
        missing: State = "pass" if not absent else "fail" if column.required else "not_applicable"
        typed: State = "not_applicable" if absent else "fail" if column.name in opened.wrong else "pass"
        results.append(finding(opened.table.name, column.name, "missing", missing, 0, 0))
        found = opened.wrong.get(column.name)
        told = None if found is None else f"見つかった型 {found}、必要な型 {KINDS[column.kind]}"
        results.append(finding(opened.table.name, column.name, "type", typed, 0, 0, detail=told))
    return results


def _count(opened: Opened, rules: list[Rule]) -> list[tuple[int, int]]:
    """One aggregation for all rules of a table: rows that break each, and rows on which it can be judged."""
    if not rules:
        return []
    counts = [nw.len().alias("all")]
    for number, rule in enumerate(rules):
        counts.append(rule.breaks.cast(nw.Int64).sum().alias(f"broken{number}"))
        if rule.judged is not None:
            counts.append(rule.judged.cast(nw.Int64).sum().alias(f"judged{number}"))
    row = frames.collect(opened.lazy.select(*counts)).row(0, named=True)
    # an engine may give null for a sum over no rows
    return [(row[f"broken{i}"] or 0, row.get(f"judged{i}", row["all"]) or 0) for i in range(len(rules))]


def _judged(opened: Opened, rule: Rule, broken: int, judged: int) -> dict[str, Any]:
    state: State = "not_evaluated" if not judged else "fail" if broken else "pass"
    lazy = opened.lazy.filter(rule.breaks) if broken and opened.numbered else None
    return finding(opened.table.name, rule.column, rule.name, state, broken, judged, first_rows(lazy))


def _report(results: list[dict[str, Any]], all_rules: bool) -> pl.DataFrame:
    report = pl.DataFrame(results, schema=SCHEMA)
    return report if all_rules else report.filter(pl.col("state") == "fail").drop("state")
