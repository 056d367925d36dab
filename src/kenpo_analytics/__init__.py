"""Health-data analytics for Japanese health insurers (協会けんぽ): cohorts, follow-up, regional index, reports.

`import kenpo_analytics as ka` is light; what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kenpo_analytics.cohorts.eligible import eligible_checkups
    from kenpo_analytics.cohorts.flow import Cohort
    from kenpo_analytics.cohorts.prediabetes import prediabetes
    from kenpo_analytics.cohorts.untreated import untreated
    from kenpo_analytics.definitions import Definitions, define
    from kenpo_analytics.disclosure import Checked, DisclosureRules, check, check_flow, check_public
    from kenpo_analytics.evaluation.before_after import before_after
    from kenpo_analytics.evaluation.shares import outcome_shares
    from kenpo_analytics.evaluation.table_one import table_one
    from kenpo_analytics.months import format_month, parse_month, wareki
    from kenpo_analytics.outcomes.first_visit import first_visit
    from kenpo_analytics.outcomes.incidence import VisitIncidence, visit_incidence
    from kenpo_analytics.outcomes.lag import mature_month
    from kenpo_analytics.outcomes.next_checkup import next_checkup
    from kenpo_analytics.outcomes.out_of_hours import out_of_hours
    from kenpo_analytics.quality import (
        data_quality,
        institution_outliers,
        monthly_volume,
        overdue_institutions,
        overdue_months,
        overview,
        unit_suspicion,
    )
    from kenpo_analytics.regional import funnel, ranks, regional_index, shrunken, standardised_rate
    from kenpo_analytics.risks import (
        guidance_decrease,
        guidance_levels,
        health_card,
        risk_counts,
        risk_holders,
        risk_ranks,
        risk_rates,
    )
    from kenpo_analytics.store import Tables, load

_ROOMS = {
    "cohorts": ["Cohort", "eligible_checkups", "prediabetes", "untreated"],
    "definitions": ["Definitions", "define"],
    "disclosure": ["Checked", "DisclosureRules", "check", "check_flow", "check_public"],
    "evaluation": ["before_after", "outcome_shares", "table_one"],
    "months": ["format_month", "parse_month", "wareki"],
    "outcomes": ["VisitIncidence", "first_visit", "mature_month", "next_checkup", "out_of_hours", "visit_incidence"],
    "quality": [
        "data_quality",
        "institution_outliers",
        "monthly_volume",
        "overdue_institutions",
        "overdue_months",
        "overview",
        "unit_suspicion",
    ],
    "regional": ["funnel", "ranks", "regional_index", "shrunken", "standardised_rate"],
    "risks": [
        "guidance_decrease",
        "guidance_levels",
        "health_card",
        "risk_counts",
        "risk_holders",
        "risk_ranks",
        "risk_rates",
    ],
    "store": ["Tables", "load"],
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = [
    "Checked",
    "Cohort",
    "Definitions",
    "DisclosureRules",
    "Tables",
    "VisitIncidence",
    "before_after",
    "check",
    "check_flow",
    "check_public",
    "data_quality",
    "define",
    "eligible_checkups",
    "first_visit",
    "format_month",
    "funnel",
    "guidance_decrease",
    "guidance_levels",
    "health_card",
    "institution_outliers",
    "load",
    "mature_month",
    "monthly_volume",
    "next_checkup",
    "out_of_hours",
    "outcome_shares",
    "overdue_institutions",
    "overdue_months",
    "overview",
    "parse_month",
    "prediabetes",
    "ranks",
    "regional_index",
    "risk_counts",
    "risk_holders",
    "risk_ranks",
    "risk_rates",
    "shrunken",
    "standardised_rate",
    "table_one",
    "unit_suspicion",
    "untreated",
    "visit_incidence",
    "wareki",
]


def __getattr__(name: str) -> Any:
    """Import a public name's room when the name is first used (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    """Only what a user may call: completion in JupyterLab shows no helper."""
    return list(__all__)
