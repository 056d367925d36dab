"""Is another run at work here? A lock file that names its holder, and is taken over when the holder is gone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kenpo_analytics.errors import RunError

LOCKED = 75
ELSEWHERE_HOURS = 12
"""A lock of another machine cannot be examined; it counts as held for this long."""


def start_of(pid: int) -> str | None:
    """When did this process start? Tells a process from a later one with the same number; None if unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[19]
    except (OSError, IndexError):
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def alive(pid: int) -> bool:
    """Is there a process of this number?"""
    if os.name == "nt":  # os.kill(pid, 0) would end the process there
        import ctypes

        kernel32: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
        handle = kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel32.CloseHandle(handle)
        return code.value == 259
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def holder(run_id: str) -> dict[str, Any]:
    """How this process names itself in the lock."""
    pid = os.getpid()
    return {
        "pid": pid,
        "start": start_of(pid),
        "boot": _boot(),
        "machine": _machine(),
        "run": run_id,
        "since": time.strftime("%Y-%m-%d %H:%M"),
    }


def is_held(path: Path) -> bool:
    """Does the process that wrote this lock still run?"""
    try:
        age = time.time() - path.stat().st_mtime
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    try:
        found = json.loads(text)
        pid, machine = int(found["pid"]), found["machine"]
    except (ValueError, KeyError, TypeError):
        return age < 60  # just being written, or a crash while it was
    if machine != _machine():
        return age < ELSEWHERE_HOURS * 3600
    if found.get("boot") != _boot() or not alive(pid):
        return False
    return found.get("start") == start_of(pid)


@contextlib.contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """One process at a time looks at the lock: else two could take over the same stale one."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / ".lock.guard").open("a") as handle:
        with contextlib.suppress(OSError):  # some network shares know no such lock
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def lock(reports: Path, run_id: str) -> Iterator[None]:
    """Hold the reports folder alone.

    Raises
    ------
    RunError
        Exit code 75, if a living process holds it; it is named.
    """
    path = reports / ".lock"
    with _guarded(reports):
        if is_held(path):
            raise RunError(
                f"別の実行が進行中です({_who(path)})。",
                exit_code=LOCKED,
                hint="終わるのを待ってください。その実行がもう無いと確かなときは reports/.lock を消してください。",
            )
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8") as handle:
            json.dump(holder(run_id), handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _who(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"プロセス番号 {found['pid']}、開始 {found['since']}、実行 {found['run']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "相手は不明"
