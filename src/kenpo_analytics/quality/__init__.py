"""May these data be trusted? What is loaded, and which columns, months, institutions and files look wrong."""

from kenpo_analytics.quality.detail import BY_DESIGN, DIMENSIONS, STATES
from kenpo_analytics.quality.findings import Quality, data_quality
from kenpo_analytics.quality.institutions import institution_outliers
from kenpo_analytics.quality.inventory import Overview, overview
from kenpo_analytics.quality.overdue import overdue_institutions, overdue_months
from kenpo_analytics.quality.units import unit_suspicion
from kenpo_analytics.quality.volume import monthly_volume

__all__ = [
    "BY_DESIGN",
    "DIMENSIONS",
    "STATES",
    "Overview",
    "Quality",
    "data_quality",
    "institution_outliers",
    "monthly_volume",
    "overdue_institutions",
    "overdue_months",
    "overview",
    "unit_suspicion",
]
