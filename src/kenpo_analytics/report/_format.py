"""How is a number written? Rounding happens here and nowhere else; every state has its own mark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from kenpo_analytics.disclosure import MASKED, Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report.areas import area_names

Style = Literal[
    "auto", "count", "percent", "points", "index", "number", "plain", "year", "month", "text", "unit", "change", "p",
    "error", "distance", "done", "nothing",
]  # fmt: skip

DONE = "実施"
"""The unit of a KPI that is done or not: a word, and no number has it."""

MASK = "秘匿"
"""A word: a dash or hyphen would read like ― (該当しない), a minus sign or nothing at all."""
MARKS = {
    "masked": MASK,
    "masked_secondary": MASK,
    "missing": "欠測",
    "not_applicable": "―",
    "incomplete": "未確定",
    "not_evaluated": "未評価",
}
_NOTES = {
    "missing": "欠測：値が得られていない",
    "not_applicable": "―：該当しない",
    "incomplete": "未確定：観察期間またはレセプトの到着が終わっていない",
    "not_evaluated": "未評価：判定に必要な資料がない",
}
LABELS = {
    "area": "地域",
    "branch": "支部",
    "municipality": "市町村",
    "sex": "性別",
    "age_band": "年齢階級",
    "fiscal_year": "年度",
    "month": "月",
    "estimate": "推定値",
    "lower": "下限",
    "upper": "上限",
    "level": "信頼水準",
    "method": "方法",
    "events": "件数",
    "persons": "実人数",
    "denominator": "分母",
    "numerator": "分子",
    "rank": "順位",
    "label": "段階",
    "unit": "単位",
    "excluded": "除外",
    "remaining": "残り",
    "merged": "統合",
    "n": "人数",
    "group": "群",
    "time": "時点",
}
SEX = {"M": "男", "F": "女"}
_AREAS = ("area", "branch", "prefecture", "municipality")
DIGITS = {"percent": 1, "points": 2, "distance": 2, "index": 3, "number": 2}


@dataclass(frozen=True)
class Col:
    """How a column is shown: its heading, the way numbers are written, and what codes mean.

    `percent` takes a proportion (0.123 is 12.3%); `points` a difference of two (0.012 is +1.20, in ポイント: say so in
    the heading); `index` has three decimals and a sign; `unit`, `change` (with a sign) and `error` (a size without one)
    take unit and decimals from the row's own columns `unit` and `digits` (a share under %); `upper` names the column
    with the upper limit, and the pair is written "(a ～ b)". `absent` is written where the row has no value of the
    kind, instead of ―; `why` names a column that says it row by row.
    """

    label: str
    style: Style = "auto"
    digits: int | None = None
    unit: str = ""
    upper: str | None = None
    absent: str = ""
    why: str = ""
    names: Mapping[str, str] | None = field(default=None, hash=False)


def columns_of(checked: Checked, columns: Mapping[str, Col | str] | None) -> dict[str, Col]:
    """Which columns, in which order, under which headings? Default: all, with the usual labels."""
    table = checked.table
    given = columns if columns is not None else dict.fromkeys(table.columns, "")
    uppers = [item.upper for item in given.values() if isinstance(item, Col) and item.upper]
    reasons = [item.why for item in given.values() if isinstance(item, Col) and item.why]
    if unknown := [name for name in [*given, *uppers, *reasons] if name not in table.columns]:
        raise ParameterError(f"表にない列です: {', '.join(unknown)}", hint=f"列: {', '.join(table.columns)}")
    return {name: _col(name, item, table.schema[name]) for name, item in given.items()}


def _col(name: str, item: Col | str, dtype: pl.DataType) -> Col:
    col = item if isinstance(item, Col) else Col(item or LABELS.get(name, name))
    style = col.style if col.style != "auto" else _style(name, dtype)
    return replace(col, style=style, names=col.names or names_of(name))


def names_of(column: str) -> Mapping[str, str] | None:
    """What do the codes of a usual column mean? Sexes and areas; None for all others."""
    return SEX if column == "sex" else area_names() if column in _AREAS else None


def _style(name: str, dtype: pl.DataType) -> Style:
    if name == "fiscal_year":
        return "year"
    if dtype.is_integer():
        return "month" if name == "month" or name.endswith("_month") else "count"
    return "number" if dtype.is_float() else "text"


def write(value: Any, state: str, col: Col) -> str:
    """One cell as it is read on the page."""
    if state == "not_applicable" and col.absent:
        return col.absent
    if state != "shown":
        return MARKS[state]
    if value is None:
        return MARKS["missing"]
    if isinstance(value, bool):
        return "はい" if value else "いいえ"
    if col.style == "done":
        return DONE if value >= 1 else f"未{DONE}"
    if col.style == "nothing":
        return MARKS["not_applicable"]
    if isinstance(value, int | float):
        text = number(float(value), col.style, col.digits)
        return text + col.unit
    text = str(value)
    return (col.names or {}).get(text, text)


def number(value: float, style: Style, digits: int | None = None) -> str:
    """A number in one of the styles, with a true minus sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    places = digits if digits is not None else DIGITS.get(style, 0)
    if style == "percent":
        text = f"{100 * value:,.{places}f}%"
    elif style == "distance":
        text = f"{100 * value:,.{places}f}"
    elif style == "points":
        text = f"{100 * value:+,.{places}f}"
    elif style == "index":
        text = f"{value:+,.{places}f}"
    elif style == "year":
        text = f"{value:.0f}年度"
    elif style == "month":
        text = f"{int(value) // 100}年{int(value) % 100}月"
    elif style == "plain":
        text = f"{value:.{places}f}"
    elif style == "p":  # a probability is never printed as nothing
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    else:
        text = f"{value:,.{places}f}"
    if not text.strip("+-0.,%"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def interval(row: Mapping[str, Any], states: Mapping[str, str], name: str, col: Col) -> str:
    """The pair "(a ～ b)", or one mark where either limit is not shown."""
    assert col.upper is not None
    hidden = [states[key] for key in (name, col.upper) if states[key] != "shown" or row[key] is None]
    if hidden:
        return MARKS.get(hidden[0], MARKS["missing"])
    low, high = (number(float(row[key]), col.style, col.digits) for key in (name, col.upper))
    return f"({low} ～ {high}){col.unit}"


def cells(checked: Checked, columns: Mapping[str, Col]) -> pl.DataFrame:
    """The whole table as it is read: strings only."""
    rows, states = checked.table.to_dicts(), checked.states.to_dicts()
    written = {
        name: [
            interval(row, state, name, of_row(col, row))
            if col.upper
            else write(row[name], state[name], of_row(col, row))
            for row, state in zip(rows, states, strict=True)
        ]
        for name, col in columns.items()
    }
    return pl.DataFrame(written, schema=dict.fromkeys(columns, pl.String))


def of_row(col: Col, row: Mapping[str, Any]) -> Col:
    """A column whose unit, or reason for no value, changes from row to row, as it is written in this one."""
    if col.why and row[col.why]:
        col = replace(col, absent=row[col.why])
    if col.style not in ("unit", "change", "error"):
        return col
    if row["unit"] == DONE:
        return replace(col, style="done" if col.style == "unit" else "nothing")
    share = row["unit"] == "%"
    styles: dict[str, tuple[Style, Style]] = {
        "unit": ("number", "percent"),
        "change": ("index", "points"),
        "error": ("number", "distance"),
    }
    style = styles[col.style][share]
    unit = ("" if col.style == "unit" else "ポイント") if share else row["unit"]
    return replace(col, style=style, digits=row["digits"], unit=unit or "")


def footnotes(checked: Checked, columns: Mapping[str, Col]) -> list[str]:
    """What do the marks on this page mean? Only those that appear."""
    used = [*columns, *(col.upper for col in columns.values() if col.upper)]
    present = {state for name in dict.fromkeys(used) for state in checked.states[name]}
    notes = []
    if present & set(MASKED):
        rules, small = checked.rules, "min_cell_municipality" in checked.log
        town = f"、人口{rules.small_municipality:,}人未満の市町村は{rules.min_cell_municipality}人未満" if small else ""
        few = f"{rules.min_cell}人未満{town}、および逆算を防ぐために伏せた値"
        notes.append(f"{MASK}：{few}(公表資料の「‐」に当たる。0は表示)")
    notes += [note for state, note in _NOTES.items() if state in present]
    if checked.public:
        notes.append(f"公表値(秘匿処理の対象外)。出典：{checked.source}")
    return notes
