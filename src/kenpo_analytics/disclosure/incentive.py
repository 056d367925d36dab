"""May these incentive scores be shown? Points and places of a branch, behind the people that its indicators count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

_PAIRS = {"numerator": "denominator", "last_numerator": "last_denominator"}
_PLAIN = ("base", "level", "top", "line", "raised")


def check_incentive(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `Score.rows`, `what_if_rise` or `needed_rise` may be shown?

    Numerators and denominators of indicators that count people become people_numerator and so on; everything computed
    from them is hidden where one of the four, or those left over, is 1 to 9. Drug units are no people.
    """
    frame = eager(table)
    people, counts, within = pl.col("counts") == "people", [], {}
    for top, under in _PAIRS.items():
        for name in (top, under):
            frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
            frame = frame.with_columns(pl.when(~people).then(pl.col(name)).cast(pl.Float64).alias(name))
            counts.append(f"people_{name}")
        within[f"people_{top}"] = f"people_{under}"
    plain = [name for name in (*_PLAIN, *_PAIRS, *_PAIRS.values()) if name in frame.columns]
    return _check(frame, counts, plain, by, rules, within)


def check_incentive_totals(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which rows of `Score.totals` or `incentive_sensitivity` may be shown? Those without a group of 1 to 9 people."""
    frame = eager(table)
    plain = [name for name in _PLAIN if name in frame.columns]
    checked = _check(frame, ["smallest"], plain, by, rules)
    return checked.select([name for name in checked.table.columns if name != "smallest"])


def _check(
    frame: pl.DataFrame,
    counts: Sequence[str],
    plain: Sequence[str],
    by: Sequence[str],
    rules: DisclosureRules | None,
    within: dict[str, str] | None = None,
) -> Checked:
    empty = [name for name in frame.columns if frame[name].dtype == pl.Null]
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in empty)
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and name not in by]
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in by]
    rates = [name for name in numbers if name not in (*counts, *plain)]
    return check(
        frame,
        counts=counts,
        rates=dict.fromkeys(rates, tuple(counts)),
        within=within,
        by=tuple(by),
        plain=plain,
        reasons=dict.fromkeys([*numbers, *texts], "not_applicable"),
        labels=texts,
        rules=rules,
    )
