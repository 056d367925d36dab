"""A world with a known truth: the synthetic branch. Imports nothing from the rest of the library."""

from __future__ import annotations

from kenpo_analytics.sample.world import PERSONS, SEED, build

__all__ = ["PERSONS", "SEED", "build"]
