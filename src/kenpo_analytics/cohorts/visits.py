"""Which claims show that a person saw a doctor?"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.months import index_of
from kenpo_analytics.tables import CLAIMS


def visits(claims: Any, used: Definitions, *columns: str) -> nw.LazyFrame:
    """Which claims show that a person saw a doctor? person_id, month index and the asked columns.

    Outpatient claims (医科入院外; definition `visit.kind`, 仮定), also inpatient ones when `visit.inpatient` is on.
    Returned claims (返戻) and those after loss of eligibility (資格喪失後受診) are not visits.
    """
    lazy = frames.enter(claims, CLAIMS, ("person_id", "treatment_month", "status", "kind"), optional=columns)
    kinds = [used.text("visit.kind"), *(["入院"] if used.flag("visit.inpatient") else [])]
    valid = nw.col("kind").is_in(kinds) & nw.col("status").is_in(["normal", "reclaimed"])
    return lazy.filter(valid).select("person_id", index_of(nw.col("treatment_month")).alias("visit"), *columns)
