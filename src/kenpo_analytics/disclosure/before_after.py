"""May the naive comparison be shown? Shares of two cohorts, who got a letter, and mean changes of values."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

_LIMITS = ("estimate", "lower", "upper")
_BEHIND = ("events", "denominator", "events_reference", "denominator_reference")
_OWN = ("events", "denominator")


def check_before_after(table: Any, *, rules: DisclosureRules | None = None) -> Checked | None:
    """Which differences of two cohorts may be shown? Rows of `before_after` or `before_after_sensitivity`.

    A difference stands behind all four counts. None stays None: without a cohort before there is no difference.
    """
    if table is None:
        return None
    frame = eager(table)
    otherwise = "dead_band" in frame.columns
    return check(
        frame,
        counts=_BEHIND,
        within={"events": "denominator", "events_reference": "denominator_reference"},
        rates={"share": _OWN, "share_reference": _BEHIND[2:]} | dict.fromkeys(_LIMITS, _BEHIND),
        plain=["level", "dead_band"] if otherwise else ["level"],
        by=["label", "outcome"] if otherwise else ["measure", "among", "outcome", "scale"],
        reasons=dict.fromkeys(_LIMITS, "not_applicable"),
        rules=rules,
    )


def check_outcomes(table: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which shares of improved and worsened people of one cohort may be shown? From `outcome_shares`, one measure."""
    return check(
        eager(table).filter(pl.col("state").is_in(["improved", "worsened"])),
        counts=["n", "denominator"],
        within={"n": "denominator"},
        rates=dict.fromkeys(_LIMITS, ("n", "denominator")),
        plain=["level"],
        by=["state"],
        rules=rules,
    )


def check_letters(table: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """How many of a cohort were sent a letter, as far as it may be told? From `evaluation.letters`."""
    return check(
        table, counts=["n", "denominator"], rates={"estimate": "n"}, by=["letter"], totals={"letter": None}, rules=rules
    )


def check_changes(table: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which mean changes may be shown? From `evaluation.value_change`; `n`, who has both values, is part of the seen.

    Standard deviations are left out: with an interval they give a masked count back.
    """
    checked = check(
        eager(table).with_columns(n=pl.col("persons")),
        counts=["persons", "n", "seen"],
        within={"n": "seen"},
        rates=dict.fromkeys([*_LIMITS, "sd"], ("persons",)),
        plain=["level"],
        by=["group", "measure", "time"],
        rules=rules,
    )
    return checked.select(["group", "measure", "n", *_LIMITS, "level"])


def check_measured(table: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Of how many seen again are both values known, and how far do the changes spread? From `value_change`."""
    return check(
        table,
        counts=["seen", "persons"],
        within={"persons": "seen"},
        rates=dict.fromkeys([*_LIMITS, "sd"], ("persons",)),
        plain=["level"],
        by=["group", "measure"],
        rules=rules,
    )
