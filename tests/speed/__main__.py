"""`python -m tests.speed [FOLDER] [--checkups N] [--claims N] [--repeats N]`: CPU seconds and ratios of the jobs.

Every way of every job runs in a process of its own; imports are not counted. All ways must give the same checksums.
The alternatives take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

JOBS = ("prediabetes", "untreated", "out_of_hours", "checkup_xml", "checkup_csv", "claims")
IMPORTS = {
    "ours": ("kenpo_analytics.cohorts", "kenpo_analytics.outcomes", "scipy.special"),
    "duckdb_sql": ("duckdb",),
    "pandas_idiomatic": ("pandas", "pyarrow.parquet"),
}
WAYS = (
    *("ours", "converted", "hand_polars", "pyarrow_csv", "elementtree", "csv_reader", "duckdb_sql"),
    *("pandas_idiomatic", "scan"),
)
"""A job is measured in those of these ways that its module has. A module may name the way that is its `HAND`-written
one, its own `IMPORTS`, and how to `build` what it reads into the folder."""


def _module(job: str) -> ModuleType:
    return importlib.import_module(f"tests.speed.job_{job}")


def measure(job: str, way: str, folder: str) -> None:
    """One job one way in this process; prints one JSON line."""
    module = _module(job)
    for name in ("polars", *getattr(module, "IMPORTS", IMPORTS).get(way, ())):
        importlib.import_module(name)
    before, started = _cpu(), time.perf_counter()
    checks = getattr(module, way)(folder)
    wall, cpu = time.perf_counter() - started, _cpu() - before
    print(json.dumps({"cpu": cpu, "wall": wall, "mb": _peak(), "checks": list(map(int, checks))}))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak() -> int:
    """Peak MB of this process; ru_maxrss also remembers the parent from before exec."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def compare(folder: str, repeats: int, jobs: list[str], ways: list[str]) -> None:
    """Print a table of medians and ratios; fail when two ways disagree."""
    print(f"{'job':14}{'way':18}{'CPU s':>8}{'wall s':>8}{'MB':>7}{'/ hand':>8}{'/ scan':>8}")
    for job in jobs:
        module = _module(job)
        hand = getattr(module, "HAND", "hand_polars")
        runs: dict[str, list[dict]] = {way: [] for way in ways if hasattr(module, way)}
        for _ in range(repeats):
            for way in runs:
                runs[way].append(_run(job, way, folder))
        sums = {way: tuple(found[0]["checks"]) for way, found in runs.items() if way != "scan"}
        if len(set(sums.values())) > 1:
            raise SystemExit(f"{job}: the ways disagree: {sums}")
        cpu = {way: statistics.median(run["cpu"] for run in found) for way, found in runs.items()}
        for way, found in runs.items():
            wall = statistics.median(run["wall"] for run in found)
            peak = max(run["mb"] for run in found)
            ratios = [cpu[way] / cpu[base] if base in cpu else float("nan") for base in (hand, "scan")]
            print(f"{job:14}{way:18}{cpu[way]:8.2f}{wall:8.2f}{peak:7d}{ratios[0]:8.2f}{ratios[1]:8.1f}", flush=True)


def _run(job: str, way: str, folder: str) -> dict:
    command = [sys.executable, "-m", "tests.speed", folder, "--job", job, "--way", way]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONWARNINGS": "ignore"}
    )
    if done.returncode:
        raise SystemExit(f"{job} {way} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Build the data when no folder is given, then compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--checkups", type=int, default=1_000_000)
    parser.add_argument("--claims", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=JOBS)
    parser.add_argument("--job")
    parser.add_argument("--way")
    given = parser.parse_args()
    if given.way:
        return measure(given.job, given.way, given.folder)
    folder = Path(given.folder) if given.folder else Path(tempfile.gettempdir()) / f"kenpo-speed-{given.checkups}"
    folder.mkdir(parents=True, exist_ok=True)
    builders = [getattr(_module(job), "build", None) for job in given.jobs]
    if None in builders and not (folder / "members.parquet").exists():
        from tests.speed.data import build

        build(folder, checkups=given.checkups, claims=given.claims)
    for own in filter(None, builders):
        own(folder)
    compare(str(folder), given.repeats, given.jobs, given.ways)


if __name__ == "__main__":
    main()
