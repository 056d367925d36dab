"""May these risk rates be shown? Small groups are masked, also where one risk is the rest of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import MASKED, Checked, seal
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.errors import DisclosureError

PARTS = {
    "risk_waist": ("risk_mets", "risk_premets"),
    "risk_metabolic": ("risk_metabolic_treated", "risk_metabolic_untreated", "risk_metabolic_unanswered"),
}
"""People of the second are people of the first: the rest of them must not come out either."""
_LEFT_OUT = ("persons", "unknown")
_PLAIN = ("level", "nation", "nation_lower", "nation_upper", "branch_value", "branch_lower", "branch_upper")
_TEXTS = ("label", "method", "expected_from", "judgement", "own_judgement", "reason", "standard")
_BEHIND = ("events", "denominator")
_NOT_APPLICABLE = (*_PLAIN[1:], "gap", "gap_lower", "gap_upper", "apart", "apart_lower", "apart_upper")
HIDDEN = "秘匿"


def check_risks(
    rows: Any,
    *,
    by: Sequence[str],
    totals: Mapping[str, str | None] | None = None,
    municipality: str | None = None,
    hidden: Mapping[str, Checked] | Checked | None = None,
    parts: bool = True,
    rules: DisclosureRules | None = None,
) -> Checked:
    """Which numbers of `risk_rates` or `health_card` may be shown?

    `by` are the columns that, with `risk`, name a row; `totals` as in `check` (`{"industry": None}`: the sum over the
    rows is known to the reader). All risks of a group are judged together, since メタボ該当 and 予備群 are part of
    腹囲リスク and the two kinds of 代謝リスク of the whole. Where carriers are masked, the judgement reads 秘匿.
    `persons` and `unknown` are left out: their difference to the judged people would be a small count in every group.

    `hidden` says where the same people stand on the page already: a value of the first `by` column -> a checked table
    with one row per risk, or one checked table that has that column. A risk that is masked there is masked here too
    (`{"group": industries.where(industry=…)}`).
    `parts` False leaves out that one risk is part of another, for a table that is never shown but only says, as
    `hidden`, what the larger group gives away.
    """
    if isinstance(rows, Checked):
        return rows
    frame = eager(rows).drop(_LEFT_OUT, strict=False)
    risks = frame["risk"].unique(maintain_order=True).to_list()
    texts = [name for name in _TEXTS if name in frame.columns]
    numbers = [name for name in frame.columns if name not in (*by, "risk", *texts)]
    wide = _wide(frame, list(by), risks, numbers)
    held = PARTS if parts else {}
    checked = _check(wide, by, risks, numbers, held, totals, municipality, rules)
    if isinstance(hidden, Checked):
        hidden = {value: hidden.where(**{by[0]: value}) for value in hidden.table[by[0]].unique()}
    return _long(checked, frame, list(by), risks, numbers, texts, hidden or {})


def check_risk_sexes(apart: Any, together: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which rates of men, women and both may be shown? One table: masked apart, one would come back from the others."""
    rows = pl.concat([eager(apart), eager(together)], how="diagonal_relaxed")
    return check_risks(rows, by=["sex"], totals={"sex": "MF"}, rules=rules)


def check_risk_groups(
    rows: Any, *, by: str, municipality: bool = False, rules: DisclosureRules | None = None
) -> Checked | None:
    """Which groups (industry, municipality) may be shown? None where so few people are left that no mask protects."""
    try:
        return check_risks(rows, by=[by], totals={by: None}, municipality=by if municipality else None, rules=rules)
    except DisclosureError:
        return None


def check_card(
    rows: Any, *, beside: Checked | None, rules: DisclosureRules | None = None, **group: str
) -> Checked | None:
    """Which numbers of a `health_card` may be shown, beside the table in which its group stands (`beside`, `group`)?

    What is masked there is masked on the card too; None where that table could not be shown at all.
    """
    if beside is None:
        return None
    return check_risks(rows, by=["side"], hidden={"group": beside.where(**group)}, rules=rules)


def check_risk_ranks(ranks: Any, *, area: str, rules: DisclosureRules | None = None) -> Checked | None:
    """Which of one branch's places in `risk_ranks` may be shown? None where no risk has been ranked."""
    rows = eager(ranks)
    if rows.is_empty():
        return None
    return check(
        rows.drop("lower_repeat", "upper_repeat"),
        counts=["events", "denominator"],
        rates="all",
        plain=["level", "ranked", "worst", "standard_rate"],
        by=["fiscal_year", "risk", "sex", "area"],
        totals={"area": None},
        labels=["standard"],
        rules=rules,
    ).where(area=area)


_GUIDED = {"received": "利用した人", "not_received": "利用していない人", "all": "計"}
_STATES = ("decreased", "started_drugs", "still", "not_judged")


def check_decrease(rows: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `guidance_decrease` may be shown? People by what became of them, and the shares."""
    shares: dict[str, tuple[str, ...]] = dict.fromkeys(("estimate", "lower", "upper"), ("decreased", "denominator"))
    shares["estimate_other"] = ("decreased", "started_drugs", "denominator")
    table = eager(rows).select(pl.col("group").replace_strict(_GUIDED), "targets", *_STATES, "denominator", *shares)
    return check(
        table,
        counts=["targets", *_STATES, "denominator"],
        splits={"targets": _STATES},
        rates=shares,
        by=["group"],
        totals={"group": "計"},
        reasons=dict.fromkeys(shares, "not_evaluated"),
        rules=rules,
    )


def _wide(frame: pl.DataFrame, by: list[str], risks: list[str], numbers: list[str]) -> pl.DataFrame:
    """One row per group: every number of every risk side by side."""
    wide = frame.select(by).unique(maintain_order=True)
    for risk in risks:
        part = frame.filter(pl.col("risk") == risk).select(*by, pl.col(numbers).name.suffix(f".{risk}"))
        wide = wide.join(part, on=by, how="left", maintain_order="left", validate="1:1")
    return wide


def _check(
    wide: pl.DataFrame,
    by: Sequence[str],
    risks: list[str],
    numbers: list[str],
    held: Mapping[str, tuple[str, ...]],
    totals: Mapping[str, str | None] | None,
    municipality: str | None,
    rules: DisclosureRules | None,
) -> Checked:
    rates = [name for name in numbers if name not in (*_BEHIND, *_PLAIN)]
    kinds = dict.fromkeys(numbers, "not_evaluated") | dict.fromkeys(_NOT_APPLICABLE, "not_applicable")
    whole = {f"events.{r}": tuple(f"events.{p}" for p in held[r] if p in risks) for r in held if r in risks}
    splits = {name: parts for name, parts in whole.items() if len(parts) > 1}
    return check(
        wide,
        counts=[f"{name}.{risk}" for risk in risks for name in _BEHIND],
        rates={f"{name}.{risk}": tuple(f"{n}.{risk}" for n in _BEHIND) for risk in risks for name in rates},
        splits=splits,
        within={f"events.{risk}": f"denominator.{risk}" for risk in risks},
        totals=totals,
        by=tuple(by),
        plain=[f"{name}.{risk}" for risk in risks for name in _PLAIN if name in numbers],
        reasons={f"{name}.{risk}": kinds[name] for risk in risks for name in numbers},
        municipality=municipality,
        rules=rules,
    )


def _long(
    checked: Checked,
    frame: pl.DataFrame,
    by: list[str],
    risks: list[str],
    numbers: list[str],
    texts: list[str],
    already: Mapping[str, Checked],
) -> Checked:
    """The masked numbers as one row per group and risk again, with the texts beside them."""
    tables, states = [], []
    for risk in risks:
        names = [pl.col(f"{name}.{risk}").alias(name) for name in numbers]
        keys = pl.lit(risk).alias("risk")
        words = frame.filter(pl.col("risk") == risk).select(*by, *texts)
        part = checked.table.select(*by, keys, *names)
        state = checked.states.select(*by, pl.lit("shown").alias("risk"), *names)
        part = part.join(words, on=by, how="left", maintain_order="left", validate="1:1")
        here = pl.col(by[0]).is_in([value for value, other in already.items() if _masked(other, risk)])
        part, state = _hide(part, state, here, [name for name in numbers if name not in _PLAIN])
        hidden = state["events"].is_in(MASKED) if "events" in state.columns else pl.Series([False] * len(part))
        told = {"judgement": HIDDEN, "own_judgement": HIDDEN, "reason": None}
        part = part.with_columns(
            pl.when(hidden).then(pl.lit(told[name], pl.String)).otherwise(pl.col(name)).alias(name)
            for name in texts
            if name in told
        )
        said = (
            pl.when(part[name].is_null()).then(pl.lit("not_applicable")).otherwise(pl.lit("shown")) for name in texts
        )
        state = state.with_columns(word.alias(name) for name, word in zip(texts, said, strict=True))
        tables.append(part)
        states.append(state)
    table = pl.concat(tables)
    return seal(table, pl.concat(states).select(table.columns), log=checked.log, rules=checked.rules)


def _masked(other: Checked, risk: str) -> bool:
    """Is anything of this risk masked in the other table?"""
    states = other.where(risk=risk).states
    return any(states[name].is_in(MASKED).any() for name in _BEHIND if name in states.columns)


def _hide(
    part: pl.DataFrame, state: pl.DataFrame, here: pl.Expr, names: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows `here` without their numbers, which are then masked as companions."""
    rows = part.select(here.alias("here"))["here"]
    part = part.with_columns(pl.when(rows).then(None).otherwise(pl.col(name)).alias(name) for name in names)
    shown = (pl.when(rows & (pl.col(name) == "shown")).then(pl.lit("masked_secondary")) for name in names)
    kept = [word.otherwise(pl.col(name)).alias(name) for word, name in zip(shown, names, strict=True)]
    return part, state.with_columns(kept)
