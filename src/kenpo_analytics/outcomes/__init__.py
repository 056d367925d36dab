"""What happened next? Next checkup, first visit within 10 months, out-of-hours visits (時間外受診)."""

from kenpo_analytics.outcomes.first_visit import first_visit
from kenpo_analytics.outcomes.incidence import VisitIncidence, visit_incidence
from kenpo_analytics.outcomes.lag import mature_month
from kenpo_analytics.outcomes.next_checkup import next_checkup
from kenpo_analytics.outcomes.out_of_hours import out_of_hours

__all__ = ["VisitIncidence", "first_visit", "mature_month", "next_checkup", "out_of_hours", "visit_incidence"]
