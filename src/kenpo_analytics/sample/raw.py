"""How does the world reach a branch? The same people as raw files: ingesting them gives exactly the tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.sample import raw_checkups, raw_lists, raw_xml
from kenpo_analytics.sample.archive import write
from kenpo_analytics.sample.identity import SECRET
from kenpo_analytics.sample.raw_extracts import extracts
from kenpo_analytics.sample.raw_forms import forms
from kenpo_analytics.sample.state import World


def write_raw(world: World, tables: dict[str, pl.DataFrame], wrong: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Writes every delivery and gives, by file, how many records are read, accepted, quarantined and duplicate."""
    if (folder / "SYNTHETIC").is_file():  # ours: no file of another world may stay
        shutil.rmtree(folder)
    write(folder / "SYNTHETIC", "合成データ: 実在の人の情報は含みません。\n".encode())
    write(folder / "sample.key", f"{SECRET.hex()}\n".encode())
    frame = raw_checkups.checkup_texts(world, tables["checkups"], wrong)
    ways = raw_checkups.routes(tables["checkups"])
    counts = raw_lists.members(world, folder)
    counts |= raw_lists.lists(world, tables, folder)
    counts |= raw_checkups.bulk(world, frame.filter(~pl.any_horizontal(*ways.values())), folder)
    counts |= raw_xml.archives(frame.filter(ways["xml"]), folder)
    counts |= forms(frame, {name: ways[name] for name in ("fkac522", "fkac167", "cc2x")}, folder)
    counts |= extracts(world, tables, folder)
    return {name: counts[name] for name in sorted(counts)}
