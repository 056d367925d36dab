"""How does a table leave the check? Masks laid on it, a reason for every empty cell, and the log of what was hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.checked import STATES, Checked, seal
from kenpo_analytics.disclosure.roles import Columns, Roles
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.disclosure.suppress import PRIMARY, SECONDARY, SHOWN
from kenpo_analytics.errors import DisclosureError


def finish(
    frame: pl.DataFrame,
    roles: Roles,
    mask: dict[str, list[int]],
    rules: DisclosureRules,
    *,
    blurred: bool,
    public: bool = False,
    source: str = "",
) -> Checked:
    """The checked table: null wherever `mask` hides a cell, the reason for every empty cell, and what was counted."""
    word = {SHOWN: "shown", PRIMARY: "masked", SECONDARY: "masked_secondary"}
    columns = [name for name in frame.columns if name not in roles.reasons.values()]
    table, states = {}, {}
    for name in columns:
        hidden = mask.get(name, [SHOWN] * frame.height)
        why = _reasons(frame, name, roles.reasons.get(name))
        nulls = frame[name].is_null().to_list()
        states[name] = [why[row] if nulls[row] else word[hidden[row]] for row in range(frame.height)]
        shown = [value if state == "shown" else None for value, state in zip(frame[name], states[name], strict=True)]
        table[name] = pl.Series(name, shown, dtype=frame[name].dtype)
    schema = dict.fromkeys(columns, pl.String)
    log = _log(states, roles, rules, frame.height, blurred=blurred, public=public)
    sealed = pl.DataFrame(table) if columns else pl.DataFrame()
    return seal(sealed, pl.DataFrame(states, schema=schema), log=log, rules=rules, public=public, source=source)


def _reasons(frame: pl.DataFrame, name: str, reason: str | None) -> list[str]:
    if reason is None or reason in STATES:
        reasons: list[str | None] = [reason] * frame.height
    else:
        reasons = frame[reason].to_list()
    words = [word or "missing" for word in reasons]
    nulls = frame[name].is_null().to_list()
    allowed = [state for state in STATES if state not in ("shown", "masked", "masked_secondary")]
    if wrong := sorted({word for word, null in zip(words, nulls, strict=True) if null and word not in allowed}):
        raise DisclosureError(
            f"欠けている理由として使えない語です: {', '.join(wrong)}", hint=f"使える語: {', '.join(allowed)}"
        )
    return words


def _log(
    states: dict[str, list[str]], roles: Roles, rules: DisclosureRules, rows: int, *, blurred: bool, public: bool
) -> dict[str, Any]:
    def count(columns: Columns | Mapping[str, Any], *wanted: str) -> int:
        return sum(state in wanted for name in columns for state in states.get(name, ()))

    log: dict[str, Any] = {
        "rule": "public" if public else "people",
        "rows": rows,
        "people_cells": rows * len(roles.counts),
        "masked": count(roles.counts, "masked", "masked_secondary"),
        "events_masked": count(roles.events, "masked", "masked_secondary"),
        "rates_masked": count(roles.rates, "masked", "masked_secondary"),
        "merged_steps": 0,
        "min_cell": rules.min_cell,
    }
    if roles.municipality:
        log["min_cell_municipality"] = rules.min_cell_municipality
    if not blurred:
        log["primary"] = count(roles.counts, "masked")
        log["secondary"] = count(roles.counts, "masked_secondary")
    return log
