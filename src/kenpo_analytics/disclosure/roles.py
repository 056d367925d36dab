"""What is each column of a table? The roles a caller declares, and the refusals where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.checked import STATES
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.frames import kind_of

Columns = Sequence[str]


@dataclass
class Roles:
    """What each column of the table is, as the caller declared it."""

    counts: tuple[str, ...]
    events: dict[str, tuple[str, ...]]
    rates: dict[str, tuple[str, ...]]
    splits: list[tuple[str, tuple[str, ...]]]
    totals: dict[str, str | None]
    by: tuple[str, ...]
    plain: tuple[str, ...]
    reasons: dict[str, str]
    municipality: str | None
    grid: dict[tuple[int, str], int] = field(default_factory=dict)


def names_in(value: str | Columns) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def eager(table: Any) -> pl.DataFrame:
    """The small table in polars, NaN as null; anything that is not held in memory is refused."""
    kind = kind_of(table)
    if kind not in ("pandas", "polars"):
        raise DisclosureError(
            f"秘匿処理は小さな集計表だけを受け付けます({kind})。", hint="collect() などで確定した表を渡してください。"
        )
    frame = pl.from_pandas(table, nan_to_null=True) if kind == "pandas" else table
    return frame.with_columns(pl.col(name).fill_nan(None) for name in frame.columns if frame[name].dtype.is_float())


def loose_numbers(frame: pl.DataFrame, roles: Roles) -> list[str]:
    """Numeric columns that have no role yet."""
    declared = {*roles.counts, *roles.events, *roles.rates, *roles.by, *roles.plain}
    return [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in declared]


def validate(frame: pl.DataFrame, roles: Roles) -> None:
    """Do the declared roles fit the table? A `DisclosureError` names the columns that do not."""
    named = {
        *roles.counts, *roles.events, *roles.rates, *roles.by, *roles.plain, *roles.totals, *roles.reasons,
        *(name for behind in (*roles.rates.values(), *roles.events.values()) for name in behind),
        *(name for whole, parts in roles.splits for name in (whole, *parts)),
        *(reason for reason in roles.reasons.values() if reason not in STATES),
        *((roles.municipality,) if roles.municipality else ()),
    }  # fmt: skip
    if unknown := sorted(named - set(frame.columns)):
        raise DisclosureError(f"表にない列です: {', '.join(unknown)}", hint=f"列: {', '.join(frame.columns)}")
    if loose := loose_numbers(frame, roles):
        raise DisclosureError(
            f"役割が示されていない数値の列があります: {', '.join(loose)}",
            hint="人数はcounts、件数はevents、率はrates、個人に関わらない数値はplainに入れてください。",
        )
    sums = {name for whole, parts in roles.splits for name in (whole, *parts)}
    behind = {name for names in roles.events.values() for name in names}
    if stray := sorted((sums | behind) - set(roles.counts)):
        raise DisclosureError(f"人数の列(counts)ではありません: {', '.join(stray)}", hint="countsに加えてください。")
    if stray := sorted({n for names in roles.rates.values() for n in names} - {*roles.counts, *roles.events}):
        raise DisclosureError(
            f"率のもとの列が人数でも件数でもありません: {', '.join(stray)}", hint="countsかeventsに加えてください。"
        )
    if empty := [name for name, names in roles.rates.items() if not names]:
        raise DisclosureError(
            f"率のもとの人数が示されていません: {', '.join(empty)}",
            hint="人数に関わらない数値はplainに入れてください。",
        )
    if set(roles.totals) - set(roles.by):
        raise DisclosureError("totalsの列はbyに含めてください。", hint=f"by={tuple(roles.totals)}")
    if roles.totals and frame.select(roles.by).is_duplicated().any():
        raise DisclosureError(
            f"同じ見出し({', '.join(roles.by)})の行が重なっています。",
            hint="byに行を一つに決める列をすべて挙げてください。",
        )
    for name in (*roles.counts, *roles.events):
        _validate_count(frame[name])


def _validate_count(column: pl.Series) -> None:
    values = column.drop_nulls()
    if not column.dtype.is_numeric() and len(values):
        raise DisclosureError(
            f"{column.name}は数値ではありません({column.dtype})。", hint="文字にする前の表を渡してください。"
        )
    if len(values) and ((values < 0) | (values != values.round())).any():
        raise DisclosureError(
            f"{column.name}に負の数または整数でない数があります。", hint="人数・件数は0以上の整数です。"
        )


def implied_parts(frame: pl.DataFrame, roles: Roles) -> list[tuple[str, tuple[str, ...]]]:
    """k of n, as a rate of two people columns says it, unless k exceeds n somewhere (then it is no part of n)."""
    pairs = {tuple(behind) for behind in roles.rates.values() if len(behind) == 2 and set(behind) <= set(roles.counts)}
    known = {(parts, whole) for whole, parts in roles.splits}
    return [
        (whole, (part,))
        for part, whole in sorted(pairs)
        if ((part,), whole) not in known and not (frame[part] > frame[whole]).any()
    ]
