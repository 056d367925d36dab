"""A world with a known truth: how is it made? Month by month, then written as canonical tables beside its truths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.sample import branch_kpis, care, claims, edges, kpi, national, output, stretches
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.bodies import draw_traits
from kenpo_analytics.sample.identity import identify
from kenpo_analytics.sample.letters import Leaflets
from kenpo_analytics.sample.params import Variant, planted
from kenpo_analytics.sample.people import draw_people
from kenpo_analytics.sample.raw import write_raw
from kenpo_analytics.sample.screening import Screening
from kenpo_analytics.sample.state import World
from kenpo_analytics.sample.truth import describe

PERSONS = 50_000
SEED = 20260401


def build(
    out_dir: str | Path, *, seed: int = SEED, persons: int = PERSONS, variant: Variant = "full", raw: bool = True
) -> dict[str, Any]:
    """What does the synthetic branch look like? Writes a Parquet file per table, truth.json and raw/; gives the truths.

    Parameters
    ----------
    out_dir
        Folder for the files; made if absent.
    seed
        Every part draws from its own named child stream of it; same seed and versions, same values.
    persons
        Ever-members between April 2017 and October 2025 (at least 2,000, so that every planted case finds room).
    variant
        `full`; `no_letter_effect` (the leaflet does nothing); `no_pre_era` (no checkups before the letters).
    raw
        Also write raw/: the same world as the files that a branch receives; `truth["raw"]` says how each fares.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    made = make(seed=seed, persons=persons, variant=variant)
    truth = made.truth
    (folder / branch_kpis.FILE).write_bytes(branch_kpis.text(made.branches))
    for name, table in made.tables.items():
        table.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=9)
    if raw:
        truth = {**truth, "raw": write_raw(made.world, made.tables, made.wrong_unit, folder / "raw")}
    text = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return truth


def simulate(*, seed: int, persons: int, variant: Variant) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Which tables and truths has this world? Nothing is written."""
    made = make(seed=seed, persons=persons, variant=variant)
    return made.tables, made.truth


@dataclass
class Made:
    """A world that has lived: its states, its tables, its truths, and what only its files say (mmol/L, 47 branches)."""

    world: World
    tables: dict[str, pl.DataFrame]
    truth: dict[str, Any]
    wrong_unit: pl.DataFrame
    branches: pl.DataFrame


def make(*, seed: int, persons: int, variant: Variant) -> Made:
    """Lets a world live and tells it as tables."""
    if persons < 2000 or variant not in ("full", "no_letter_effect", "no_pre_era"):
        raise ValueError(
            "persons は 2,000 以上、variant は full / no_letter_effect / no_pre_era のいずれかにしてください。"
        )
    world, twins, april, heavy = _begin(seed, persons, variant)
    _live(world)
    claim_rows, fee_rows = claims.build_claims(world, heavy)
    checkup_table, ids, wrong = output.checkups(world)
    world.counts["glucose_in_mmol_l"] = wrong.height
    tables = {
        "members": output.members(world),
        "workplaces": output.workplaces(world),
        "checkups": checkup_table,
        "claims": output.claims(claim_rows, world),
        "claim_fees": output.claim_fees(fee_rows, world),
        "guidance": output.guidance(world),
        "mailings": output.mailings(world, ids),
        "national": national.build_national(world.truth, seed),
    }
    tables["kpi_monthly"] = kpi.kpi_monthly(tables)
    truth = describe(world, tables, ids, {"twins": twins, "april": april, "heavy": heavy})
    branches, truth["branch_kpis"] = branch_kpis.build(tables["kpi_monthly"], seed)
    return Made(world, tables, truth, wrong, branches)


def _begin(seed: int, persons: int, variant: Variant) -> tuple[World, np.ndarray, np.ndarray, int]:
    truth = planted(variant)
    people = draw_people(persons, seed)
    april = edges.plant_april_births(people, seed, max(12, persons // 800))
    twins = edges.plant_twins(people, seed, max(4, persons // 1500))
    places = stretches.draw_workplaces(persons, seed)
    rows, leave = stretches.draw_stretches(people, places, seed)
    heavy, rows = edges.choose_heavy(people, rows, seed)
    n = people.size
    on = stretches.monthly(rows, n, np.ones(rows.height, dtype=np.int64)) > 0
    voluntary = rows["kind"].to_numpy() == stretches.VOLUNTARY
    place = stretches.monthly(rows, n, np.where(voluntary, 0, rows["place"].to_numpy() + 1)) - 1
    town = stretches.monthly(rows, n, rows["residence"].to_numpy() + 3) - 3
    town = np.maximum(town, stretches.UNKNOWN)
    insured = stretches.monthly(rows, n, rows["insured"].to_numpy().astype(np.int64)) > 0
    shape = (n, k.MONTHS)
    world = World(
        seed,
        variant,
        truth,
        people,
        identify(people, rows, twins, seed),
        draw_traits(people, truth, seed),
        rows,
        places,
        leave,
        on,
        insured,
        place.astype(np.int16),
        town.astype(np.int16),
        np.zeros(shape, dtype=bool),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=bool),
        np.zeros(shape, dtype=np.uint8),
    )
    return world, twins, april, heavy


def _live(world: World) -> None:
    """Lets the months pass: letters first, then checkups, then who is followed after them."""
    care.background(world)
    screening, follow = Screening(world), care.Care(world)
    leaflets = Leaflets(world, screening)
    for month in range(k.START, k.SNAPSHOT + 1):
        if month % 12 == 3:
            screening.plan_year(month // 12)
        leaflets.send(month)
        batch = screening.run_month(month)
        if batch is not None:
            leaflets.see(batch, month)
            follow.follow(batch, month)
