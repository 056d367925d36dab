"""What is in the tables? Everything staged, resolved to people, without duplicates, written as canonical tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kenpo_analytics.ingest.identity import Key


@dataclass(frozen=True)
class Summary:
    """What a build made: rows by table, the `sources` and `quarantine` tables, people, and stretches cut short."""

    rows: dict[str, int]
    sources: pl.DataFrame
    quarantine: pl.DataFrame
    persons: int
    clipped: int


def build(data: Path, key: Key) -> Summary:
    """Which canonical tables do the staged deliveries make? Written to `data`; call it inside `staging.open`."""
    raise NotImplementedError
