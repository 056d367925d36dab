"""What was found, rule by rule? One line each, whoever found it: the source of every overview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from kenpo_analytics.checks.between import REFERENCES, reference
from kenpo_analytics.checks.opened import open_frame
from kenpo_analytics.checks.rules import RULES
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.quality.inventory import EVENTS, Overview
from kenpo_analytics.store import Tables
from kenpo_analytics.tables import TABLES

DIMENSIONS = {"completeness": "完全性", "conformance": "適合性", "plausibility": "妥当性"}
STATES = {"pass": "合格", "fail": "不合格", "not_applicable": "対象外", "not_evaluated": "未評価"}
WORST = {state: rank for rank, state in enumerate(("fail", "pass", "not_evaluated", "not_applicable"))}
PLAUSIBLE = ("range", "received_future", "received_order", "overlap", "key_duplicated", "row_repeated")
"""Rules on what can be true; `null` is completeness, all others are about form (conformance)."""
BY_DESIGN = {
    ("members", "valid_to"): "加入中の人は空",
    ("members", "insured_kind"): "被扶養者は空",
    ("workplaces", "declared_from"): "健康宣言をしていない事業所は空",
    ("checkups", "casual_glucose"): "空腹時に採血した健診では測らない",
    ("guidance", "completed"): "実績評価の前は空",
    ("mailings", "sent_date"): "送付しなかった通知は空",
    ("mailings", "reason"): "送付した通知は空",
    ("mailings", "rule"): "糖尿病予備群への通知にだけ記録する",
}
"""Columns that are empty by their meaning: no share of empty rows says anything about them."""
LABELS = {
    "null": "空の行が多い",
    "volume": "月の件数が通常と違う",
    "unit_suspected": "別の単位の疑い",
    "outlier_median": "中央値の外れた機関",
    "outlier_missing": "欠測割合の外れた機関",
    "overdue_months": "到着が遅れている診療月",
    "overdue_institutions": "レセプトの途切れた機関",
    "balance": "読んだ件数と内訳の不一致",
    "quarantine": "隔離した件数が多い",
    "linkage": "加入者台帳と照合できない記録が多い",
}
_DETAIL: dict[str, Any] = {
    "table": pl.String,
    "column": pl.String,
    "dimension": pl.String,
    "rule": pl.String,
    "label": pl.String,
    "level": pl.String,
    "state": pl.String,
    "rows": pl.Int64,
    "of": pl.Int64,
    "flagged": pl.Int64,
    "judged": pl.Int64,
}


def findings(tables: Tables, loaded: Overview, found: Mapping[str, pl.DataFrame], used: Definitions) -> pl.DataFrame:
    """Every rule with its state, errors first: `Quality.detail`."""
    lines = [*_missing(loaded, used), *_derived(found), *_delivered(found["files"], tables.sources is not None)]
    detail = pl.concat([_ruled(tables, loaded), pl.DataFrame(lines, schema=_DETAIL)])
    items = [_item(table, column) for table, column in detail.select("table", "column").rows()]
    detail = detail.with_columns(pl.Series("item", items, dtype=pl.String))
    return detail.sort(pl.col("state") != "fail", pl.col("level") != "error", maintain_order=True)


def _item(table: str, column: str) -> str:
    """空腹時血糖(fpg); the file type, key or nothing as it stands."""
    declared = TABLES[table].columns if table in TABLES else ()  # ingest also reads lists that are no table
    label = next((c.label for c in declared if c.name == column), "")
    return f"{label.split('(')[0]}({column})" if label else column


def _ruled(tables: Tables, loaded: Overview) -> pl.DataFrame:
    """The rules of `checks`, those between tables too."""
    held = {name: lazy for name in TABLES if (lazy := getattr(tables, name)) is not None}
    opened = {name: open_frame(lazy, TABLES[name]) for name, lazy in held.items()}
    between = [reference(*names, opened) for names in REFERENCES if names[0] in opened]
    rules = pl.concat([loaded.rules, pl.DataFrame(between, schema=loaded.rules.schema)])
    rule = pl.col("rule")
    empty = pl.when(rule == "null").then(pl.lit("completeness"))
    dimension = empty.when(rule.is_in(PLAUSIBLE)).then(pl.lit("plausibility")).otherwise(pl.lit("conformance"))
    label = rule.replace_strict({name: text for name, (_, text) in RULES.items()}, return_dtype=pl.String)
    none = pl.lit(None, pl.Int64)
    extra = (dimension.alias("dimension"), label.alias("label"), none.alias("flagged"), none.alias("judged"))
    return rules.with_columns(*extra).select(*_DETAIL)


def _missing(loaded: Overview, used: Definitions) -> Iterator[dict[str, Any]]:
    """Empty rows of the columns that are not required: some may be, too many not (of required ones, none may)."""
    held = {(row["table"], row["column"]): row for row in loaded.columns.to_dicts()}
    limit = used.number("quality.missing.share")
    for name in loaded.columns["table"].unique(maintain_order=True):
        for column in (column for column in TABLES[name].columns if not column.required):
            row = held.get((name, column.name))
            rows, of = (row["missing"], row["rows"]) if row else (0, 0)
            if row is None or (name, column.name) in BY_DESIGN:
                state = "not_applicable"
            else:
                state = "not_evaluated" if not of else "pass" if rows / of <= limit else "fail"
            yield _line(name, column.name, "completeness", "null", state, rows, of)


def _derived(found: Mapping[str, pl.DataFrame]) -> Iterator[dict[str, Any]]:
    """One line a table and item for what was judged by month, or by institution and year."""
    for (table, clock), rows in found["volume"].group_by("table", "clock", maintain_order=True):
        column = EVENTS[str(table)] if clock == "event" else "received_month"
        yield _counted(str(table), column, "plausibility", "volume", rows, of="rows")
    signs = found["units"].group_by("item", "institution", "fiscal_year", maintain_order=True)
    units = signs.agg(pl.col("of").max(), _worst(pl.col("state")))  # several signs may look at the same values
    for (item,), rows in units.group_by("item", maintain_order=True):
        yield _counted("checkups", str(item), "plausibility", "unit_suspected", rows, of="of")
    for (item, measure), rows in found["outliers"].group_by("item", "measure", maintain_order=True):
        dimension = "plausibility" if measure == "median" else "completeness"
        behind = "behind" if measure == "median" else "records"
        yield _counted("checkups", str(item), dimension, f"outlier_{measure}", rows, of=behind)
    for name, rule in (("units", "unit_suspected"), ("outliers", "outlier_median")):
        if found[name].is_empty():  # nobody says which institution a checkup is of
            yield _line("checkups", "institution", "plausibility", rule, "not_applicable")
    yield _counted("claims", "treatment_month", "completeness", "overdue_months", found["late_months"])
    yield _counted("claims", "institution", "completeness", "overdue_institutions", found["silent"])


def _worst(state: pl.Expr) -> pl.Expr:
    return state.sort_by(state.replace_strict(WORST, return_dtype=pl.Int64)).first()


def _delivered(files: pl.DataFrame, told: bool) -> Iterator[dict[str, Any]]:
    """What became of the files, by table and file type; their numbers of rows stand in `files` only."""
    rules = {"balance": "conformance", "quarantine": "conformance", "linkage": "completeness"}
    if not told:
        yield from (_line("sources", "", dimension, rule, "not_evaluated") for rule, dimension in rules.items())
    for row in files.to_dicts():
        for rule, dimension in rules.items():
            line = _line(row["table"], row["layout"], dimension, rule, row[rule])
            yield line | {"judged": row["files"], "flagged": row["unbalanced"] if rule == "balance" else None}


def _counted(
    table: str, column: str, dimension: str, rule: str, rows: pl.DataFrame, of: str | None = None
) -> dict[str, Any]:
    """Failed when one month or institution is; `of` are the rows behind those that were judged."""
    judged = rows.filter(pl.col("state").is_in(["pass", "fail"]))
    flagged = judged["state"].eq("fail").sum()
    state = "not_evaluated" if judged.is_empty() else "fail" if flagged else "pass"
    behind = int(judged[of].sum()) if of else None
    return _line(table, column, dimension, rule, state, None, behind) | {"flagged": flagged, "judged": len(judged)}


def _line(
    table: str, column: str, dimension: str, rule: str, state: str, rows: int | None = None, of: int | None = None
) -> dict[str, Any]:
    level = "error" if rule == "balance" else "warning"
    values = (table, column, dimension, rule, LABELS[rule], level, state, rows, of, None, None)
    return dict(zip(_DETAIL, values, strict=True))
