"""May these indices be shown? Branches by their visitors; towns by their visitors and how many people live there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

_PLAIN = ("level", "ranked", "worst", "funnel_level")
_JUDGED = ("rank", "shrunk", "funnel", "p_worst")


def check_index(rows: Any, *, by: Sequence[str] = (), rules: DisclosureRules | None = None) -> Checked:
    """Which judged indices of branches may be shown? `by` are key columns beside area and visit_type (fiscal_year)."""
    return _check(rows, by, rules)


def check_town_index(rows: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which judged indices of municipalities may be shown?

    県外 and 不明 have no place (―). Whether a value is `unstable` is not said of a masked one: it bounds the visits.
    """
    frame = eager(rows)
    without = dict.fromkeys([name for name in frame.columns if name.startswith(_JUDGED)], "not_applicable")
    reasons: dict[str, str] = without | {"unstable": "not_applicable"}
    shown = _check(frame, (), rules, reasons, "area").states["estimate"] == "shown"
    return _check(frame.with_columns(unstable=pl.when(shown).then("unstable")), (), rules, reasons, "area")


def _check(
    rows: Any,
    by: Sequence[str],
    rules: DisclosureRules | None,
    reasons: dict[str, str] | None = None,
    municipality: str | None = None,
) -> Checked:
    return check(
        rows,
        counts=["persons"],
        events={"events": "persons"},
        rates="all",
        plain=_PLAIN,
        by=["area", "visit_type", *by],
        totals={"area": None},
        reasons=reasons,
        municipality=municipality,
        rules=rules,
    )


def check_index_settings(
    rows: Any, settings: Sequence[str], *, towns: bool = False, rules: DisclosureRules | None = None
) -> Checked:
    """Which rows of `compare_by_kind` may be shown, of these settings side by side?

    `towns`: municipalities, which have no place; the second setting counts the visits of the first and more, so that
    their difference must not come out either.
    """
    people = [f"persons_{name}" for name in settings]
    return check(
        rows,
        counts=people,
        events=dict(zip([f"events_{name}" for name in settings], people, strict=True)),
        within={people[0]: people[1]} if towns else None,
        rates="all",
        by=["area", "visit_type"],
        totals={"area": None},
        reasons={f"rank_{name}": "not_applicable" for name in settings} if towns else None,
        municipality="area" if towns else None,
        rules=rules,
    )
