"""A world with a known truth: how is it made? Month by month, then written as canonical tables beside its truths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.sample import care, claims, edges, national, output, stretches
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.bodies import draw_traits
from kenpo_analytics.sample.letters import Leaflets
from kenpo_analytics.sample.params import Variant, planted
from kenpo_analytics.sample.people import draw_people
from kenpo_analytics.sample.screening import Screening
from kenpo_analytics.sample.state import World
from kenpo_analytics.sample.truth import describe

PERSONS = 50_000
SEED = 20260401


def build(
    out_dir: str | Path, *, seed: int = SEED, persons: int = PERSONS, variant: Variant = "full"
) -> dict[str, Any]:
    """What does the synthetic branch look like? Writes a Parquet file per table and truth.json; gives the truths.

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
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    tables, truth = simulate(seed=seed, persons=persons, variant=variant)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=9)
    text = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    return truth


def simulate(*, seed: int, persons: int, variant: Variant) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Which tables and truths has this world? Nothing is written."""
    if persons < 2000 or variant not in ("full", "no_letter_effect", "no_pre_era"):
        raise ValueError(
            "persons は 2,000 以上、variant は full / no_letter_effect / no_pre_era のいずれかにしてください。"
        )
    world, twins, april, heavy = _begin(seed, persons, variant)
    _live(world)
    claim_rows, fee_rows = claims.build_claims(world, heavy)
    checkup_table, ids = output.checkups(world)
    tables = {
        "members": output.members(world, twins),
        "workplaces": output.workplaces(world),
        "checkups": checkup_table,
        "claims": output.claims(claim_rows),
        "claim_fees": output.claim_fees(fee_rows),
        "guidance": output.guidance(world),
        "mailings": output.mailings(world, ids),
        "national": national.build_national(world.truth, seed),
    }
    return tables, describe(world, tables, ids, {"twins": twins, "april": april, "heavy": heavy})


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
