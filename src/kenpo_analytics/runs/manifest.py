"""What would one need to run this month again? The manifest: written last, so that its presence means complete."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NAME = "manifest.json"
PACKAGES = (
    "kenpo-analytics",
    "great-tables",
    "ipykernel",
    "matplotlib",
    "narwhals",
    "nbclient",
    "nbconvert",
    "nbformat",
    "numpy",
    "pandas",
    "papermill",
    "polars",
    "pyarrow",
    "scipy",
    "seaborn",
    "statsmodels",
)


def sha256(path: Path) -> str:
    """The file's digest."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def data_files(data: Path) -> list[Path]:
    """The files of a data folder, hidden ones aside, in a fixed order."""
    found = (path for path in data.rglob("*") if path.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(data).parts))


def fingerprints(data: Path) -> dict[str, str]:
    """Which data went in? One digest per file, named relative to the data folder."""
    return {path.relative_to(data).as_posix(): sha256(path) for path in data_files(data)}


def state(data: Path) -> list[tuple[str, int, int]]:
    """A cheap trace of the data folder, to see whether it changed while the notebooks ran."""
    stats = ((path.relative_to(data).as_posix(), path.stat()) for path in data_files(data))
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def packages() -> dict[str, str]:
    """Which versions of the packages that make numbers and pages?"""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git(folder: Path) -> dict[str, Any] | None:
    """Which commit, and was anything changed since? None outside git or without the program."""

    def ask(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def now() -> str:
    """This moment with its offset from UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def surroundings(root: Path) -> dict[str, Any]:
    """On what did it run? Neither host names nor absolute paths."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "packages": packages(),
        "git": git(root),
    }


def write_text(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Put the manifest into a folder that is otherwise complete."""
    write_text(folder / NAME, json.dumps(manifest, ensure_ascii=False, indent=1, default=str) + "\n")


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a published folder, or None if there is none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "month" in found else None


def read_all(reports: Path) -> list[dict[str, Any]]:
    """The manifests of all published months, the latest month first."""
    folders: Iterable[Path] = reports.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]")
    found = [read(folder) for folder in sorted(folders, reverse=True)]
    return [manifest for manifest in found if manifest is not None]
