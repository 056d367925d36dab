"""Is each row what its table says? Every rule one expression, counted alike on pandas, polars and DuckDB.

A report of violations holds tables, columns, counts and row numbers, never the values of people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.check_rules import RULES, Rule, State, column_rules, row_rules
from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import sure
from kenpo_analytics.store import scan
from kenpo_analytics.months import day_number
from kenpo_analytics.tables import TABLES, Table

SCHEMA: dict[str, Any] = {
    "table": pl.String,
    "column": pl.String,
    "rule": pl.String,
    "level": pl.String,
    "state": pl.String,
    "rows": pl.Int64,
    "of": pl.Int64,
    "first_rows": pl.List(pl.Int64),
}
REFERENCES = (
    ("checkups", "person_id", "members"),
    ("claims", "person_id", "members"),
    ("claim_fees", "person_id", "members"),
    ("claim_fees", "claim_id", "claims"),
    ("guidance", "person_id", "members"),
    ("mailings", "person_id", "members"),
)
ROW = "_row"
FIRST = 5
SHARE = 2_000_000
_FOREVER = 10_000_000


@dataclass(frozen=True)
class Opened:
    """A table as a plan: the columns that can be read, those of a wrong type, and whether rows have a number."""

    table: Table
    lazy: nw.LazyFrame
    readable: tuple[str, ...]
    wrong: tuple[str, ...]
    numbered: bool

    def absent(self, name: str) -> bool:
        """Is the column not there at all?"""
        return name not in self.readable and name not in self.wrong


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
        five row numbers from 1 in the order given; null where rows have no order: lazy frames and DuckDB). Key rules
        count the rows beyond the first of each key. Rows repeated in full are a warning, since cohorts drop them.

    Raises
    ------
    FrameKindError, TableError
        Not a frame, or no such table.
    """
    opened = _open(frame, _table(table))
    return _report(_results(opened), all_rules)


def check_folder(path: Path | str, *, all_rules: bool = False) -> pl.DataFrame:
    """Which rules do the tables of a data folder break? Columns as `check_table`; errors first.

    Reads `<table>.parquet` or `<table>/**/*.parquet`. Beyond each table: ids that are not in the table they refer to
    (warning). A missing table is an error unless it is optional.

    Raises
    ------
    TableError
        The folder is not there, or a file cannot be read.
    """
    folder, results, found = Path(path), [], {}
    if not folder.is_dir():
        raise TableError(f"データのフォルダがありません: {folder}", hint="フォルダの場所を確かめてください。")
    for table in TABLES.values():
        lazy, numbered = scan(folder, table, row_index=ROW)
        if lazy is None:
            state: State = "not_applicable" if table.optional else "fail"
            results.append(_row(table.name, "", "table_missing", state, 0 if table.optional else 1, 0))
            continue
        try:
            found[table.name] = _canonical(table, lazy, numbered)
            results += _results(found[table.name])
        except (pl.exceptions.PolarsError, nw.exceptions.NarwhalsError, OSError) as error:
            raise _unreadable(table) from error
    results += [_reference(*names, found) for names in REFERENCES if names[0] in found and names[2] in found]
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
    return text


# --- opening --------------------------------------------------------------------------------------------


def _table(table: Table | str) -> Table:
    if isinstance(table, Table):
        return table
    if table not in TABLES:
        raise TableError(f"表の名前が違います: 「{table}」", hint=f"使える表: {', '.join(TABLES)}")
    return TABLES[table]


def _unreadable(table: Table) -> TableError:
    return TableError(f"{table.name}のファイルを読めません", hint="Parquetファイルが壊れていないか確かめてください。")


def _open(frame: Any, table: Table) -> Opened:
    kind = frames.kind_of(frame)
    if kind == "pandas":
        read, wrong = _from_pandas(frame, table)
        return _canonical(table, read.with_row_index(ROW, offset=1).lazy(), True, wrong)
    if kind == "polars":
        return _canonical(table, frame.lazy().with_row_index(ROW, offset=1), True)
    return _canonical(table, frame, False)


def _from_pandas(frame: Any, table: Table) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read column by column: one that pandas holds as mixed objects is wrong alone, not the whole frame."""
    read, wrong = [], []
    for name in (name for name in table.names if name in frame.columns):
        try:
            read.append(pl.from_pandas(frames._whole_ids(frame[[name]], table), nan_to_null=True))
        except (TableError, TypeError, ValueError, pl.exceptions.PolarsError):
            wrong.append(name)
    return (pl.concat(read, how="horizontal") if read else pl.DataFrame()), tuple(wrong)


def _canonical(table: Table, native: Any, numbered: bool, wrong: Iterable[str] = ()) -> Opened:
    """The columns that `frames.enter` would take, in canonical types; whole numbers held as floats stay floats."""
    lazy = nw.from_native(native)
    schema, columns, bad = lazy.collect_schema(), [], list(wrong)
    for column in (column for column in table.columns if column.name in schema):
        dtype = schema[column.name]
        if column.kind in ("int", "month") and dtype.is_float() and not column.name.endswith("_id"):
            columns.append(nw.col(column.name).fill_nan(None))
            continue
        try:
            columns.append(frames._canonical(table, column.name, dtype))
        except TableError:
            bad.append(column.name)
    names = [column.name for column in table.columns if column.name in schema and column.name not in bad]
    kept = [ROW, *names] if numbered else names
    lazy = lazy.select(*kept).with_columns(*columns) if kept else lazy
    return Opened(table, lazy, tuple(names), tuple(bad), numbered)


# --- judging ------------------------------------------------------------------------------------------


def _results(opened: Opened) -> list[dict[str, Any]]:
    table = opened.table
    rules = [rule for column in table.columns for rule in column_rules(column)] + row_rules(table)
    able = [rule for rule in rules if set(rule.needs) <= set(opened.readable)]
    counts = iter(_count(opened, able))
    results = _schema_results(opened)
    for rule in rules:
        if rule in able:
            broken, judged = next(counts)
            results.append(_judged(opened, rule, broken, judged))
        else:
            results.append(_row(table.name, rule.column, rule.name, _why_not(opened, rule.needs), 0, 0))
    results += _key_results(opened)
    return [*results, _overlap_result(opened)] if table.name == "members" else results


def _schema_results(opened: Opened) -> list[dict[str, Any]]:
    results = []
    for column in opened.table.columns:
        absent = opened.absent(column.name)
        missing: State = "pass" if not absent else "fail" if column.required else "not_applicable"
        typed: State = "not_applicable" if absent else "fail" if column.name in opened.wrong else "pass"
        results.append(_row(opened.table.name, column.name, "missing", missing, 0, 0))
        results.append(_row(opened.table.name, column.name, "type", typed, 0, 0))
    return results


def _why_not(opened: Opened, needs: tuple[str, ...]) -> State:
    required = {column.name for column in opened.table.columns if column.required}
    return "not_applicable" if any(opened.absent(n) and n not in required for n in needs) else "not_evaluated"


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
    return _row(opened.table.name, rule.column, rule.name, state, broken, judged, _first(lazy))


def _first(lazy: nw.LazyFrame | None) -> list[int] | None:
    return None if lazy is None else frames.collect(lazy.select(ROW).sort(ROW).head(FIRST))[ROW].to_list()


def _key_results(opened: Opened) -> list[dict[str, Any]]:
    """Same key, other content is an error; the same row again is not, since it can be dropped without a choice."""
    table, key = opened.table, list(opened.table.key)
    label, names = "+".join(key), ("key_duplicated", "row_repeated")
    if not set(key) <= set(opened.readable):
        return [_row(table.name, label, name, _why_not(opened, table.key), 0, 0) for name in names]
    keyed = opened.lazy.drop_nulls(key)
    judged = _length(keyed)
    held = pl.concat([_contents(opened, part, key) for part in _shares(keyed, key, judged)], how="vertical_relaxed")
    results = []
    for name, which in zip(names, (held["_contents"] > 1, held["_contents"] == 1), strict=True):
        rows = int((held.filter(which)["_rows"] - 1).sum())
        state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
        later = _later(keyed, held.filter(which).select(key), key) if rows and opened.numbered else None
        results.append(_row(table.name, label, name, state, rows, judged, later))
    return results


def _length(lazy: nw.LazyFrame) -> int:
    return int(frames.collect(lazy.select(nw.len().alias("n"))).item())


def _shares(keyed: nw.LazyFrame, key: list[str], rows: int) -> list[nw.LazyFrame]:
    """Split by the key itself, so that looking for equal keys holds no more than `SHARE` of them in memory."""
    parts = rows // SHARE + 1
    if parts == 1 or not keyed.collect_schema()[key[0]].is_integer():
        return [keyed]
    rest = (nw.col(key[0]) % parts + parts) % parts  # engines differ in the sign of a negative remainder
    return [keyed.filter(rest == part) for part in range(parts)]


def _contents(opened: Opened, keyed: nw.LazyFrame, key: list[str]) -> pl.DataFrame:
    """Of each key that comes more than once: how many different rows, and how many rows in all?"""
    many = keyed.group_by(key).agg(nw.len().alias("_rows")).filter(nw.col("_rows") > 1).select(*key)
    if not _length(many):  # the other columns need not be read
        return pl.DataFrame(schema={name: pl.Null for name in key} | {"_contents": pl.Int64, "_rows": pl.Int64})
    contents = keyed.join(many, on=key, how="inner").group_by(list(opened.readable)).agg(nw.len().alias("_copies"))
    counts = (nw.len().cast(nw.Int64).alias("_contents"), nw.col("_copies").sum().cast(nw.Int64).alias("_rows"))
    return frames.collect(contents.group_by(key).agg(*counts).sort(key))


def _later(keyed: nw.LazyFrame, keys: pl.DataFrame, key: list[str]) -> list[int]:
    """The numbers of the rows beyond the first of each of these keys."""
    native: pl.LazyFrame = nw.to_native(keyed)
    rows = native.join(keys.lazy(), on=key).select(*key, ROW).filter(pl.col(ROW) > pl.col(ROW).min().over(key))
    return rows.select(pl.col(ROW).sort().head(FIRST)).collect()[ROW].to_list()


def _overlap_result(opened: Opened) -> dict[str, Any]:
    """Does a stretch begin before an earlier one of the same person has ended? Same first day: see the key rules."""
    needs = ("person_id", "valid_from", "valid_to")
    if not set(needs) <= set(opened.readable):
        return _row("members", "valid_from", "overlap", _why_not(opened, needs), 0, 0)
    end = day_number(nw.col("valid_to")).fill_null(_FOREVER)
    number = [nw.col(ROW).min()] if opened.numbered else []
    starts = (
        opened.lazy.drop_nulls(["person_id", "valid_from"])
        .with_columns(_start=day_number(nw.col("valid_from")), _end=end)
        .filter(nw.col("_end") > nw.col("_start"))
        .group_by("person_id", "_start")
        .agg(nw.col("_end").max(), *number)
        .with_columns(_reach=nw.col("_end").cum_max().over("person_id", order_by="_start"))
        .with_columns(_before=nw.col("_reach").shift(1).over("person_id", order_by="_start"))
    )
    late = starts.filter(sure(nw.col("_before") > nw.col("_start")))
    judged, rows = (_length(plan) for plan in (starts, late))
    state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
    return _row("members", "valid_from", "overlap", state, rows, judged, _first(late) if rows and number else None)


def _reference(name: str, column: str, target: str, found: Mapping[str, Opened]) -> dict[str, Any]:
    here, there = found[name], found[target]
    if column not in here.readable or column not in there.readable:
        return _row(name, column, "orphan", "not_evaluated", 0, 0)
    types = {opened.lazy.collect_schema()[column] for opened in (here, there)}
    ids = here.lazy.drop_nulls([column])
    judged = _length(ids)
    if len(types) > 1:
        return _row(name, column, "id_type", "fail", judged, judged)
    lost = ids.join(there.lazy.select(column), on=column, how="anti")
    rows = _length(lost)
    state: State = "not_evaluated" if not judged else "fail" if rows else "pass"
    return _row(name, column, "orphan", state, rows, judged, _first(lost) if rows and here.numbered else None)


def _row(
    table: str, column: str, rule: str, state: State, rows: int, of: int, first: list[int] | None = None
) -> dict[str, Any]:
    level = RULES[rule][0]
    values = (table, column, rule, level, state, rows, of, first)
    return dict(zip(SCHEMA, values, strict=True))


def _report(results: list[dict[str, Any]], all_rules: bool) -> pl.DataFrame:
    report = pl.DataFrame(results, schema=SCHEMA)
    return report if all_rules else report.filter(pl.col("state") == "fail").drop("state")
