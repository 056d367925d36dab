"""Did it work? Who is compared, what happened to them, and the naive before/after."""

from kenpo_analytics.evaluation.before_after import before_after
from kenpo_analytics.evaluation.groups import baseline, stack
from kenpo_analytics.evaluation.letters import letters, rule_in_force
from kenpo_analytics.evaluation.sensitivity import before_after_sensitivity
from kenpo_analytics.evaluation.shares import COARSE, FOLLOWED, outcome_shares, value_change
from kenpo_analytics.evaluation.table_one import table_one
from kenpo_analytics.evaluation.two_years import two_cohorts

__all__ = [
    "COARSE",
    "FOLLOWED",
    "baseline",
    "before_after",
    "before_after_sensitivity",
    "letters",
    "outcome_shares",
    "rule_in_force",
    "stack",
    "table_one",
    "two_cohorts",
    "value_change",
]
