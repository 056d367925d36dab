"""What did a checkup find? Observations by 17-digit JLAC10 code, from XML and CSV alike, become checkup columns.

A value that cannot stand is null and listed with its rule: nothing is converted, clipped or guessed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import polars as pl

from kenpo_analytics.ingest.checkups.item_values import ANSWERS, Item, items, read_cells
from kenpo_analytics.ingest.records import CHECKUPS, rejections
from kenpo_analytics.ingest.values.columns import distinct, month_of

LONG = {
    "record": pl.UInt32,
    "code": pl.String,
    "value": pl.String,
    "unit": pl.String,
    "code_system": pl.String,
    "state": pl.String,
    "path": pl.String,
}
JDS_ENDS = dt.date(2013, 4, 1)  # since then HbA1c is reported as NGSP only
_NUMBERS = ("bmi", "height", "weight", "hdl", "ldl", "non_hdl", "ast", "alt", "ggt", "creatinine", "egfr")
_REFUSED = {"record": pl.UInt32, "item": pl.String, "rule": pl.String, "label": pl.String}


def to_checkups(long: pl.DataFrame, header: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which checkups, and which refused values, lie in these observations?

    Parameters
    ----------
    long
        Columns `LONG`, one row an observation. `record` is the 0-based row number in `header`; `code` any 17-digit
        code (others than those of `items()` are ignored); `value` the text of the number, answer code or word; `unit`
        UCUM or display, `code_system` an OID, both null where not stated; `state` value, not_done (未実施),
        not_measurable (測定不可能), below or above (beyond the input range); `path` the element or column header.
    header
        One row a record: TRACE, IDENTITY, checkup_date, received_month, institution, kind, action.

    Returns
    -------
    rows
        Staged CHECKUPS, one row a record, in the order of `header`.
    rejected
        REJECTED rows of level "value" or "note"; `item` is the canonical column, the reason names item and path.

    Rules: the methods of an item in table order (the first filled; a differing one is a "conflict"). Blood pressure:
    その他, else the mean of 1回目 and 2回目, else the one there is. Waist: measured, else self-measured, else
    self-reported. tg: the fasting item, else the casual one. HbA1c: NGSP, else JDS before 2013-04 as 1.02 x JDS + 0.25
    (仮定). A mean and a converted value are rounded last, half up to one decimal. Answers by (item, code system), by
    checkup day where none is stated.
    medication_*: 服薬あり or 保険者再確認 1 (on drugs at the checkup after all); 保険者再確認 2 (begun after the
    checkup) is a no where the question was left open. A bmi that is not given stays null.
    Sources: 特定健診項目表 (第4期 V4.0), 電子的健診結果報告書 コード表.
    """
    days = header["checkup_date"]
    read = {}
    for (code,), part in long.partition_by("code", as_dict=True, include_key=False).items():
        if (item := items().get(str(code))) is not None:
            read[item] = read_cells(item, part.with_columns(day=days.gather(part["record"])))
    return _finish(read, header)


def columns_to_checkups(
    columns: Iterable[tuple[str, str, pl.Series]], header: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same for a rectangular file: (code, column header, texts) of every column instead of a long frame.

    `texts` has one text a record of `header`. A code may come several times; null is no observation.
    """
    read: dict[Item, pl.DataFrame] = {}
    null = pl.lit(None, pl.String)
    record = pl.Series("record", np.arange(header.height, dtype=np.uint32))
    for code, path, texts in columns:
        if (item := items().get(code)) is None or texts.null_count() == len(texts):
            continue
        cells = pl.DataFrame([record, texts.alias("value"), header["checkup_date"].alias("day")]).with_columns(
            unit=null, code_system=null, state=pl.lit("value"), path=pl.lit(path)
        )
        found = read_cells(item, cells)
        read[item] = pl.concat([read[item], found]) if item in read else found
    return _finish(read, header)


def _finish(read: Mapping[Item, pl.DataFrame], header: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    wide, refused = header.select("checkup_date"), [pl.DataFrame(schema=_REFUSED)]
    methods: dict[str, list[Item]] = {}
    for item in items().values():  # in table order: the preferred method first
        methods.setdefault(item.key, [])
        if item in read:
            column, others = _scatter(read[item], header.height)
            wide = wide.with_columns(pl.Series(item.code, column, nan_to_null=True))
            refused += [_refused(item, read[item]), _noted(item.column, item.name, others)]
            methods[item.key].append(item)
    wide, conflicts = _one_method(wide, methods)
    wide, more = _one_item(wide)
    rows = pl.concat([header, wide.drop("checkup_date")], how="horizontal").select(
        pl.col(name).cast(dtype) for name, dtype in CHECKUPS.items()
    )
    return rows, placed(pl.concat([*refused, *conflicts, *more]), header)


def _scatter(cells: pl.DataFrame, records: int) -> tuple[np.ndarray, pl.Series]:
    """One number a record, the first given; and the records in which the same code says something else too."""
    found = cells.filter(pl.col("number").is_not_null())
    record, number = found["record"].to_numpy(), found["number"].to_numpy()
    column = np.full(records, np.nan)
    column[record[::-1]] = number[::-1]
    return column, pl.Series(record[number != column[record]], dtype=pl.UInt32).unique()


def label_of(item: Item, path: str) -> str:
    """How does a reason call a cell? The item's name, and the code or header it stood under where that differs."""
    return item.name if path == item.name else f"{item.name}「{path}」"


def _refused(item: Item, cells: pl.DataFrame) -> pl.DataFrame:
    """Refused cells."""
    rows = cells.filter(pl.col("rule").is_not_null())
    label = distinct(rows["path"].fill_null("?"), partial(label_of, item))
    return rows.select("record", pl.lit(item.column).alias("item"), "rule", label=label)


def _noted(column: str, name: str, records: pl.Series, rule: str = "conflict") -> pl.DataFrame:
    columns = {"item": column, "rule": rule, "label": name}
    return pl.DataFrame({"record": records.cast(pl.UInt32)}).with_columns(
        pl.lit(value, pl.String).alias(key) for key, value in columns.items()
    )


def _records(wide: pl.DataFrame, where: pl.Expr) -> pl.Series:
    return wide.select(pl.arg_where(where.fill_null(False))).to_series()


def _differ(first: pl.Expr, *others: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(first != other for other in others).fill_null(False)


def _one_method(wide: pl.DataFrame, methods: Mapping[str, list[Item]]) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """One column a key: the first method filled; records in which another one differs are conflicts."""
    chosen, conflicts = [pl.col("checkup_date")], []
    for key, found in methods.items():
        codes = [pl.col(item.code) for item in found]
        chosen.append(pl.coalesce([*codes, pl.lit(None, pl.Float64)]).alias(key))
        if len(codes) > 1:
            differing = _records(wide, _differ(pl.coalesce(codes), *codes))
            conflicts.append(_noted(found[0].column, found[0].name, differing))
    return wide.select(chosen), conflicts


def _one_item(wide: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Checkup columns from one column a key; several items for one column by the rules of `to_checkups`."""
    c = pl.col
    late = c("hba1c_jds").is_not_null() & (c("checkup_date") >= JDS_ENDS)
    ngsp = _one_decimal(c("hba1c_jds") * 1.02 + 0.25)
    more = [
        _noted("hba1c", "HbA1c(JDS値)", _records(wide, late), "jds"),
        _noted("tg", "中性脂肪(空腹時・随時)", _records(wide, _differ(c("tg_fasting"), c("tg_casual")))),
    ]
    answers = {name: c(key).replace_strict(_names(), default=None) for name, key in _ANSWER_COLUMNS.items()}
    made = wide.select(
        "checkup_date",
        *_NUMBERS,
        *(_pressure(name) for name in ("sbp", "dbp")),
        *(_medication(name) for name in ("bp", "glucose", "lipid")),
        fpg="glucose_fasting",
        casual_glucose="glucose_casual",
        waist=pl.coalesce("waist_measured", "waist_self_measured", "waist_self_reported"),
        tg=pl.coalesce("tg_fasting", "tg_casual"),
        hba1c=pl.coalesce("hba1c_ngsp", pl.when(c("checkup_date") < JDS_ENDS).then(ngsp)),
        weight_gain_10kg=c("weight_change_20y") == ANSWERS.index("yes"),
        weight_change_1y=c("weight_change_1y") == ANSWERS.index("yes"),
        **answers,
    )
    return made, more


_ANSWER_COLUMNS = {"fasting": "blood_draw_timing", "smoking": "smoking"}


def _names() -> dict[float, str]:
    return {float(at): answer for at, answer in enumerate(ANSWERS)}


def _pressure(name: str) -> pl.Expr:
    first, second = pl.col(f"{name}_1"), pl.col(f"{name}_2")
    return pl.coalesce(f"{name}_other", _one_decimal((first + second) / 2), first, second).alias(name)


def _one_decimal(computed: pl.Expr) -> pl.Expr:
    """What was computed, half up to one decimal; 1e-9 makes up for halves that binary fractions fall short of."""
    return (computed * 10 + 1e-9).round(0, mode="half_away_from_zero") / 10


def _medication(name: str) -> pl.Expr:
    asked, again = (pl.col(f"med_{name}{end}") == ANSWERS.index("yes") for end in ("", "_recheck"))
    return pl.when(again).then(True).otherwise(pl.coalesce(asked, again)).alias(f"medication_{name}")


def placed(refused: pl.DataFrame, header: pl.DataFrame) -> pl.DataFrame:
    """Refused values (record, item, rule, label) with the place, institution and month of their record."""
    of_record = header.select("entry", "line", "institution", month=month_of("checkup_date"))[refused["record"]]
    return rejections(pl.concat([refused.drop("record"), of_record], how="horizontal"))
