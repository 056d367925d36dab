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
_LEAST = "least"
_PLAIN = ("base", "level", "top", "line", "raised", "national")


def check_incentive(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `Score.rows`, `what_if_rise` or `needed_rise` may be shown?

    Numerators and denominators of indicators that count people become people_numerator and so on; everything computed
    from them is hidden where one of the four, or those left over, is 1 to 9. Drug units are no people. The deviation
    values of the 47 branches average 50: one hidden branch would come back from the others, so an indicator with a
    hidden branch is hidden for all of them.
    """
    frame = eager(table)
    people, counts, within = pl.col("counts") == "people", [], {}
    for top, under in _PAIRS.items():
        for name in (top, under):
            frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
            frame = frame.with_columns(pl.when(~people).then(pl.col(name)).cast(pl.Float64).alias(name))
            counts.append(f"people_{name}")
        within[f"people_{top}"] = f"people_{under}"
    groups = [*map(pl.col, counts), *(pl.col(under) - pl.col(top) for top, under in within.items())]
    frame = _shared(frame, groups, "indicator" if "indicator" in by else None, rules)
    plain = [name for name in (*_PLAIN, *_PAIRS, *_PAIRS.values()) if name in frame.columns]
    checked = _check(frame, [*counts, _LEAST], plain, by, rules, within)
    return checked.select([name for name in checked.table.columns if name != _LEAST])


def check_incentive_totals(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which rows of `Score.totals` or `incentive_sensitivity` may be shown? None if a branch has a group of 1 to 9.

    The totals of the 47 branches add up to a known sum, and their places to 1 to 47.
    """
    frame = _shared(eager(table), [pl.col("smallest")], None, rules)
    plain = [name for name in _PLAIN if name in frame.columns]
    checked = _check(frame, ["smallest", _LEAST], plain, by, rules)
    return checked.select([name for name in checked.table.columns if name not in ("smallest", _LEAST)])


def _shared(
    frame: pl.DataFrame, groups: Sequence[pl.Expr], shared: str | None, rules: DisclosureRules | None
) -> pl.DataFrame:
    """The smallest group that must not be shown, on every row it could be told from."""
    last = (rules or DisclosureRules()).min_cell - 1
    few = pl.min_horizontal(pl.when(group.is_between(1, last)).then(group) for group in groups).min()
    return frame.with_columns((few.over(shared) if shared else few).cast(pl.Int64).alias(_LEAST))


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
