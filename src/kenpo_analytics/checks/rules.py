"""Which rules follow from a canonical table? Each one narwhals expression, so that every engine counts the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Literal

import narwhals as nw

from kenpo_analytics.frames import sure
from kenpo_analytics.months import month_of, this_month
from kenpo_analytics.tables import Column, Table

Level = Literal["error", "warning"]
State = Literal["pass", "fail", "not_applicable", "not_evaluated"]
RULES: dict[str, tuple[Level, str]] = {
    "table_missing": ("error", "必要な表がない"),
    "table_empty": ("error", "必要な表に行が1行もない"),
    "unreadable": ("error", "ファイルを読めない"),
    "missing": ("error", "必要な列がない"),
    "type": ("error", "列の型が違う"),
    "null": ("error", "必須の値が空"),
    "whole": ("error", "整数でない"),
    "month": ("error", "月が1～12でない"),
    "range": ("warning", "想定する範囲の外"),
    "value": ("error", "決められた値でない"),
    "period": ("error", "期間の終わりが始まり以前"),
    "received_future": ("error", "受領月が今月より後"),
    "received_order": ("error", "受領月が診療月・健診月より前"),
    "day_exists": ("error", "その月にない日"),
    "key_null": ("error", "キーが空"),
    "key_duplicated": ("error", "同じキーで内容の違う行"),
    "row_repeated": ("warning", "全く同じ行の繰り返し"),
    "overlap": ("error", "同じ人の加入期間の重なり"),
    "id_type": ("error", "IDの型が表によって違う"),
    "kpi_unknown": ("error", "登録されていない指標"),
    "kpi_version": ("error", "その指標にない定義の版"),
    "kpi_total": ("error", "あり得ない分子・分母"),
    "kpi_falls": ("warning", "年度の累計が前の月より減っている"),
    "orphan": ("warning", "参照先の表にないID"),
}


@dataclass(frozen=True)
class Rule:
    """One rule on the rows of a table: which of them break it, and on which it can be judged."""

    column: str
    name: str
    needs: tuple[str, ...]
    broken: nw.Expr

    @property
    def judged(self) -> nw.Expr | None:
        """The rows on which the rule says anything: those with values; None (all of them) for emptiness."""
        if self.name in ("null", "key_null"):
            return None
        return reduce(lambda left, right: left & right, (~nw.col(name).is_null() for name in self.needs))

    @property
    def breaks(self) -> nw.Expr:
        """True for a row that breaks the rule, else false, never null."""
        return sure(self.broken if self.judged is None else self.broken & self.judged)


def column_rules(column: Column) -> list[Rule]:
    """What follows from the declaration of one column?"""
    this, need = nw.col(column.name), (column.name,)
    rules = [Rule(column.name, "null", need, this.is_null())] if column.required else []
    if column.kind in ("int", "month") and not column.name.endswith("_id"):
        rules.append(Rule(column.name, "whole", need, this % 1 != 0))
    if column.kind == "month":
        rules.append(Rule(column.name, "month", need, (this % 100 < 1) | (this % 100 > 12)))
    if column.name == "received_month":
        rules.append(Rule(column.name, "received_future", need, this > this_month()))
    bounds = [this < column.low] if column.low is not None else []
    bounds += [this > column.high] if column.high is not None else []
    if bounds:
        rules.append(Rule(column.name, "range", need, reduce(lambda left, right: left | right, bounds)))
    if column.values:
        rules.append(Rule(column.name, "value", need, ~this.is_in(column.values)))
    return rules


def _days_in(month: nw.Expr) -> nw.Expr:
    number = month % 100
    year = (month - number) / 100
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    short = nw.when(leap).then(nw.lit(29)).otherwise(nw.lit(28))
    thirty = nw.when(number.is_in([4, 6, 9, 11])).then(nw.lit(30)).otherwise(nw.lit(31))
    return nw.when(number == 2).then(short).otherwise(thirty)


def row_rules(table: Table) -> list[Rule]:
    """What must hold between the columns of one row?"""
    col = nw.col
    early = Rule("received_month", "received_order", ("received_month", "treatment_month"),
                 col("received_month") < col("treatment_month"))  # fmt: skip
    by_table = {
        "members": [Rule("valid_to", "period", ("valid_from", "valid_to"), col("valid_to") <= col("valid_from"))],
        "checkups": [
            Rule("received_month", "received_order", ("received_month", "checkup_date"),
                 col("received_month") < month_of(col("checkup_date")))
        ],
        "claims": [early],
        "claim_fees": [
            early,
            Rule("day", "day_exists", ("day", "treatment_month"), col("day") > _days_in(col("treatment_month"))),
        ],
    }  # fmt: skip
    found = by_table.get(table.name, [])
    if not table.key:  # a list that may say the same twice
        return found
    key_null = reduce(lambda left, right: left | right, (col(name).is_null() for name in table.key))
    return [*found, Rule("+".join(table.key), "key_null", table.key, key_null)]
