"""Which claims arrive, and when? Person x institution x month x kind, with lag, returns and visits after loss."""

from __future__ import annotations

import numpy as np
import polars as pl

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample import emergency
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.state import World, column

KEY = ["i", "month", "institution"]
FLAGS = ["dx_bp", "dx_glucose", "dx_lipid", "rx_bp", "rx_glucose", "rx_lipid"]
INPATIENT, OUTPATIENT, DENTAL, DISPENSING = "入院", "入院外", "歯科", "調剤"


def clinic(world: World, person: np.ndarray, month: np.ndarray, offset: np.ndarray | int = 0) -> np.ndarray:
    """Which clinic does a person go to? One of eight in the town of residence, the same one month after month."""
    town = world.town[person, month - k.START].astype(np.int64)
    return (town + 2) * 8 + (person * 7 + offset) % 8


def emergency_room(world: World, person: np.ndarray, month: np.ndarray) -> np.ndarray:
    """Which emergency clinic serves the town? One for about four towns."""
    town = world.town[person, month - k.START].astype(np.int64)
    return 900 + (town + 2) // 4


def build_claims(world: World, heavy: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which claims and out-of-hours fee lines are in the snapshot? Both with internal person numbers."""
    rng = stream(world.seed, "claims")
    events = _events(world, heavy)
    plain = _visits(world, rng)
    extra = events.select(KEY).unique(maintain_order=True).join(plain.select(KEY), on=KEY, how="anti")
    outpatient = pl.concat([plain, extra.with_columns(pl.lit(False).alias(f) for f in FLAGS)])
    outpatient = outpatient.with_columns(kind=pl.lit(OUTPATIENT)).sort(KEY)
    after = _after_loss(world, rng)
    claims = pl.concat([outpatient, _inpatient(world, rng), _thinned(world, rng), after], how="diagonal")
    claims = claims.sort(*KEY, "kind")
    claims = _arrive(claims, world, rng)
    # Every third visit after loss was outside opening hours too; its claim is already there.
    late = (
        after.select(KEY)
        .gather_every(3)
        .with_columns(visit=pl.lit("first"), evening=pl.lit(False), heavy=pl.lit(False), day=pl.lit(9, pl.Int64))
    )
    events = pl.concat([events, late.select(events.columns)])
    lines = emergency.fee_lines(events.with_columns(event=pl.int_range(pl.len())), world)
    keyed = lines.join(events.with_columns(event=pl.int_range(pl.len())).select("event", *KEY), on="event")
    received = claims.filter(pl.col("kind") == OUTPATIENT).select("claim_id", *KEY, "received", "status")
    fees = keyed.drop("event").join(received, on=KEY).unique(["claim_id", "code", "day"], maintain_order=True)
    return claims, fees


def _events(world: World, heavy: int) -> pl.DataFrame:
    """Out-of-hours and evening visits with their institution; the heavy visitor gets exactly 60 in FY2024."""
    events = emergency.draw_events(world)
    fy2024 = pl.col("month").is_between(2024 * 12 + 3, 2025 * 12 + 2)
    events = events.filter(~((pl.col("i") == heavy) & fy2024))
    months = np.repeat(2024 * 12 + 3 + np.arange(12), 5)
    sixty = pl.DataFrame(
        {
            "i": np.full(60, heavy),
            "month": months,
            "visit": ["first" if n % 5 == 0 else "return" for n in range(60)],
            "evening": [False] * 60,
            "heavy": [True] * 60,
            "day": np.tile([2, 8, 14, 20, 26], 12),
        }
    )
    events = pl.concat([events, sixty.select(events.columns)])
    person, month = events["i"].to_numpy(), events["month"].to_numpy()
    room = np.where(events["evening"].to_numpy(), clinic(world, person, month), emergency_room(world, person, month))
    events = events.with_columns(institution=pl.Series(room))
    return events.unique(["i", "month", "institution", "day"], keep="first", maintain_order=True).sort(*KEY, "day")


def _visits(world: World, rng: np.random.Generator) -> pl.DataFrame:
    first = column(k.CLAIMS_START)
    person, j = np.nonzero(world.visit[:, first:])
    month = j + k.CLAIMS_START
    start = world.traits.start[person] <= month[:, None]
    planted = world.planted[person, j + first] > 0
    disease = world.disease[person, j + first]
    mask = (world.domains[person, j + first][:, None] & np.array([1, 2, 4])) > 0
    chance = rng.random((len(person), 3)) < np.array([0.012, 0.02, 0.015])
    dx = start | np.where(planted[:, None], disease[:, None] & mask, chance)
    flags = dict(zip(FLAGS, np.concatenate([dx, start], axis=1).T, strict=True))
    frame = pl.DataFrame({"i": person, "month": month, "institution": clinic(world, person, month), **flags})
    again = rng.random(len(person)) < 0.08
    other = pl.DataFrame(
        {"i": person[again], "month": month[again], "institution": clinic(world, person, month, 3)[again]}
    )
    return pl.concat([frame, other.with_columns(pl.lit(False).alias(f) for f in FLAGS)])


def _cells(world: World, chance: np.ndarray | float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first = column(k.CLAIMS_START)
    shape = (world.size, k.MONTHS - first)
    hit = (rng.random(shape, dtype=np.float32) < np.broadcast_to(chance, shape)) & world.enrolled[:, first:]
    person, j = np.nonzero(hit)
    return person, j + k.CLAIMS_START


def _inpatient(world: World, rng: np.random.Generator) -> pl.DataFrame:
    age = 2023 - world.people.fy_age_base
    chance = np.where(age >= 60, 2.0, np.where(age < 6, 1.2, 0.7)) * world.truth.inpatient_hazard
    person, month = _cells(world, chance[:, None], rng)
    frame = pl.DataFrame({"i": person, "month": month, "institution": 950 + emergency_room(world, person, month) - 900})
    return frame.with_columns(pl.lit(False).alias(f) for f in FLAGS).with_columns(kind=pl.lit(INPATIENT))


def _thinned(world: World, rng: np.random.Generator) -> pl.DataFrame:
    """Dental and dispensing claims, of which only a stated share is kept to save space; no diagnosis flags there."""
    truth = world.truth
    person, month = _cells(world, 0.09 * truth.dental_kept, rng)
    town = world.town[person, month - k.START].astype(np.int64)
    dental = pl.DataFrame({"i": person, "month": month, "institution": 700 + town + 2}).with_columns(
        kind=pl.lit(DENTAL)
    )
    first = column(k.CLAIMS_START)
    person, j = np.nonzero(world.visit[:, first:])
    kept = rng.random(len(person)) < 0.6 * truth.dispensing_kept
    person, month = person[kept], j[kept] + k.CLAIMS_START
    drugs = (world.traits.start[person] <= month[:, None]).T
    town = world.town[person, month - k.START].astype(np.int64)
    frame = pl.DataFrame(
        {"i": person, "month": month, "institution": 600 + town + 2, **dict(zip(FLAGS[3:], drugs, strict=True))}
    )
    return pl.concat([dental, frame.with_columns(kind=pl.lit(DISPENSING))], how="diagonal")


def _after_loss(world: World, rng: np.random.Generator) -> pl.DataFrame:
    """Visits in the month after the loss of eligibility (資格喪失後受診)."""
    lost = d.month_index(world.leave - 1)
    chosen = (lost >= k.CLAIMS_START) & (lost < k.SNAPSHOT - 1) & (world.leave < d.anniversary(world.people.birth, 75))
    chosen &= rng.random(world.size) < world.truth.after_loss_share
    person = np.flatnonzero(chosen)
    frame = pl.DataFrame(
        {
            "i": person,
            "month": lost[person] + 1,
            "institution": 8 + person % 200,
            "status": ["after_loss"] * len(person),
        }
    )
    return frame.with_columns(pl.lit(False).alias(f) for f in FLAGS).with_columns(kind=pl.lit(OUTPATIENT))


def _arrive(claims: pl.DataFrame, world: World, rng: np.random.Generator) -> pl.DataFrame:
    """Months of receipt, points and days; a returned claim stays as a row and most come back as `reclaimed`."""
    truth, n = world.truth, claims.height
    lag = 1 + rng.choice(len(truth.lag_shares), n, p=truth.lag_shares)
    kind = claims["kind"].to_numpy()
    scale = np.select([kind == INPATIENT, kind == DISPENSING, kind == DENTAL], [10.4, 6.5, 6.9], 6.6)
    points = np.rint(np.exp(scale + 0.7 * rng.standard_normal(n))).astype(np.int32)
    spell = np.where(kind == INPATIENT, 1 + rng.poisson(9.0, n).clip(0, 29), 1 + rng.poisson(0.45, n))
    claims = claims.with_columns(
        received=pl.col("month") + pl.Series(lag),
        points=pl.Series(points),
        days=pl.Series(spell.astype(np.int32)),
        status=pl.coalesce("status", pl.lit("normal")),
    )
    back = (rng.random(n) < truth.returned_share) & (claims["status"] == "normal").to_numpy()
    again = back & (rng.random(n) < truth.reclaimed_share)
    delay = rng.integers(2, 6, n)
    copy = claims.with_columns(received=pl.col("received") + pl.Series(delay), status=pl.lit("reclaimed")).filter(
        pl.Series(again)
    )
    claims = claims.with_columns(status=pl.when(pl.Series(back)).then(pl.lit("returned")).otherwise("status"))
    claims = pl.concat([claims, copy]).filter(pl.col("received") <= k.SNAPSHOT)
    claims = claims.with_columns(person_id=pl.Series(world.who.ids).gather(claims["i"]))
    claims = claims.sort("person_id", "month", "kind", "institution", "received", "status")
    return claims.with_columns(claim_id=k.CLAIM_BASE + pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
