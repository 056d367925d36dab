"""Which fee lines make an out-of-hours visit (時間外受診)? The rule as one filter, and the account of what it drops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics.cohorts.flow import Step, first_exit
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.definitions.registry import FeeCode
from kenpo_analytics.errors import DateError, DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import format_month

EVENING_EARLY = "evening_early_in_hours"
COUNTED_STATUS = ("normal", "reclaimed")
"""A re-claimed claim (再請求) replaces the returned one (返戻), which never counts."""
HOURS = ("late_night", "holiday", "after_hours_special", "ped_evening", "after_hours", EVENING_EARLY)
"""A visit with add-ons of several classes is of the first of these (仮定): it must be of one only, to add up."""
_STATUS = (*COUNTED_STATUS, "returned", "after_loss")


@dataclass(frozen=True)
class LineRules:
    """Which months (YYYYMM, both included), codes and receipts count."""

    first: int
    last: int
    codes: tuple[FeeCode, ...]
    evening_early: bool
    extrapolate: bool
    data_through: int | None

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise DateError(f"期間の終わりが始めより前です: {format_month(self.first)}～{format_month(self.last)}")
        if self.data_through is not None and self.data_through < self.last:
            raise DateError(
                f"期間の終わり({format_month(self.last)})が、データの最終受領月({format_month(self.data_through)})より後です",
                hint="受領していない月を分母に入れると率が低く出ます。期間を短くしてください。",
            )
        types = {(row.code, row.visit_type) for row in self.codes}
        if len(types) > len({code for code, _ in types}):
            raise DefinitionError("同じ診療行為コードが初診と再診の両方に定義されています")

    @property
    def counted(self) -> tuple[FeeCode, ...]:
        """The codes that make a visit: outpatient; 夜間・早朝等 only on demand."""
        wanted = (row for row in self.codes if not row.inpatient)
        return tuple(row for row in wanted if self.evening_early or row.out_of_hours != EVENING_EARLY)

    def is_first(self) -> nw.Expr:
        """Is a counted line of a first visit (初診)?"""
        return _is(_codes(row for row in self.counted if row.visit_type == "first")).alias("is_first")

    def hours(self) -> nw.Expr:
        """The place in `HOURS` of a counted line's class."""
        place = nw.lit(len(HOURS))
        for number in reversed(range(len(HOURS))):
            codes = _codes(row for row in self.counted if row.out_of_hours == HOURS[number])
            place = nw.when(_is(codes)).then(nw.lit(number)).otherwise(place)
        return place.alias("hours")

    @property
    def classes(self) -> list[int]:
        """Which classes are counted at all? Places in `HOURS`."""
        return sorted({HOURS.index(row.out_of_hours) for row in self.counted})

    def counts(self) -> nw.Expr:
        """Does a line count? One filter over raw lines, so that engines can push it into the scan."""
        conditions = [
            self._inside(),
            sure(nw.col("status").is_in(list(COUNTED_STATUS))),
            _is(_codes(self.counted)),
            ~_incomplete(),
            *([] if self.data_through is None else [~self._late()]),
            *([] if self.extrapolate else [self._in_force()]),
        ]
        return nw.all_horizontal(*conditions, ignore_nulls=False)

    def tally(self, lines: nw.LazyFrame) -> nw.LazyFrame:
        """Count lines by everything a reason can depend on: a small table, whatever the number of lines."""
        late = [] if self.data_through is None else [self._late().alias("late")]
        keys: tuple[Any, ...] = ("treatment_month", "status", "code", _incomplete().alias("incomplete"), *late)
        return lines.group_by(*keys).agg(nw.len().cast(nw.Int64).alias("n"))

    def steps(self) -> tuple[Step, ...]:
        """Why a line does not count, in the order in which it is asked."""
        period = f"{format_month(self.first)}～{format_month(self.last)}"
        return (
            Step("unreadable", "個人ID・診療月・算定日・コード・状態の欠測、またはありえない値"),
            Step("other_month", f"診療月が期間({period})の外"),
            Step("not_received", "最終受領月より後に受領", judged=self.data_through is not None),
            Step("returned", "返戻されたレセプト"),
            Step("after_loss", "資格喪失後の受診"),
            Step("inpatient", "入院の加算コード"),
            Step("evening_early", f"夜間・早朝等加算({_setting(self.evening_early, '数える')})"),
            Step("not_addon", "時間外加算でないコード(基本料など、定義にないコード)"),
            Step("not_in_force", f"コードの有効期間外の診療月({_setting(self.extrapolate, '同じコードを当てる')})"),
        )

    def account(self, tally: pl.DataFrame, visits: int, elsewhere: int | None, events: int) -> pl.DataFrame:
        """From lines read to visits counted, shaped as the flow of a cohort; every step adds up."""
        judged = nw.from_native(tally.lazy()).with_columns(self._exit(), self._in_force().alias("in_force"))
        by_step = judged.group_by("exit_step", "in_force").agg(nw.col("n").sum())
        left = {(row["exit_step"], row["in_force"]): row["n"] for row in by_step.to_native().collect().to_dicts()}
        table = _Account(int(tally["n"].sum()))
        for number, step in enumerate(self.steps(), start=1):
            table.exclude(step, "行", left.get((number, True), 0) + left.get((number, False), 0))
        table.exclude(Step("same_visit", "同じ受診の2行目以降(重複加算・重複行)"), "行", table.remaining - visits)
        other = Step("other_branch", "診療月の末日に他支部(または支部不明)の加入者", judged=elsewhere is not None)
        table.exclude(other, "件", elsewhere or 0)
        table.exclude(Step("not_enrolled", "診療月の末日に加入していない"), "件", table.remaining - events)
        table.add("end", "end", "時間外受診", "件", 0, events)
        label = "参考: コードの有効期間外の診療月に同じコードを当てた行(仮定)"
        table.add("reference", "extrapolated", label, "行", 0, left.get((0, False), 0))
        return table.frame()

    def _inside(self) -> nw.Expr:
        month = nw.col("treatment_month")
        return sure((month >= self.first) & (month <= self.last)) & _is_month(month)

    def _late(self) -> nw.Expr:
        return nw.lit(False) if self.data_through is None else sure(nw.col("received_month") > self.data_through)

    def _in_force(self) -> nw.Expr:
        """Was the code in force in the treatment month?"""
        month = nw.col("treatment_month")
        windows: dict[tuple[int | None, int | None], list[FeeCode]] = {}
        for row in self.counted:
            windows.setdefault((row.valid_from, row.valid_to), []).append(row)
        parts = [
            _is(_codes(rows)) & (month >= (start or 0)) & (month < (end or 999999))
            for (start, end), rows in windows.items()
        ]
        return sure(reduce(lambda a, b: a | b, parts))

    def _exit(self) -> nw.Expr:
        """At which of the steps does a line (of the tally) leave? 0 when it counts."""
        status = nw.col("status")
        known = sure(status.is_in(list(_STATUS))) & ~nw.col("code").is_null()
        evening = [] if self.evening_early else [row for row in self.codes if row.out_of_hours == EVENING_EARLY]
        return first_exit(
            nw.col("incomplete") | ~known | ~_is_month(nw.col("treatment_month")),
            ~self._inside(),
            nw.lit(False) if self.data_through is None else nw.col("late"),
            sure(status == "returned"),
            sure(status == "after_loss"),
            _is(_codes(row for row in self.codes if row.inpatient)),
            _is(_codes(evening)),
            ~_is(_codes(self.counted)),
            nw.lit(False) if self.extrapolate else ~self._in_force(),
        )


class _Account:
    """Lines of an account, each taking its share of what remains."""

    def __init__(self, read: int) -> None:
        self.remaining = read
        self._rows: list[tuple[int, str, str, str, str, int | None, int, str]] = []
        self.add("start", "start", "読み込んだ行", "行", 0, read)

    def exclude(self, step: Step, unit: str, lost: int) -> None:
        self.remaining -= lost
        self.add("exclude", step.key, step.label, unit, lost if step.judged else None, self.remaining)

    def add(self, kind: str, key: str, label: str, unit: str, excluded: int | None, remaining: int) -> None:
        status = "未評価" if excluded is None else "評価"
        self._rows.append((len(self._rows), kind, key, label, unit, excluded, remaining, status))

    def frame(self) -> pl.DataFrame:
        names = ("kind", "key", "label", "unit")
        schema = {"step": pl.Int32, **dict.fromkeys(names, pl.String), "excluded": pl.Int64, "remaining": pl.Int64}
        return pl.DataFrame(self._rows, schema={**schema, "status": pl.String}, orient="row")


def _incomplete() -> nw.Expr:
    """Does a line lack the person, or hold a day that cannot be?"""
    day = nw.col("day")
    return nw.col("person_id").is_null() | ~sure((day >= 1) & (day <= 31))


def _setting(counted: bool, how: str) -> str:
    return f"{how}設定のため除かない" if counted else "数えない設定"


def _is_month(month: nw.Expr) -> nw.Expr:
    return sure((month % 100 >= 1) & (month % 100 <= 12))


def _codes(rows: object) -> list[str]:
    return sorted({row.code for row in rows})  # type: ignore[attr-defined]


def _is(codes: list[str]) -> nw.Expr:
    return sure(nw.col("code").is_in(codes))


def line_rules(
    used: Definitions, first: int, last: int, evening_early: bool | None, data_through: int | None
) -> LineRules:
    """Which lines count under these definitions?"""
    if used.text("out_of_hours.age") != "fiscal_year_end":
        raise DefinitionError(
            f"時間外受診の年齢のとり方は fiscal_year_end(年度末年齢)だけです: 「{used.text('out_of_hours.age')}」"
        )
    evening = used.flag("out_of_hours.evening_early") if evening_early is None else evening_early
    extrapolate = used.flag("out_of_hours.extrapolate_codes")
    return LineRules(first, last, used.fee_codes, evening, extrapolate, data_through)
