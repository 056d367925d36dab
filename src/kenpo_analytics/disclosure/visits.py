"""May these shares of visitors be shown? Windows and kinds of visit are nested groups of the same people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.curve import check_curve
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

_COUNTS = ("persons", "events", "left", "turned_75", "month_0", "not_mature")
_ROLES: dict[str, Any] = {
    "counts": _COUNTS,
    "splits": {"persons": ("events", "left", "turned_75")},
    "within": {"month_0": "events"},
    "rates": dict.fromkeys(("estimate", "lower", "upper"), ("events", "persons")),
    "plain": ["level"],
    "reasons": {"month_0": "not_applicable"},
}


def check_visits(found: Mapping[str, Any], *, main: str, rules: DisclosureRules | None = None) -> Checked:
    """Which shares of visitors may be shown, where windows and kinds of visit count the same people?

    Parameters
    ----------
    found
        Kind of visit -> `visit_incidence(...).kpi` of the same people; the first kind matters most.
    main
        The window that matters most ("0-10"). Of rows that lie 1 to 9 people apart, it stays.

    Returns
    -------
    The rows with `visit`, the kind. Visitors of the checkup month (`month_0`) stand only in windows that hold it.
    """
    inside = pl.when(pl.col("window").str.starts_with("0-")).then("month_0")
    rows = [eager(kpi).with_columns(month_0=inside, visit=pl.lit(name)) for name, kpi in found.items()]
    first = {"visit": next(iter(found)), "window": main}
    nested = dict.fromkeys(_COUNTS, first)
    return check(pl.concat(rows), **_ROLES, by=["visit", "window"], nested=nested, rules=rules)


def check_visit_groups(
    kpi: Any, *, by: str, window: str, overlap: bool = False, rules: DisclosureRules | None = None
) -> Checked:
    """Which groups' shares of visitors may be shown, in one window?

    `kpi` is `visit_incidence(..., by=[by]).kpi`. `overlap`: a person may be in several groups (領域), which then do not
    add up to the whole.
    """
    rows = eager(kpi).filter(pl.col("window") == window)
    return check(rows, **_ROLES, by=[by], totals=None if overlap else {by: None}, rules=rules)


def check_visit_curve(curve: Any, *, beside: Checked, rules: DisclosureRules | None = None) -> Checked:
    """At which months may `visit_incidence(...).curve` be shown, beside the checked windows of the same people?"""
    known = [number for name in ("persons", "events", "month_0") for number in beside.table[name]]
    shown = eager(curve).select("month", "events", "estimate", "lower", "upper", "level")
    return check_curve(shown, beside=known, rules=rules)
