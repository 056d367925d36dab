"""Is the month there, whole, or not at all? Publishing by rename, and repairing what a crash left behind.

Where symbolic links exist, `reports/YYYY-MM` is a link into `reports/.runs/`, and publishing replaces the link: one
atomic step. Elsewhere (Windows without the right, some network shares) two renames are needed; a journal written
before the first lets the next command finish them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from kenpo_analytics.runs import manifest
from kenpo_analytics.runs.kernels import home_of

RUNS, WORK, TRASH, FAILED, PREVIEW = ".runs", ".work", ".trash", ".failed", ".preview"
JOURNAL = ".journal.json"
KEEP_FAILED = 5


def sync(folder: Path) -> None:
    """Make sure that what was written is on the disk before a rename makes it visible."""
    if os.name != "posix":
        return
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.exists():
        shutil.rmtree(path, ignore_errors=True)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def publish(staged: Path, reports: Path, month: str, run_id: str, *, links: bool | None = None) -> None:
    """Make a complete, verified folder the month's report, at once or not at all.

    `links=False` (or `KENPO_LINKS=0`) does without symbolic links.
    """
    sync(staged)
    (reports / RUNS).mkdir(exist_ok=True)
    new = reports / RUNS / run_id
    staged.rename(new)
    target = reports / month
    if links is None:
        links = os.environ.get("KENPO_LINKS") != "0"
    plain = target.exists() and not target.is_symlink()
    if plain or not links or not _swap_link(reports, target, run_id):
        _swap_folder(reports, target, run_id)
    with contextlib.suppress(OSError):  # it is published; the next command can tidy up
        tidy(reports)


def _swap_link(reports: Path, target: Path, run_id: str) -> bool:
    link = reports / f".{target.name}.{run_id}.link"
    try:
        link.symlink_to(Path(RUNS) / run_id, target_is_directory=True)
    except (OSError, NotImplementedError):
        return False
    link.replace(target)
    return True


def _swap_folder(reports: Path, target: Path, run_id: str) -> None:
    journal, old = reports / JOURNAL, reports / TRASH / f"{target.name}-{run_id}"
    manifest.write_text(journal, json.dumps({"month": target.name, "run": run_id}))
    try:
        if _exists(target):
            old.parent.mkdir(exist_ok=True)
            target.rename(old)
        (reports / RUNS / run_id).rename(target)
    except OSError:  # a file held open on Windows, for one: back to what was
        if _exists(old) and not _exists(target):
            old.rename(target)
        journal.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):
        journal.unlink()


def recover(reports: Path) -> list[str]:
    """Repair what an interrupted command left behind; to be called while holding the lock.

    Returns what was done, in Japanese, for the log. A publication whose journal was written is finished, since what it
    publishes had been verified; everything before that is dropped.
    """
    done = _finish(reports)
    for folder in sorted((reports / WORK).glob("*")):
        remove(home_of(folder.name[8:]))
        remove(folder)
        done.append(f"途中で止まった実行 {folder.name} の作業フォルダを片付けました。")
    for link in reports.glob("[0-9]*-[0-9]*"):
        if link.is_symlink() and not link.exists():
            link.unlink()
            done.append(f"{link.name} の中身が失われていたため、入口を取り除きました。")
    tidy(reports)
    return done


def _finish(reports: Path) -> list[str]:
    journal = reports / JOURNAL
    if not journal.exists():
        return []
    try:
        found = json.loads(journal.read_text(encoding="utf-8"))
        month, run_id = found["month"], found["run"]
    except (OSError, ValueError, KeyError):
        journal.unlink(missing_ok=True)
        return []
    new, target, old = reports / RUNS / run_id, reports / month, reports / TRASH / f"{month}-{run_id}"
    if (new / manifest.NAME).exists():
        if _exists(target):
            (reports / TRASH).mkdir(exist_ok=True)
            target.rename(old)
        new.rename(target)
    journal.unlink(missing_ok=True)
    return [f"公開の途中で止まっていた {month} を最後まで公開しました。"]


def tidy(reports: Path) -> None:
    """Remove what nothing refers to: replaced runs, half-written files, the trash."""
    remove(reports / TRASH)
    for pattern in (".*.link", ".*.partial", ".probe-*"):
        for path in reports.glob(pattern):
            path.unlink(missing_ok=True)
    used = {p.resolve() for p in reports.glob("[0-9]*-[0-9]*") if p.is_symlink()}
    for run in (reports / RUNS).glob("*"):
        if run.resolve() not in used:
            remove(run)


def publish_preview(staged: Path, reports: Path, month: str) -> Path:
    """Put a preview where it is looked at, and nowhere near the published reports."""
    target = reports / PREVIEW / month
    target.parent.mkdir(exist_ok=True)
    remove(target)
    staged.rename(target)
    return target


def keep_failed(reports: Path, run_id: str, paths: list[Path], story: str) -> Path:
    """Keep the notebooks of a failed run for reading, with what happened; the last few runs only.

    They may show what was never checked: the folder is for its owner only.
    """
    folder = reports / FAILED / run_id
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    for path in paths:
        if path.exists():
            shutil.copy2(path, folder / path.name)
    manifest.write_text(folder / "failure.txt", story + "\n")
    for old in sorted((reports / FAILED).iterdir())[:-KEEP_FAILED]:
        remove(old)
    return folder
