"""How does each kind of visit stand? The index of first and return visits, and of both together, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.outcomes.out_of_hours import out_of_hours
from kenpo_analytics.regional.branches import branch_cells
from kenpo_analytics.regional.cells import VISIT, eager, total_of
from kenpo_analytics.regional.change import contribution_changes, index_change
from kenpo_analytics.regional.index import ALL_VISITS, Index, compare, regional_index
from kenpo_analytics.regional.judge import RankMethod, funnel, ranks, shrunken
from kenpo_analytics.tables import CLAIM_FEES

KINDS = ("first", "return", ALL_VISITS)
Indices = Mapping[str, Index]


def index_by_kind(
    cells: Any, standard: Any, *, kinds: Sequence[str] = KINDS, definitions: Definitions | None = None, **options: Any
) -> dict[str, Index]:
    """By what share is each area above or below the standard, in each kind of visit ("all": first and return together)?

    `options` go to `regional_index`; which rows are unstable is the definition `out_of_hours.unstable`.
    """
    few = (definitions or define()).number("out_of_hours.unstable")
    return {
        kind: regional_index(cells, standard, visit_type=_only(kind), unstable_below=few, **options) for kind in kinds
    }


def judged(
    indices: Indices, *, method: RankMethod = "posterior", definitions: Definitions | None = None
) -> dict[str, Index]:
    """Is it chance, in each kind of visit? `funnel` (limits of `out_of_hours.funnel`), `shrunken` and `ranks`."""
    level = (definitions or define()).number("out_of_hours.funnel")
    return {kind: ranks(shrunken(funnel(index, level=level)), method=method) for kind, index in indices.items()}


def rows_by_kind(indices: Indices) -> Any:
    """The `repeat_rows` of all kinds, one below the other."""
    rows = [found.repeat_rows for found in indices.values()]
    return small(pl.concat([eager(each) for each in rows]), source_of(rows[0]))


def compare_by_kind(**settings: Indices) -> Any:
    """How does the index change with the setting, in each kind of visit? `compare` of the settings, by their names."""
    kinds = next(iter(settings.values()))
    rows = [compare({name: found[kind] for name, found in settings.items()}) for kind in kinds]
    return small(pl.concat([eager(each) for each in rows]), source_of(rows[0]))


def index_trend(
    national: Any, *, area: str, years: Sequence[int], kinds: Sequence[str] = KINDS[:2],
    definitions: Definitions | None = None,
) -> Any:  # fmt: skip
    """Where did one branch stand in each fiscal year, each against its own nation? `rows_by_kind` with fiscal_year."""
    rows = []
    for year in years:
        cells = branch_cells(national, fiscal_year=year)
        found = judged(
            index_by_kind(cells, total_of(cells), kinds=kinds, definitions=definitions), definitions=definitions
        )
        ours = eager(rows_by_kind(found)).filter(pl.col("area") == area)
        rows.append(ours.with_columns(pl.lit(year).alias("fiscal_year")))
    return small(pl.concat(rows), source_of(national))


def changes_since_last_year(claim_fees: Any, members: Any, *, months: tuple[int, int], **asked: Any) -> tuple[Any, Any]:
    """What has changed in a branch since the same months of the year before, by class of hours and in each kind?

    `asked` goes to `out_of_hours` (branch, definitions, data_through).

    Returns
    -------
    pandas for pandas, polars otherwise.
    Rows of `contribution_changes` by hours and visit_type, and of `change_by_kind`; both without rows where the
    fee lines do not reach back to the first month of the year before.
    """
    before, source = (months[0] - 100, months[1] - 100), source_of(claim_fees)
    lines = frames.enter(claim_fees, CLAIM_FEES, ("treatment_month",)).select(nw.col("treatment_month").min())
    begins = frames.collect(lines).item()
    if begins is None or begins > before[0]:
        nothing = (pl.DataFrame(schema=_CLASSES), pl.DataFrame(schema=_CHANGES))
        return small(nothing[0], source), small(nothing[1], source)
    asked |= {"by": ("area", "age_band")}
    parted, whole = (
        [eager(out_of_hours(claim_fees, members, months=at, by_hours=apart, **asked).cells) for at in (months, before)]
        for apart in (True, False)
    )
    by_class = contribution_changes(*parted, by=("hours", VISIT)).sort(VISIT, "hours")
    return small(by_class, source), small(change_by_kind(*whole), source)


_SHARED: dict[str, Any] = dict.fromkeys(("events", "persons"), pl.Int64)
_LIMITS: dict[str, Any] = dict.fromkeys(("expected", "lower", "upper"), pl.Float64)
_CLASSES = {"hours": pl.String, VISIT: pl.String, **_SHARED, **_LIMITS, "contribution": pl.Float64}
_CHANGES = {VISIT: pl.String, **_SHARED, **_LIMITS, "estimate": pl.Float64, "level": pl.Float64}


def change_by_kind(now: Any, before: Any, *, kinds: Sequence[str] = KINDS) -> Any:
    """By what share has one area's rate changed since the year before, in each kind of visit (`index_change`)?"""
    rows = [eager(index_change(now, before, visit_type=_only(kind))) for kind in kinds]
    named = [row.with_columns(pl.lit(kind).alias(VISIT)) for kind, row in zip(kinds, rows, strict=True)]
    return small(pl.concat(named), source_of(now))


def _only(kind: str) -> str | None:
    return None if kind == ALL_VISITS else kind
