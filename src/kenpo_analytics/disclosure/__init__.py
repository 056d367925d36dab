"""May it leave the building? Masking that survives totals, complements and rates; and the stamp a run demands."""

from kenpo_analytics.disclosure.before_after import (
    check_before_after,
    check_changes,
    check_letters,
    check_measured,
    check_outcomes,
)
from kenpo_analytics.disclosure.check import check, check_public
from kenpo_analytics.disclosure.checked import MASKED, STATES, Checked, State
from kenpo_analytics.disclosure.curve import check_curve
from kenpo_analytics.disclosure.estimates import check_diagnostics, check_estimates
from kenpo_analytics.disclosure.flow import check_flow
from kenpo_analytics.disclosure.incentive import check_incentive, check_incentive_page, check_incentive_totals
from kenpo_analytics.disclosure.kpi import check_kpi
from kenpo_analytics.disclosure.regional import check_index, check_index_settings, check_town_index
from kenpo_analytics.disclosure.risks import (
    check_card,
    check_decrease,
    check_risk_groups,
    check_risk_ranks,
    check_risk_sexes,
    check_risks,
)
from kenpo_analytics.disclosure.rules import DisclosureRules, municipal_population
from kenpo_analytics.disclosure.stamp import digest, is_stamped, stamp
from kenpo_analytics.disclosure.table_one import check_table_one
from kenpo_analytics.disclosure.visits import check_visit_curve, check_visit_groups, check_visits

__all__ = [
    "MASKED",
    "STATES",
    "Checked",
    "DisclosureRules",
    "State",
    "check",
    "check_before_after",
    "check_card",
    "check_changes",
    "check_curve",
    "check_decrease",
    "check_diagnostics",
    "check_estimates",
    "check_flow",
    "check_incentive",
    "check_incentive_page",
    "check_incentive_totals",
    "check_index",
    "check_index_settings",
    "check_kpi",
    "check_letters",
    "check_measured",
    "check_outcomes",
    "check_public",
    "check_risk_groups",
    "check_risk_ranks",
    "check_risk_sexes",
    "check_risks",
    "check_table_one",
    "check_town_index",
    "check_visit_curve",
    "check_visit_groups",
    "check_visits",
    "digest",
    "is_stamped",
    "municipal_population",
    "stamp",
]
