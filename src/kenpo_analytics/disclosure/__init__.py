"""May it leave the building? Masking that survives totals, complements and rates; and the stamp a run demands."""

from kenpo_analytics.disclosure.check import check, check_public
from kenpo_analytics.disclosure.checked import MASKED, STATES, Checked, State
from kenpo_analytics.disclosure.flow import check_flow
from kenpo_analytics.disclosure.rules import DisclosureRules, municipal_population
from kenpo_analytics.disclosure.stamp import digest, is_stamped, stamp

__all__ = [
    "MASKED",
    "STATES",
    "Checked",
    "DisclosureRules",
    "State",
    "check",
    "check_flow",
    "check_public",
    "digest",
    "is_stamped",
    "municipal_population",
    "stamp",
]
