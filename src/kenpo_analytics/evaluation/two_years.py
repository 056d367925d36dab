"""Who had prediabetes in the programme's year and before it, by the rule of its time, and what came next?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kenpo_analytics.cohorts import prediabetes
from kenpo_analytics.evaluation.before_after import before_after
from kenpo_analytics.evaluation.letters import rule_in_force
from kenpo_analytics.evaluation.sensitivity import before_after_sensitivity
from kenpo_analytics.outcomes import next_checkup

if TYPE_CHECKING:
    import polars as pl

    from kenpo_analytics.cohorts.flow import Cohort
    from kenpo_analytics.store import Tables


@dataclass(frozen=True)
class Pair:
    """Two cohorts by one rule: `before` and `after` are their names, with the year in them.

    `cohorts`, `followed` (their next checkup) and `years` go by name. Where nobody was in the cohort before the
    programme, all three hold the programme's year alone, and there is nothing to compare (None).
    """

    before: str
    after: str
    rule: str
    years: Mapping[str, int]
    cohorts: Mapping[str, Cohort]
    followed: Mapping[str, pl.DataFrame]

    def differences(self) -> Any:
        """Of those seen again, how many more improved or worsened than before? `before_after`, or None."""
        if self.before not in self.followed:
            return None
        return before_after(self.followed[self.after], self.followed[self.before], among=["seen"])

    def differences_otherwise(self, tables: Tables, *, data_through: int, branch: str | None = None) -> Any:
        """The same by other rules, outcomes and dead bands: `before_after_sensitivity`, or None."""
        if self.before not in self.years:
            return None
        return before_after_sensitivity(
            tables.checkups,
            tables.members,
            fiscal_year=self.years[self.after],
            reference_year=self.years[self.before],
            data_through=data_through,
            branch=branch,
            definitions=tables.definitions,
        )


def two_cohorts(
    tables: Tables, *, fiscal_year: int, reference_year: int, data_through: int, branch: str | None = None
) -> Pair:
    """Who is compared naively (単純前後比較)? The cohorts of both years, and their next checkup up to `data_through`.

    The rule of the letters for `fiscal_year` holds for both years, never today's default.

    Raises
    ------
    EstimateError
        No letter with a rule for checkups of `fiscal_year`.
    """
    rule = rule_in_force(tables.mailings, tables.checkups, fiscal_year=fiscal_year)
    before, after = f"{reference_year}年度(事業前)", f"{fiscal_year}年度(事業)"
    years = {before: reference_year, after: fiscal_year}
    cohorts = {name: _cohort(tables, year, rule, branch) for name, year in years.items()}
    held = {name: cohort for name, cohort in cohorts.items() if name == after or len(cohort.people)}
    followed = {
        name: next_checkup(
            cohort.people.lazy(), tables.checkups, data_through=data_through, definitions=tables.definitions
        ).collect()
        for name, cohort in held.items()
    }
    return Pair(before, after, rule, {name: years[name] for name in held}, held, followed)


def _cohort(tables: Tables, year: int, rule: str, branch: str | None) -> Cohort:
    found = prediabetes(
        tables.checkups,
        tables.members,
        fiscal_year=year,
        rule=rule,  # type: ignore[arg-type]
        branch=branch,
        definitions=tables.definitions,
    )
    return found.collect()
