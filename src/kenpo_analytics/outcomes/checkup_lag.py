"""How late do checkups arrive, and up to which month are they complete?"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.months import month_of
from kenpo_analytics.outcomes.lag import Maturity, mature_month
from kenpo_analytics.tables import CHECKUPS


def mature_checkup_month(checkups: Any, *, definitions: Definitions | None = None, through: int | str) -> Maturity:
    """Up to which month of examination are checkups complete, as known through a month?

    Checkups arrive late too, those from employers most: before this month has passed, someone not seen again may still
    turn up. As `mature_month`, from checkup_date and received_month of all kinds together (whatever kind comes next
    counts); `claims` of the answer are checkups here.

    Raises
    ------
    EstimateError
        Too little data to tell, see `run_out`.
    """
    used = definitions or define()
    rows = frames.enter(checkups, CHECKUPS, ("checkup_date", "received_month"))
    as_claims = rows.select(
        month_of(nw.col("checkup_date")).alias("treatment_month"),
        "received_month",
        nw.lit("normal").alias("status"),
        nw.lit(used.text("visit.kind")).alias("kind"),
    )
    return mature_month(nw.to_native(as_claims), definitions=used, through=through)
