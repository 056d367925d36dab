"""Where do we stand? Every KPI of the plan against target, last year and nation; where the year will land."""

from kenpo_analytics.kpi.branches import known_by, ranked
from kenpo_analytics.kpi.computed import untreated_visits
from kenpo_analytics.kpi.incentive import Score, incentive_score
from kenpo_analytics.kpi.incentive_doubts import (
    gaps_sentence,
    incentive_gaps,
    incentive_needs,
    incentive_place,
    incentive_sensitivity,
    incentive_year,
    score_or_reason,
)
from kenpo_analytics.kpi.incentive_page import IncentivePage, incentive_page
from kenpo_analytics.kpi.judging import MET, MISSED, RUNNING, UNKNOWN
from kenpo_analytics.kpi.overview import Overview, by_group, overview
from kenpo_analytics.kpi.places import with_ranks
from kenpo_analytics.kpi.process import control
from kenpo_analytics.kpi.projection import Landing, landing
from kenpo_analytics.kpi.provider import coverage, read_provider
from kenpo_analytics.kpi.readings import published
from kenpo_analytics.kpi.series import monthly_series, monthly_totals, plan_history
from kenpo_analytics.kpi.standing import STATUSES, compare, status
from kenpo_analytics.kpi.weights import incentive_rules
from kenpo_analytics.kpi.what_if import needed_rise, what_if_rise
from kenpo_analytics.kpi.workplaces import beside_reported, workplace_totals

__all__ = [
    "MET",
    "MISSED",
    "RUNNING",
    "STATUSES",
    "UNKNOWN",
    "IncentivePage",
    "Landing",
    "Overview",
    "Score",
    "beside_reported",
    "by_group",
    "compare",
    "control",
    "coverage",
    "gaps_sentence",
    "incentive_gaps",
    "incentive_needs",
    "incentive_page",
    "incentive_place",
    "incentive_rules",
    "incentive_score",
    "incentive_sensitivity",
    "incentive_year",
    "known_by",
    "landing",
    "monthly_series",
    "monthly_totals",
    "needed_rise",
    "overview",
    "plan_history",
    "published",
    "ranked",
    "read_provider",
    "score_or_reason",
    "status",
    "untreated_visits",
    "what_if_rise",
    "with_ranks",
    "workplace_totals",
]
