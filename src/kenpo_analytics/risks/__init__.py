"""Where is the branch's health? Risk holders, guidance levels, rates by group, the health card (健康度カルテ)."""

from kenpo_analytics.risks.card import card_siblings, health_card, largest_workplace
from kenpo_analytics.risks.decrease import guidance_decrease
from kenpo_analytics.risks.holders import (
    MAIN,
    METABOLIC,
    RISKS,
    UNANSWERED,
    metabolic_parts,
    risk_holders,
    risk_label,
    version_breaks,
)
from kenpo_analytics.risks.levels import FIRST_YEAR, LEVELS, guidance_levels
from kenpo_analytics.risks.pages import (
    decrease_of_year,
    examined_by_age,
    holders_of_years,
    level_counts,
    levels_of_years,
    people_of,
    target_levels,
    unknown_by_risk,
)
from kenpo_analytics.risks.places import beside_branches, risk_ranks
from kenpo_analytics.risks.rates import JUDGEMENTS, risk_rates
from kenpo_analytics.risks.strata import nation_of, risk_counts, risk_reference, risk_strata

__all__ = [
    "FIRST_YEAR",
    "JUDGEMENTS",
    "LEVELS",
    "MAIN",
    "METABOLIC",
    "RISKS",
    "UNANSWERED",
    "beside_branches",
    "card_siblings",
    "decrease_of_year",
    "examined_by_age",
    "guidance_decrease",
    "guidance_levels",
    "health_card",
    "holders_of_years",
    "largest_workplace",
    "level_counts",
    "levels_of_years",
    "metabolic_parts",
    "nation_of",
    "people_of",
    "risk_counts",
    "risk_holders",
    "risk_label",
    "risk_ranks",
    "risk_rates",
    "risk_reference",
    "risk_strata",
    "target_levels",
    "unknown_by_risk",
    "version_breaks",
]
