from kenpo_analytics.cohorts.eligible import eligible_checkups
from kenpo_analytics.cohorts.flow import Cohort
from kenpo_analytics.cohorts.prediabetes import prediabetes
