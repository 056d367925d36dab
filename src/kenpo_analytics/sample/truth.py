"""What is true in this world? Machine-readable truths, from the generating parameters and the simulated states alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.state import World


def describe(world: World, tables: dict[str, pl.DataFrame], ids: pl.DataFrame, cases: dict[str, Any]) -> dict[str, Any]:
    """Which truths stand beside the data?"""
    return {"parameters": asdict(world.truth), "rows": {n: t.height for n, t in tables.items()}}
