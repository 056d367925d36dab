"""How does the world leave? The canonical tables with their columns and types, in fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample import edges
from kenpo_analytics.sample.identity import seal
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.screening import NAMES
from kenpo_analytics.sample.state import World
from kenpo_analytics.sample.stretches import OUTSIDE, UNKNOWN, VOLUNTARY

GLUCOSE = ("fpg", "casual_glucose", "hba1c")
PANEL = ("sbp", "dbp", "tg", "hdl", "ldl", "non_hdl", "ast", "alt", "ggt", "creatinine", "egfr")
BODY = ("height", "weight", "bmi", "waist")
FLOATS = (*GLUCOSE, *PANEL, *BODY)
BOOLS = ["medication_bp", "medication_glucose", "medication_lipid", "weight_gain_10kg", "weight_change_1y"]
STATUS = ("sent", "undelivered", "not_mailed")
REASONS = ("", "住所不備", "事業所の辞退")
MEMBER_COLUMNS = (
    "person_id", "valid_from", "valid_to", "sex", "birth_month", "fy_age_base", "relationship", "insured_kind",
    "branch", "municipality", "workplace_id", "link_rule",
)  # fmt: skip


def person_id(world: World, i: Any) -> pl.Series:
    """Which 63-bit ids have these people (by number)? Nearly all above 2**53, so that a float merges people."""
    return pl.Series("person_id", world.who.ids[np.asarray(i)], dtype=pl.Int64)


def pick(names: Any, codes: np.ndarray) -> pl.Series:
    """Which text belongs to each code? Empty text becomes null."""
    chosen = pl.Series(np.array(names)[codes], dtype=pl.String)
    return chosen.set(chosen == "", None)


def yyyymm(name: str) -> pl.Expr:
    """How is a month index column written as YYYYMM?"""
    return (pl.col(name) // 12 * 100 + pl.col(name) % 12 + 1).cast(pl.Int32)


def members(world: World) -> pl.DataFrame:
    """Which enrolment stretches are on file? Losses after the snapshot are not yet known."""
    table = stretch_rows(world).select(MEMBER_COLUMNS)
    fixed = [name for name in MEMBER_COLUMNS if name not in ("valid_from", "valid_to")]
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in fixed)
    goes_on = same & (pl.col("valid_from") == pl.col("valid_to").shift(1))
    # A move inside a town, or a new number at the same workplace, changes no attribute: one stretch.
    runs = table.with_columns(run=(~goes_on.fill_null(False)).cum_sum())
    merged = runs.group_by("run", maintain_order=True).agg(
        *[pl.col(name).last() if name == "valid_to" else pl.col(name).first() for name in MEMBER_COLUMNS]
    )
    return merged.drop("run")


def stretch_rows(world: World) -> pl.DataFrame:
    """Which rows does a list of members show? As the table, with `i`, and with every move a row of its own."""
    s = world.stretches.filter(pl.col("day") < d.SNAPSHOT_END)
    i, town, day = (s[name].to_numpy() for name in ("i", "residence", "day"))
    birth = world.people.birth[i]
    codes = [row["municipality"] for row in k.rows("municipalities.csv")]
    towns = np.array([*codes, "不明", "県外"])[
        np.where(town == OUTSIDE, len(codes) + 1, np.where(town == UNKNOWN, len(codes), town))
    ]
    insured = s["insured"].to_numpy()
    voluntary = s["kind"].to_numpy() == VOLUNTARY
    ids = [*world.workplaces["workplace_id"], ""]
    return s.select(
        "i",
        person_id(world, i),
        d.to_date(day).alias("valid_from"),
        pl.when(pl.col("end") < d.SNAPSHOT_END)
        .then(d.to_date(np.minimum(s["end"].to_numpy(), d.SNAPSHOT_END)))
        .alias("valid_to"),
        pl.Series("sex", np.where(world.people.male[i], "M", "F")),
        pl.Series("birth_month", d.yyyymm(d.month_index(birth)).astype(np.int32)),
        pl.Series("fy_age_base", d.fy_age_base(birth).astype(np.int32)),
        pl.Series("relationship", np.where(insured, "insured", "dependent")),
        pick(["", "一般", "任継"], np.where(voluntary, 2, np.where(insured, 1, 0))).alias("insured_kind"),
        pl.lit(k.BRANCH).alias("branch"),
        pl.Series("municipality", towns),
        pick(ids, np.where(voluntary, -1, s["place"].to_numpy())).alias("workplace_id"),
        world.who.at(i, day)["rule"].alias("link_rule"),
    ).sort("person_id", "valid_from")


def workplaces(world: World) -> pl.DataFrame:
    """Which workplaces are there, with the insured enrolled at the end of the snapshot month?"""
    now = world.stretches.filter(
        (pl.col("day") < d.SNAPSHOT_END) & (pl.col("end") >= d.SNAPSHOT_END) & pl.col("insured")
    )
    count = np.bincount(now.filter(pl.col("kind") != VOLUNTARY)["place"].to_numpy(), minlength=world.workplaces.height)
    return world.workplaces.select(
        "workplace_id",
        "industry",
        pl.Series("insured_count", count.astype(np.int32)),
        "declared_from",
        "declaration_standardised",
        "committee_member",
    )


def checkups(world: World) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Which checkup records were received by the snapshot?

    Gives the table, a map from internal to final record id, and the glucose that a clinic reported in mmol/L, which
    is in its files alone: nobody may guess the unit, so the table holds no value there.
    """
    names = world.checkups[0].keys()
    table = pl.DataFrame({name: np.concatenate([batch[name] for batch in world.checkups]) for name in names})
    table = edges.extra_checkups(table.sort("i", "when", "rec"), world)
    table = table.filter((pl.col("received") <= k.SNAPSHOT) & (pl.col("when") < d.SNAPSHOT_END))
    if world.variant == "no_pre_era":
        table = table.filter(pl.col("month") >= 2018 * 12 + 3)
    table = table.with_columns(
        person_id(world, table["i"]),
        d.to_date(table["when"].to_numpy()).alias("checkup_date"),
        pl.Series("institution", [f"24110000{site + 1:02d}" for site in table["site"]]),
    )
    table = table.with_columns(_record_id(table)).sort("person_id", "checkup_date", "record_id")
    ids = table.filter(pl.col("rec") >= 0).select("rec", "record_id")
    wrong = table.filter(pl.col("wrong_unit"), pl.col("fpg").is_not_nan()).select("record_id", "fpg")
    booleans = [pl.when(pl.col(name) >= 0).then(pl.col(name) == 1).alias(name) for name in BOOLS]
    result = table.with_columns(fpg=pl.when("wrong_unit").then(None).otherwise("fpg")).select(
        "record_id",
        "person_id",
        "checkup_date",
        yyyymm("received").alias("received_month"),
        "institution",
        pick(NAMES, table["kind"].to_numpy()).alias("kind"),
        pick(["fasting", "", "casual", "post_meal"], table["fasting"].to_numpy()).alias("fasting"),
        *[pl.col(name).cast(pl.Float64).fill_nan(None) for name in FLOATS],
        *[column for column in booleans if column.meta.output_name().startswith("medication")],
        pick(["no", "yes", "past", ""], table["smoking"].to_numpy()).alias("smoking"),
        *[column for column in booleans if column.meta.output_name().startswith("weight")],
    )
    return result, ids, wrong


def _record_id(table: pl.DataFrame) -> pl.Series:
    days = table["checkup_date"].dt.to_string("%Y-%m-%d")
    parts = zip(table["person_id"], days, table["institution"], strict=True)
    return pl.Series("record_id", [seal(f"checkup|{who}|{day}|{site}") for who, day, site in parts], dtype=pl.Int64)


def institution(score_table: pl.Expr) -> pl.Expr:
    """Which 10 digits name a provider? Prefecture, fee schedule (点数表: 1 medical, 3 dental, 4 pharmacy), 7 digits."""
    digits = pl.col("institution").cast(pl.String).str.zfill(7)
    return pl.concat_str(pl.lit(k.BRANCH), score_table, digits).alias("institution")


def claims(table: pl.DataFrame, world: World) -> pl.DataFrame:
    """How do claims look on file?"""
    flags = [name for name in table.columns if name.startswith(("dx_", "rx_"))]
    return table.select(
        "claim_id",
        person_id(world, table["i"]),
        yyyymm("month").alias("treatment_month"),
        yyyymm("received").alias("received_month"),
        "status",
        "kind",
        institution(pl.when(pl.col("kind") == "歯科").then(3).when(pl.col("kind") == "調剤").then(4).otherwise(1)),
        "points",
        "days",
        *[pl.col(name) for name in sorted(flags)],
    ).sort("person_id", "treatment_month", "claim_id")


def claim_fees(table: pl.DataFrame, world: World) -> pl.DataFrame:
    """How do the fee lines look on file?"""
    return table.select(
        "claim_id",
        person_id(world, table["i"]),
        institution(pl.lit(1)),
        yyyymm("month").alias("treatment_month"),
        yyyymm("received").alias("received_month"),
        "status",
        "code",
        pl.col("day").cast(pl.Int32),
        pl.lit(1, dtype=pl.Int32).alias("count"),
    ).sort("person_id", "treatment_month", "claim_id", "day", "code")


def mailings(world: World, ids: pl.DataFrame) -> pl.DataFrame:
    """Which letters were planned by the snapshot, and what became of them?"""
    parts = []
    for batch in world.mailings:
        at, sent = batch["status"], batch["status"] == 0
        dates = d.to_date(batch["sent"])
        undelivered = np.where(at == 1, 3, batch["reason"])
        parts.append(
            pl.DataFrame(
                {
                    "person_id": person_id(world, batch["i"]),
                    "programme": pl.Series([batch["programme"]] * len(at), dtype=pl.String),
                    "planned_date": d.to_date(batch["planned"]),
                    "sent_date": dates.set(pl.Series(~(sent | (at == 1))), None),
                    "status": pick(STATUS, at),
                    "reason": pick([*REASONS, "宛所不明"], undelivered),
                    "rule": pl.Series([batch["rule"]] * len(at), dtype=pl.String),
                    "leaflet": pl.Series(batch["leaflet"], dtype=pl.String),
                    "rec": pl.Series(batch["rec"], dtype=pl.Int64),
                }
            )
        )
    table = pl.concat(parts).filter(pl.col("planned_date") < d.to_date(np.array([d.SNAPSHOT_END]))[0])
    table = table.join(ids, on="rec", how="left").drop("rec")
    return table.sort("person_id", "planned_date", "programme")


def guidance(world: World) -> pl.DataFrame:
    """Who was offered 特定保健指導 and came? By waist, BMI, risks and drugs; no effect is planted."""
    rng = stream(world.seed, "guidance")
    parts = []
    for batch in world.checkups:
        fy = int(d.fiscal_year(batch["month"][:1])[0])
        i, male = batch["i"], world.people.male[batch["i"]]
        risks = ((batch["sbp"] >= 130) | (batch["dbp"] >= 85)) * 1 + ((batch["tg"] >= 150) | (batch["hdl"] < 40)) * 1
        risks = risks + ((batch["fpg"] >= 100) | (batch["hba1c"] >= 5.6)) * 1
        risks = risks + ((risks >= 1) & (batch["smoking"] == 1)) * 1
        wide = batch["waist"] >= np.where(male, 85, 90)
        heavy = ~wide & (batch["bmi"] >= 25)
        drugs = (batch["medication_bp"] == 1) | (batch["medication_glucose"] == 1) | (batch["medication_lipid"] == 1)
        age = fy - world.people.fy_age_base[i]
        chosen = (wide | heavy) & (risks >= 1) & ~drugs & (age >= 40) & (age <= 74) & (rng.random(len(i)) < 0.22)
        active = np.where(wide, risks >= 2, risks >= 3) & (age < 65)
        first = batch["when"] + rng.integers(0, 90, len(i))
        done = rng.random(len(i)) < 0.75
        at = np.flatnonzero(chosen)
        finished = first[at] + 95 + rng.integers(0, 60, len(at))
        parts.append(
            pl.DataFrame(
                {
                    "person_id": person_id(world, i[at]),
                    "fiscal_year": np.full(len(at), fy, dtype=np.int32),
                    "level": pick(["動機付け支援", "積極的支援"], active[at].astype(int)),
                    "first_interview": d.to_date(first[at]),
                    "completed": d.to_date(finished).set(pl.Series(~done[at] | (finished >= d.SNAPSHOT_END)), None),
                }
            )
        )
    end = d.to_date(np.array([d.SNAPSHOT_END]))[0]
    table = pl.concat(parts).filter(pl.col("first_interview") < end)
    return table.unique(["person_id", "fiscal_year"], keep="first", maintain_order=True).sort(
        "person_id", "fiscal_year"
    )
