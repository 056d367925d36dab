"""May these incentive scores be shown? Points and places of a branch, behind the people that its indicators count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.errors import DisclosureError

_PAIRS = {"numerator": "denominator", "last_numerator": "last_denominator"}
_LEAST = {"smallest": "least", "smallest_all": "least_all"}
_PLAIN = ("base", "level", "top", "raised", "national")
_OF_ALL = (
    *("total", "total_raised", "gap_raised", "rank", "rank_raised", "rank_raised_lower", "rank_raised_upper"),
    *("needed", "estimate_needed", "needed_people"),
)
"""What `what_if_rise` and `needed_rise` compute from the sum over the indicators."""


def check_incentive(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `Score.rows`, `what_if_rise` or `needed_rise` may be shown?

    Numerators and denominators of indicators that count people become people_numerator and so on; everything computed
    from them is hidden where one of the four, or those left over, is 1 to 9. Drug units are no people. The deviation
    values of the 47 branches average 50: one hidden branch would come back from the others, so an indicator with a
    small group in any of the 47 (`smallest`, whether or not that branch has a row here) is hidden for all of them, and
    with it whatever is computed from the sum over the indicators (`smallest_all`).
    """
    frame = eager(table)
    people, counts, within = pl.col("counts") == "people", [], {}
    for top, under in _PAIRS.items():
        for name in (top, under):
            frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
            frame = frame.with_columns(pl.when(~people).then(pl.col(name)).cast(pl.Float64).alias(name))
            counts.append(f"people_{name}")
        within[f"people_{top}"] = f"people_{under}"
    frame = _without_excuse(_few(frame, rules))
    plain = [name for name in (*_PLAIN, *_PAIRS, *_PAIRS.values()) if name in frame.columns]
    return _check(frame, counts, plain, by, rules, within)


def check_incentive_totals(table: Any, *, by: Sequence[str], rules: DisclosureRules | None = None) -> Checked:
    """Which rows of `Score.totals` or `incentive_sensitivity` may be shown? None if any branch has a group of 1 to 9.

    The totals of the 47 branches add up to a known sum, and their places to 1 to 47.
    """
    frame = _few(eager(table), rules)
    return _check(frame, [], [name for name in _PLAIN if name in frame.columns], by, rules)


@dataclass(frozen=True)
class CheckedIncentive:
    """The parts of `kpi.IncentivePage` that may be shown; None where there is no score.

    `rows` and `totals` of all branches, `ours` and `mine` those of the branch.
    """

    needs: Checked
    gaps: Checked
    place: Checked
    rows: Checked | None = None
    totals: Checked | None = None
    ours: Checked | None = None
    mine: Checked | None = None
    rises: Checked | None = None
    wanted: Checked | None = None
    doubts: Checked | None = None

    def __iter__(self) -> Iterator[Checked | None]:
        return (getattr(self, each.name) for each in fields(self))


def check_incentive_page(page: Any) -> CheckedIncentive:
    """Which parts of page 09 (`kpi.incentive_page`) may be shown? Each after its own check."""
    tables: dict[str, Any] = {"plain": ["branches", "with_counts"], "reasons": {"missing": "not_applicable"}}
    labels = ["label", "indicator", "definition_version", "missing"]
    needs = check(page.needs, by=["kpi_id", "month"], labels=labels, **tables)
    gaps = check(page.gaps, by=["fiscal_year", "kpi_id", "month"], labels=labels, **tables)
    place = check_incentive_totals(page.place, by=["area"])
    if page.score is None:
        return CheckedIncentive(needs, gaps, place)
    rows = check_incentive(page.score.rows, by=["area", "indicator"])
    totals = check_incentive_totals(page.score.totals, by=["area"])
    return CheckedIncentive(
        needs, gaps, place, rows, totals,
        rows.where(area=page.branch),
        totals.where(area=page.branch),
        check_incentive(page.rises, by=["indicator"]),
        check_incentive(page.wanted, by=["indicator"]),
        check_incentive_totals(page.doubts, by=["setting"]),
    )  # fmt: skip


def _few(frame: pl.DataFrame, rules: DisclosureRules | None) -> pl.DataFrame:
    """The smallest groups of the 47 branches, kept only where they must not be shown."""
    if "smallest" not in frame.columns:
        raise DisclosureError(
            "列 smallest がないため、ほかの支部に少ない人数があるか分かりません。",
            hint="Score.rows・Score.totals などの列を落とさずに渡してください。",
        )
    last = (rules or DisclosureRules()).min_cell - 1
    return frame.with_columns(
        pl.when(pl.col(name).cast(pl.Int64).is_between(1, last)).then(pl.col(name)).cast(pl.Int64).alias(few)
        for name, few in _LEAST.items()
        if name in frame.columns
    ).drop(_LEAST, strict=False)


def _without_excuse(frame: pl.DataFrame) -> pl.DataFrame:
    """Where the total is hidden, a null (「届かない」) would tell of it: hidden too, with the words for it."""
    if "least_all" not in frame.columns or frame["least_all"].is_null().all():
        return frame
    hidden = [pl.col(name).fill_null(0) for name in _OF_ALL if name in frame.columns]
    return frame.with_columns(*hidden, pl.lit(None, pl.String).alias("reason"))


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
    few = [name for name in _LEAST.values() if name in frame.columns]
    hiding = [*counts, *few]
    rates = [name for name in numbers if name not in (*hiding, *plain)]
    of_one = tuple(name for name in hiding if name != "least_all")
    checked = check(
        frame,
        counts=hiding,
        rates={name: tuple(hiding) if name in _OF_ALL else of_one for name in rates},
        within=within,
        by=tuple(by),
        plain=plain,
        reasons=dict.fromkeys([*numbers, *texts], "not_applicable"),
        labels=texts,
        rules=rules,
    )
    return checked.select([name for name in checked.table.columns if name not in few])
