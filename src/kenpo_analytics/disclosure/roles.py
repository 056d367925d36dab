"""What is each column of a table? The roles a caller declares, and the refusals where they do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.checked import STATES
from kenpo_analytics.disclosure.texts import TEXTS, validate_texts
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.frames import kind_of

Columns = Sequence[str]
TOTAL_WORDS = frozenset({"計", "合計", "総計", "小計", "全体", "総数", "All", "Total"})


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
    labels: tuple[str, ...] = ()
    nested: dict[str, dict[str, Any]] = field(default_factory=dict)
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
    if kind == "pandas" and type(table.index).__name__ != "RangeIndex":
        raise DisclosureError(
            "見出しがindexにある表は、見出しを失うため受け付けません。",
            hint="reset_index() で列に戻してください(並べ替えや抽出のあとは reset_index(drop=True))。",
        )
    frame = pl.from_pandas(table, nan_to_null=True) if kind == "pandas" else table
    return frame.with_columns(pl.col(name).fill_nan(None) for name in frame.columns if frame[name].dtype.is_float())


def loose_numbers(frame: pl.DataFrame, roles: Roles) -> list[str]:
    """Numeric columns that have no role yet."""
    declared = {*roles.counts, *roles.events, *roles.rates, *roles.by, *roles.plain}
    return [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in declared]


def all_rates(frame: pl.DataFrame, roles: Roles) -> dict[str, tuple[str, ...]]:
    """`rates="all"`: every number without a role, behind the people and events of the table; refused if ambiguous."""
    if len(roles.counts) > 2:
        raise DisclosureError(
            f'人数の列が{len(roles.counts)}つある表では、rates="all"を使えません。',
            hint='どの人数から計算した率かを、rates={"estimate": ("events", "persons")}のように書いてください。',
        )
    return dict.fromkeys(loose_numbers(frame, roles), (*roles.counts, *roles.events))


def validate(frame: pl.DataFrame, roles: Roles) -> None:
    """Do the declared roles fit the table? A `DisclosureError` names the columns that do not."""
    _names(frame, roles)
    _one_role_each(roles)
    if loose := loose_numbers(frame, roles):
        raise DisclosureError(
            f"役割が示されていない数値の列があります: {', '.join(loose)}",
            hint="人数はcounts、件数はevents、率はrates、個人に関わらない数値はplainに入れてください。",
        )
    sums = {name for whole, parts in roles.splits for name in (whole, *parts)} | set(roles.nested)
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
    for name in (*roles.counts, *roles.events):
        _validate_count(frame[name])
    described = {*roles.by, *roles.labels, *roles.reasons.values(), roles.municipality}
    validate_texts(frame, [name for name in frame.columns if name not in described])
    _totals(frame, roles)


def _names(frame: pl.DataFrame, roles: Roles) -> None:
    named = {
        *roles.counts, *roles.events, *roles.rates, *roles.by, *roles.plain, *roles.totals, *roles.reasons,
        *roles.labels, *roles.nested,
        *(name for behind in (*roles.rates.values(), *roles.events.values()) for name in behind),
        *(name for whole, parts in roles.splits for name in (whole, *parts)),
        *(reason for reason in roles.reasons.values() if reason not in STATES),
        *((roles.municipality,) if roles.municipality else ()),
    }  # fmt: skip
    if unknown := sorted(named - set(frame.columns)):
        raise DisclosureError(f"表にない列です: {', '.join(unknown)}", hint=f"列: {', '.join(frame.columns)}")
    keys = {*roles.totals, *(key for labels in roles.nested.values() for key in labels)}
    if keys - set(roles.by):
        raise DisclosureError("totals・nestedの列はbyに含めてください。", hint=f"by={tuple(sorted(keys))}")


def _one_role_each(roles: Roles) -> None:
    """A later role would lay its own mask over the one of the people."""
    times = Counter((*roles.counts, *roles.events, *roles.rates, *roles.by, *roles.plain))
    if twice := sorted(name for name, n in times.items() if n > 1):
        raise DisclosureError(
            f"役割が2つ以上ある列です: {', '.join(twice)}",
            hint="counts・events・rates・by・plainのうち1つだけに入れてください。",
        )


def _totals(frame: pl.DataFrame, roles: Roles) -> None:
    """Are total rows declared, and are declared ones there? Else what they give back would not be seen."""
    if (roles.totals or roles.nested) and frame.select(roles.by).is_duplicated().any():
        raise DisclosureError(
            f"同じ見出し({', '.join(roles.by)})の行が重なっています。",
            hint="byに行を一つに決める列をすべて挙げてください。",
        )
    wanted = [(key, label) for key, label in roles.totals.items() if label is not None]
    wanted += [pair for labels in roles.nested.values() for pair in labels.items()]
    for key, label in wanted if frame.height else ():
        if not (frame[key] == label).any():
            raise DisclosureError(
                f"{key}に「{label}」の行がありません。", hint="合計や主な行の見出しを、表にあるとおりに書いてください。"
            )
    for name in frame.columns:
        if frame[name].dtype not in TEXTS or name in roles.reasons.values():
            continue
        found = {str(value).strip() for value in frame[name].cast(pl.String).drop_nulls()} & TOTAL_WORDS
        if undeclared := sorted(found - {str(roles.totals.get(name)).strip()}):
            raise DisclosureError(
                f"{name}に、合計と示されていない合計の行があります: {', '.join(undeclared)}",
                hint=f'totals={{"{name}": "{undeclared[0]}"}} と書くか、合計の行を除いてください。',
            )


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
    """k of n, as a rate of two people columns says it, unless each exceeds the other somewhere (then no part of it)."""
    pairs = {tuple(behind) for behind in roles.rates.values() if len(behind) == 2 and set(behind) <= set(roles.counts)}
    known = {(parts, whole) for whole, parts in roles.splits}
    found: list[tuple[str, tuple[str, ...]]] = []
    for one, other in sorted(pairs):
        fits = [(k, n) for k, n in ((one, other), (other, one)) if not (frame[k] > frame[n]).any()]
        if fits and not any(((k,), n) in known for k, n in fits):
            found.append((fits[0][1], (fits[0][0],)))
    return found
