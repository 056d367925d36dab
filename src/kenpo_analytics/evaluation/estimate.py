"""What does a design say, and what must be believed for it? One record per design; refused designs say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats._checks import normal_quantile

Role = Literal["primary", "sensitivity", "secondary", "reference", "diagnostic"]
State = Literal["estimated", "not_identified", "refused"]
POWER_Z = 2.8016
"""z of 97.5 % plus z of 80 %: the smallest effect that a design of this standard error would find in four of five."""
ROLES = {"primary": "主解析", "sensitivity": "感度分析", "secondary": "副次", "reference": "参考", "diagnostic": "診断"}


@dataclass(frozen=True)
class Estimate:
    """One answer to one question, with what it rests on.

    `state` not_identified (識別不能: the data cannot tell it apart from something else) and refused (the comparison
    would mislead) carry a Japanese `reason` instead of numbers. `diagnostics` are small frames by name (balance,
    bandwidths, years …); `warnings` are Japanese sentences that a reader must see beside the number.
    """

    design: str  # short English id: did_ancova, diff_in_disc, iptw …
    label: str  # Japanese name of the design
    estimand: str  # Japanese: the effect of what, on what, among whom
    assumption: str  # Japanese: what must hold for it to be an effect
    unit: str = "mg/dL"
    role: Role = "sensitivity"
    state: State = "estimated"
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    standard_error: float | None = None
    level: float = 0.95
    method: str = ""  # how the interval was made
    persons: int | None = None
    compared: int | None = None  # people on the other side, where there is one
    null_value: float = 0.0  # what no effect is: 0 for differences, 1 for ratios
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    diagnostics: Mapping[str, pl.DataFrame] = field(default_factory=dict, compare=False)

    @property
    def shows_effect(self) -> bool:
        """Does the interval leave out no effect? False where there is no interval."""
        if self.lower is None or self.upper is None:
            return False
        return self.lower > self.null_value or self.upper < self.null_value


def answer(*names: str, result: Any, place: int, level: float, **facts: Any) -> Estimate:
    """The estimate of one coefficient of a fitted regression, with the limits that the regression gives."""
    lower, upper = map(float, result.conf_int(1 - level)[place])
    size = float(result.bse[place])
    return _made(names, float(result.params[place]), lower, upper, size, level, facts)


def wald(*names: str, value: float, size: float, level: float, **facts: Any) -> Estimate:
    """The estimate of a value with its standard error: limits by the normal distribution."""
    wide = normal_quantile(level) * size
    return _made(names, value, value - wide, value + wide, size, level, facts)


def _made(
    names: Sequence[str], value: float, lower: float, upper: float, size: float, level: float, facts: Mapping[str, Any]
) -> Estimate:
    numbers = {"estimate": value, "lower": lower, "upper": upper, "standard_error": size, "level": level}
    design, label, estimand, assumption = names
    return Estimate(design, label, estimand, assumption, **{**numbers, **facts})


class TooFew(EstimateError):
    """Too few people on one side: the design keeps its place among the others, with the reason."""


def unavailable(
    design: str, label: str, estimand: str, assumption: str, *, reason: str, state: State = "refused", **more: Any
) -> Estimate:
    """A design that the data do not allow, with the reason in its place among the others."""
    return Estimate(design, label, estimand, assumption, state=state, reason=reason, **more)


def as_rows(estimates: Sequence[Estimate]) -> pl.DataFrame:
    """All designs as one table, a row each, in the order given; warnings joined by a blank line.

    `persons_short`, `compared_short`: by how few people these counts fall short of a whole that stands in the table of
    arms (`_short`); null where nobody is missing. For the disclosure gate only.
    """
    names = [name for name in Estimate.__dataclass_fields__ if name not in ("diagnostics", "warnings")]
    rows = [
        {name: getattr(one, name) for name in names} | {"warning": "\n".join(one.warnings), **_short(one)}
        for one in estimates
    ]
    floats = dict.fromkeys(("estimate", "lower", "upper", "standard_error", "level"), pl.Float64)
    counts = dict.fromkeys(("persons", "compared", "persons_short", "compared_short"), pl.Int64)
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={**floats, **counts, "reason": pl.String})


def _short(one: Estimate) -> dict[str, int | None]:
    """By how few people do those seen again of each arm fall short of the people drawn, not late, or compared?"""
    held: list[int | None] = [None, None]
    arms = one.diagnostics.get("arms")
    rows = [] if arms is None else arms.to_dicts()
    if rows and rows[0]["observed"] != one.persons:
        rows.reverse()  # `persons` are the first arm's
    for place, row in enumerate(rows[:2]):
        drawn = row.get("drawn", row["n"])
        wholes = (row["n"], drawn, drawn - row.get("late", 0), drawn - row.get("without", 0))
        gaps = [whole - row["observed"] for whole in wholes]
        held[place] = min((gap for gap in gaps if gap > 0), default=None)
    return dict(zip(("persons_short", "compared_short"), held, strict=True))
