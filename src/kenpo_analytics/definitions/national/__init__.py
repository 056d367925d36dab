"""What do official figures say? Published national tables, and benchmarks made from them.

All of it is public: NDB counts cover all insurers (全保険者), not 協会けんぽ alone.
"""

from kenpo_analytics.definitions.national.benchmark import (
    MEASURES,
    Measure,
    branch_visit_benchmark,
    prefecture_benchmark,
)
from kenpo_analytics.definitions.national.exceedance import ndb_exceedance, tested_share
from kenpo_analytics.definitions.national.published import (
    CREDIT,
    POPULATION,
    jhia_branch_visit,
    jhia_risk_holders,
    jhia_series,
    ndb_checkup_bins,
    plan_receivables,
)

__all__ = [
    "CREDIT",
    "MEASURES",
    "POPULATION",
    "Measure",
    "branch_visit_benchmark",
    "jhia_branch_visit",
    "jhia_risk_holders",
    "jhia_series",
    "ndb_checkup_bins",
    "ndb_exceedance",
    "plan_receivables",
    "prefecture_benchmark",
    "tested_share",
]
