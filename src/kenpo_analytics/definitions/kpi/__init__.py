"""Which figures does the branch plan count? The KPI registry, targets and published values, as data with sources."""

from kenpo_analytics.definitions.kpi.demands import Target, read_targets, targets
from kenpo_analytics.definitions.kpi.registry import (
    GROUPS,
    KINDS,
    NATION,
    Kpi,
    Version,
    contents,
    in_year,
    kpi,
    kpis,
    printed,
    timings,
    version_at,
    versions,
)
from kenpo_analytics.definitions.kpi.totals import why_impossible

__all__ = [
    "GROUPS",
    "KINDS",
    "NATION",
    "Kpi",
    "Target",
    "Version",
    "contents",
    "in_year",
    "kpi",
    "kpis",
    "printed",
    "read_targets",
    "targets",
    "timings",
    "version_at",
    "versions",
    "why_impossible",
]
