"""Health-data analytics for Japanese health insurers (協会けんぽ): cohorts, follow-up, regional index, reports.

`import kenpo_analytics as ka` is light; what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kenpo_analytics.cohorts.eligible import eligible_checkups
    from kenpo_analytics.cohorts.flow import Cohort
    from kenpo_analytics.cohorts.prediabetes import prediabetes
    from kenpo_analytics.cohorts.untreated import untreated
    from kenpo_analytics.definitions import Definitions, define
    from kenpo_analytics.outcomes.first_visit import first_visit
    from kenpo_analytics.outcomes.incidence import VisitIncidence, visit_incidence
    from kenpo_analytics.outcomes.next_checkup import next_checkup

_HOMES = {
    "Cohort": "cohorts",
    "eligible_checkups": "cohorts",
    "prediabetes": "cohorts",
    "untreated": "cohorts",
    "first_visit": "outcomes",
    "next_checkup": "outcomes",
    "visit_incidence": "outcomes",
    "VisitIncidence": "outcomes",
    "Definitions": "definitions",
    "define": "definitions",
}
__all__ = [
    "Cohort",
    "Definitions",
    "VisitIncidence",
    "define",
    "eligible_checkups",
    "first_visit",
    "next_checkup",
    "prediabetes",
    "untreated",
    "visit_incidence",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
