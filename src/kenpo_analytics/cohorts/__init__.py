"""Who is it about? Eligible checkups, prediabetes (糖尿病予備群), untreated (未治療者), each with its flow."""

from kenpo_analytics.cohorts.eligible import eligible_checkups
from kenpo_analytics.cohorts.flow import Cohort
from kenpo_analytics.cohorts.prediabetes import prediabetes
from kenpo_analytics.cohorts.untreated import untreated

__all__ = ["Cohort", "eligible_checkups", "prediabetes", "untreated"]
