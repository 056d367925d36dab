"""Where do we stand? Every KPI of the plan against target, last year and nation; where the year will land."""

from kenpo_analytics.kpi.branches import ranked
from kenpo_analytics.kpi.computed import untreated_visits
from kenpo_analytics.kpi.judging import MET, MISSED, RUNNING, UNKNOWN
from kenpo_analytics.kpi.projection import Landing, landing
from kenpo_analytics.kpi.provider import coverage, read_provider
from kenpo_analytics.kpi.readings import published
from kenpo_analytics.kpi.series import monthly_series, monthly_totals, plan_history
from kenpo_analytics.kpi.standing import STATUSES, compare, status

__all__ = [
    "MET",
    "MISSED",
    "RUNNING",
    "STATUSES",
    "UNKNOWN",
    "Landing",
    "compare",
    "coverage",
    "landing",
    "monthly_series",
    "monthly_totals",
    "plan_history",
    "published",
    "ranked",
    "read_provider",
    "status",
    "untreated_visits",
]
