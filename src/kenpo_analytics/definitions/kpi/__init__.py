"""Which figures does the branch plan count? The KPI registry, targets and published values, as data with sources."""

from kenpo_analytics.definitions.kpi.registry import (
    GROUPS,
    KINDS,
    NATION,
    Kpi,
    Target,
    Version,
    in_year,
    kpi,
    kpis,
    printed,
    targets,
    timings,
    version_at,
    versions,
)

__all__ = [
    "GROUPS",
    "KINDS",
    "NATION",
    "Kpi",
    "Target",
    "Version",
    "in_year",
    "kpi",
    "kpis",
    "printed",
    "targets",
    "timings",
    "version_at",
    "versions",
]
