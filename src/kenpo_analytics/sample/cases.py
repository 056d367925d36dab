"""How many of each rare case are in the data? Counted on the simulated states and the written rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.edges import HEAVY_TOWN
from kenpo_analytics.sample.screening import NAMES
from kenpo_analytics.sample.state import World
from kenpo_analytics.sample.stretches import GAP, JOB, MOVE, VOLUNTARY, WORK

OUTPATIENT = "入院外"


def count_cases(world: World, tables: dict[str, pl.DataFrame], cases: dict[str, Any]) -> dict[str, Any]:
    """Which planted case has how many people or rows? Person ids are text, since they exceed 2**53."""
    return {
        **world.counts,
        **_membership(world, cases),
        **_records(tables["checkups"], tables["members"]),
        **_claims(tables["claims"], tables["claim_fees"]),
        **_follow_up(world, tables["claims"]),
        **_letters(tables["mailings"], tables["checkups"]),
        "heavy_visitor": {
            "person_id": str(world.who.ids[cases["heavy"]]),
            "fiscal_year": 2024,
            "visits": 60,
            "first": 12,
            "return": 48,
            "municipality": HEAVY_TOWN,
        },
        "namesake_pairs": [[str(world.who.ids[i]) for i in pair] for pair in world.who.namesakes],
        "twin_pairs": [[str(world.who.ids[i]) for i in pair] for pair in cases["twins"]],
    }


def _membership(world: World, cases: dict[str, Any]) -> dict[str, int]:
    s = world.stretches.filter(pl.col("day") < d.SNAPSHOT_END)
    before = s.with_columns(prev=pl.col("end").shift(1).over("i"))
    people = world.people
    begun = people.entry < d.SNAPSHOT_END
    turned = (world.leave == d.anniversary(people.birth, 75)) & (world.leave < d.SNAPSHOT_END)
    april = people.birth == d.month_start(d.month_index(people.birth) // 12 * 12 + 3)

    def persons(kind: int, gap: bool | None = None) -> int:
        rows = before.filter(pl.col("kind") == kind)
        if gap is not None:
            rows = rows.filter((pl.col("prev") < pl.col("day")) == gap)
        return rows["i"].n_unique()

    return {
        "twins_without_branch_number": int(cases["twins"].size),
        "born_on_1_april": int((april & begun).sum()),
        "seventy_fifth_birthdays": int(turned.sum()),
        "leavers": int((world.leave < d.SNAPSHOT_END).sum()),
        "job_changes_adjoining": persons(JOB, False),
        "gaps": persons(GAP, True),
        "moves": persons(MOVE),
        "voluntary_continuation": persons(VOLUNTARY),
        "children_who_start_work": persons(WORK),
    }


def _records(checkups: pl.DataFrame, members: pl.DataFrame) -> dict[str, int]:
    c = checkups
    month = pl.col("checkup_date").dt.year() * 12 + pl.col("checkup_date").dt.month() - 1
    c = c.with_columns(fy=(month - 3) // 12)
    inside = c.select("record_id", "person_id", "checkup_date").join(members, on="person_id")
    inside = inside.filter(
        (pl.col("checkup_date") >= pl.col("valid_from"))
        & (pl.col("valid_to").is_null() | (pl.col("checkup_date") < pl.col("valid_to")))
    )
    casual = pl.col("fasting").is_in(["casual", "post_meal"])
    return {
        "checkups_outside_enrolment": c.height - inside["record_id"].n_unique(),
        "several_checkups_in_a_year": c.group_by("person_id", "fy").len().filter(pl.col("len") > 1).height,
        "hba1c_not_measured": c["hba1c"].null_count(),
        "fasting_class_missing": c["fasting"].null_count(),
        "casual": c.filter(pl.col("fasting") == "casual").height,
        "post_meal": c.filter(pl.col("fasting") == "post_meal").height,
        "not_fasting_but_fpg_filled": c.filter(casual & pl.col("fpg").is_not_null()).height,
        "medication_answers_missing": c["medication_glucose"].null_count(),
        **{f"kind_{name}": c.filter(pl.col("kind") == name).height for name in NAMES},
    }


def _claims(claims: pl.DataFrame, fees: pl.DataFrame) -> dict[str, int]:
    status = {name: claims.filter(pl.col("status") == name).height for name in ("returned", "reclaimed", "after_loss")}
    lines = {f"fee_lines_{name}": fees.filter(pl.col("status") == name).height for name in ("returned", "after_loss")}
    return {**{f"claims_{name}": count for name, count in status.items()}, **lines}


def _follow_up(world: World, claims: pl.DataFrame) -> dict[str, int]:
    """Among people followed since FY2021: contacts only in month 0, and only as in-patients."""
    merged = {name: np.concatenate([part[name] for part in world.followed]) for name in ("i", "month", "other_drug")}
    frame = pl.DataFrame(merged).filter(pl.col("month") >= k.CLAIMS_START, ~pl.col("other_drug")).drop("other_drug")
    frame = frame.with_columns(person_id=pl.Series(world.who.ids).gather(frame["i"]), n=pl.int_range(pl.len()))
    seen = claims.filter(pl.col("status") != "returned").select(
        "person_id", "kind", visited=pl.col("treatment_month") // 100 * 12 + pl.col("treatment_month") % 100 - 1
    )
    after = frame.join(seen, on="person_id").with_columns(gap=pl.col("visited") - pl.col("month"))
    after = after.filter(pl.col("gap").is_between(0, 10))
    per = after.group_by("n").agg(
        first_out=pl.col("gap").filter(pl.col("kind") == OUTPATIENT).min(),
        last_out=pl.col("gap").filter(pl.col("kind") == OUTPATIENT).max(),
        inpatient=(pl.col("kind") == "入院").any(),
    )
    return {
        "people_followed_since_2021": frame.height,
        "month_0_only_visits": per.filter(pl.col("last_out") == 0).height,
        "inpatient_only_contact": per.filter(pl.col("first_out").is_null() & pl.col("inpatient")).height,
    }


def _letters(mailings: pl.DataFrame, checkups: pl.DataFrame) -> dict[str, int]:
    leaflet = mailings.filter(pl.col("programme") == "prediabetes_leaflet")
    sent = leaflet.filter(pl.col("status") == "sent")
    index = checkups.select("record_id", index_date="checkup_date")
    later = checkups.select("person_id", later="checkup_date")
    after = sent.join(index, on="record_id").join(later, on="person_id")
    after = after.filter(
        (pl.col("later") > pl.col("index_date") + pl.duration(days=90)) & (pl.col("later") <= pl.col("sent_date"))
    )
    repeat = sent.group_by("person_id").len().filter(pl.col("len") > 1).height
    return {
        "leaflets_sent": sent.height,
        "leaflets_undelivered": leaflet.filter(pl.col("status") == "undelivered").height,
        "leaflets_not_mailed": leaflet.filter(pl.col("status") == "not_mailed").height,
        "leaflets_after_the_outcome": after.unique(["person_id", "planned_date"]).height,
        "people_with_repeat_leaflets": repeat,
        "untreated_letters": mailings.filter(pl.col("programme") == "untreated_first").height,
    }
