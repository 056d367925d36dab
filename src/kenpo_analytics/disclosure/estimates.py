"""May these estimates be shown? Effects of designs, behind the smaller of the groups that they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

NUMBERS = ("estimate", "lower", "upper", "standard_error")
COUNTS = ("persons", "compared")
SMALLEST, SHORT = "smallest", "_short"


def check_estimates(
    table: Any,
    *,
    by: Sequence[str],
    main: Mapping[str, Any] | None = None,
    plain: Sequence[str] = (),
    totals: Mapping[str, str | None] | None = None,
    rules: DisclosureRules | None = None,
) -> Checked:
    """Which effects may be shown? Those whose groups are large enough; a design without an answer keeps its row.

    Parameters
    ----------
    table
        Rows of estimates: `estimate`, `lower`, `upper`, `persons`, and `compared` where there are two groups; with
        `persons_short` and `compared_short` (`evaluation.estimate.as_rows`), counts are masked that would give back
        what the table of arms masks.
    by
        Columns that tell the rows apart (design, bandwidth, fiscal year …).
    main
        The row whose count of people is served first, `{"design": "did_ancova"}`: the designs count overlapping people
        (with and without a few that were trimmed), and two counts that are 1 to 9 apart would give those back.
    plain
        Other numbers that say nothing about single people (p values, years).
    totals
        As in `check`: `{"value": None}` where the rows of a subgroup make up people counted elsewhere.

    Returns
    -------
    Checked. Counts are masked singly; an effect is hidden only where its smaller group is, since neither an effect nor
    its interval gives a count back. Null effects are `not_applicable` (the reason stands in a text column).
    """
    if isinstance(table, Checked):
        return table
    rules = rules or DisclosureRules()
    frame = eager(table).with_columns(pl.col(pl.String).fill_null(""))
    counts = [name for name in COUNTS if name in frame.columns]
    hidden = _told_by_arms(frame, counts, rules.min_cell)
    frame = frame.drop([f"{name}{SHORT}" for name in counts], strict=False)
    frame = frame.with_columns(pl.min_horizontal(counts).cast(pl.Int64).alias(SMALLEST))
    numbers = [name for name in NUMBERS if name in frame.columns]
    first = {key: value for key, value in (main or {}).items() if (frame[key] == value).any()}
    checked = check(
        frame,
        counts=[*counts, SMALLEST],
        rates=dict.fromkeys(numbers, (SMALLEST,)),
        nested=dict.fromkeys(counts, first) if first else None,
        by=tuple(by),
        totals=totals,
        plain=[name for name in ("level", "null_value", *plain) if name in frame.columns],
        reasons=dict.fromkeys([*numbers, *counts, *plain], "not_applicable"),
        hidden=hidden,
        labels=[n for n in frame.columns if frame[n].dtype == pl.String and n not in by],  # our sentences: thresholds
        rules=rules,
    )
    return checked.select([name for name in checked.table.columns if name != SMALLEST])


def _told_by_arms(frame: pl.DataFrame, counts: Sequence[str], floor: int) -> dict[str, list[bool]]:
    """Which counts would stand beside a whole that holds 1 to 9 people more (or are a few people from such a count)?"""
    hidden = {}
    for name in counts:
        if f"{name}{SHORT}" in frame.columns:
            taken = frame.filter(pl.col(f"{name}{SHORT}") < floor)[name].drop_nulls().to_list()
            near = [value is not None and any(abs(value - other) < floor for other in taken) for value in frame[name]]
            hidden[name] = near
    return hidden


def check_diagnostics(
    tables: Mapping[str, pl.DataFrame], *, rules: DisclosureRules | None = None
) -> dict[str, Checked]:
    """Which small frames of `evaluation.diagnose` may be shown? Each by what its columns are; unknown names fail."""
    rules = rules or DisclosureRules()
    found = {}
    for name, table in tables.items():
        if name == "moves":
            found[name] = _moves(table, rules)
        elif name in _ESTIMATES:
            found[name] = check_estimates(table, rules=rules, **_ESTIMATES[name])
        else:
            counts = _COUNTS[name].get("counts", ())
            filled = table.with_columns(pl.col(pl.String).fill_null(""))
            filled = filled.with_columns(pl.col(column).cast(pl.Int64) for column in counts)
            hidden = _between_tables(name, filled, tables.get("bands"), rules.min_cell)
            found[name] = check(filled, rules=rules, hidden=hidden, **_COUNTS[name])
    return found


def _between_tables(name: str, table: pl.DataFrame, bands: pl.DataFrame | None, floor: int) -> dict[str, list[bool]]:
    """What must be masked since a whole and a part of it, 1 to 9 people apart, must not both stand on a page?

    Of the arms, every part of such a whole. Of the bands the wholes, since those seen again stand in the flow and
    among the estimates, too: of both bands of an era, whose sum stands in the flow, and in their background.
    """
    parts = _INSIDE.get(name, {})
    hidden = {part: _few_short(table, part, wholes, floor) for part, wholes in parts.items() if part in table.columns}
    if bands is None or name not in ("bands", "cells"):
        return hidden
    gap = pl.col("n").cast(pl.Int64) - pl.col("observed").cast(pl.Int64)
    eras = set(bands.filter(gap.is_between(1, floor - 1))["era"])
    if name == "cells":
        sides = {"n_one": "programme", "n_other": "before"}
        return {side: [era in eras] * table.height for side, era in sides.items()}
    close = pl.col("n").cast(pl.Int64) - pl.col("letters") < floor  # nearly all of a masked n
    letters = table.select((pl.col("era").is_in(list(eras)) & close).fill_null(False)).to_series()
    both = [one or other for one, other in zip(hidden["letters"], letters, strict=True)]
    return {"n": [era in eras for era in table["era"]], "letters": both}


def _few_short(table: pl.DataFrame, part: str, wholes: Sequence[str], floor: int) -> list[bool]:
    """In which rows does this column fall short of one of these by 1 to 9 people? "drawn - late": the others drawn."""
    left_out = [column for column in ("late", "without") if column in table.columns]
    rest = {f"drawn - {column}": pl.col("drawn") - pl.col(column) for column in left_out}
    gaps = [rest.get(name, pl.col(name)) - pl.col(part) for name in wholes if name in (*table.columns, *rest)]
    return (
        table.select(pl.any_horizontal(gap.is_between(1, floor - 1).fill_null(False) for gap in gaps))
        .to_series()
        .to_list()
    )


def _moves(table: pl.DataFrame, rules: DisclosureRules | None) -> Checked:
    """Shares of the same people before and after: each gives the number behind it back, so it is masked with it."""
    counts = [(pl.col(name) * pl.col("n")).round(0).cast(pl.Int64).alias(f"n_{name}") for name in ("before", "after")]
    rates: dict[str, tuple[str, ...]] = {
        f"{name}{limit}": (f"n_{name}",) for name in ("before", "after") for limit in ("", "_lower", "_upper")
    }
    rates |= dict.fromkeys(("estimate", "lower", "upper", "relative", "statistic", "p"), ("n_before", "n_after", "n"))
    checked = check(
        table.with_columns(counts),
        counts=("n", "n_before", "n_after"),
        within={"n_before": "n", "n_after": "n"},
        rates=rates,
        plain=("level",),
        by=("measure",),
        reasons=dict.fromkeys(rates, "not_applicable"),
        labels=("label",),
        rules=rules,
    )
    return checked.select([name for name in checked.table.columns if not name.startswith("n_")])


_ARMS = ("n", "drawn - late", "drawn - without", "drawn")
_INSIDE: dict[str, dict[str, tuple[str, ...]]] = {
    "arms": {"n": _ARMS[1:], "observed": _ARMS, "letters": _ARMS, "mixed": ("observed", "letters", *_ARMS)},
    "bands": {"letters": ("n",)},
}
"""Columns whose people are all counted in others of the row, too."""
_LIMITS = ("estimate", "lower", "upper", "level")
_ESTIMATES: dict[str, dict[str, Any]] = {
    "years": {"by": ("fiscal_year",)},
    "bandwidths": {"by": ("bandwidth",), "main": {"bandwidth": 9.0}, "plain": ("cutoff",)},
    "cutoffs": {"by": ("cutoff",), "plain": ("bandwidth",)},
    "controls": {"by": ("control", "design")},
    "subgroups": {"by": ("subgroup", "value"), "plain": ("p_interaction", "p_adjusted"), "totals": {"value": None}},
    "expected": {"by": ("what",)},
}
_CONTRAST: dict[str, Any] = {
    "counts": ("n_one", "n_other"),
    "rates": {f"{name}_{side}": f"n_{side}" for name in ("mean", "sd") for side in ("one", "other")}
    | {"smd": ("n_one", "n_other")},
    "nested": {name: {"item": "persons"} for name in ("n_one", "n_other")},
    "reasons": dict.fromkeys(("mean_one", "mean_other", "sd_one", "sd_other", "smd"), "not_applicable"),
}
_COUNTS: dict[str, dict[str, Any]] = {
    "bands": {
        "counts": ("n", "observed", "letters"), "within": {"observed": "n", "letters": "n"}, "by": ("era", "high"),
        "rates": {"y0": "n", "y1": "observed", "change": "observed", "seen": ("observed", "n"), "days": "observed"},
        "labels": ("band",), "reasons": {"days": "not_applicable"},
    },
    "evalue": {"plain": ("point", "limit"), "by": ("design",), "labels": ("label",)},
    "cost": {"counts": ("letters",), "rates": dict.fromkeys(_LIMITS[:3], "letters"), "by": ("item",),
             "labels": ("reason",),
             "reasons": dict.fromkeys(_LIMITS[:3], "not_applicable")},
    "series": {"counts": ("numerator",), "rates": {"estimate": "numerator"}, "by": ("kind", "month")},
    "residuals": {"plain": ("autocorrelation", "phi", "limit"), "by": ("lag",)},
    "dates": {"plain": _LIMITS[:3], "by": ("month",)},
    "strata": {"counts": ("exposed_events", "exposed", "control_events", "control"), "by": ("stratum",),
               "within": {"exposed_events": "exposed", "control_events": "control"}, "plain": ("level",),
               "rates": {"share": ("exposed_events",), "share_control": ("control_events",)}
               | dict.fromkeys(_LIMITS[:3], ("exposed_events", "control_events", "exposed")),
               "reasons": dict.fromkeys(_LIMITS[:3], "not_applicable")},
    "power": {"counts": ("letters",), "rates": {"years": "letters"}, "reasons": {"years": "not_applicable"},
              "plain": ("persons", "effect", "power", "level", "sd", "correlation", "seen"), "by": ("question", "row"),
              "labels": ("unit", "outcome")},
    "jump": {"counts": ("persons",), "rates": dict.fromkeys(("estimate", "fitted"), "persons"),
             "by": ("era", "side", "y0")},
    "tipping": {"plain": _LIMITS, "by": ("delta",)},
    "tipping_primary": {"plain": _LIMITS, "by": ("delta",)},
    "cells": {**_CONTRAST, "by": ("group", "item")},
    "sent": {**_CONTRAST, "by": ("item",)},
    "lost": {"counts": ("n", "denominator"), "rates": {"share": ("n", "denominator")},
             "totals": {"outcome_state": None}, "by": ("letter", "outcome_state")},
    "draws": {"counts": ("again", "n"), "by": ("draw",), "labels": ("day", "seed", "digest"),
              "rates": {"persons": ("again", "n")}},  # all persons less again are the people drawn of "arms"
    "arms": {"counts": ("drawn", "late", "without", "n", "observed", "letters", "mixed"), "by": ("assigned",),
             "labels": ("label",), "splits": {"drawn": ("late", "without", "n")},
             "within": {"observed": "n", "letters": "n", "mixed": "observed"}},
    "adjusted": {"by": ("covariate",)},
    "left_out": {"counts": ("n", "denominator"), "by": ("state",), "totals": {"state": None}},
    "falsify": {"plain": ("estimate", "lower", "upper", "p", "p_holm", "detectable"), "by": ("check", "item"),
                "reasons": dict.fromkeys(("estimate", "lower", "upper", "p", "p_holm", "detectable"), "not_evaluated"),
                "labels": ("reason", "label", "alarm")},
    "states": {"counts": ("n", "denominator"), "rates": {"estimate": ("n", "denominator")}, "by": ("group", "state"),
               "totals": {"state": None}, "labels": ("label",)},
    "balance": {"plain": ("smd_before", "smd_after"), "by": ("covariate",), "reasons": {"smd_after": "not_applicable"}},
    "matched": {"plain": ("smd_before", "smd_after"), "by": ("covariate",), "reasons": {"smd_after": "not_applicable"}},
    "overlap": {"counts": ("sent", "not_sent"), "by": ("score",), "totals": {"score": None}},
    "trimmed": {"counts": ("trimmed", "of"), "within": {"trimmed": "of"}, "plain": ("limit",), "by": ()},
    "weights": {"counts": ("persons",), "rates": {"mean": "persons", "largest": "persons", "effective": "persons"}},
}  # fmt: skip
