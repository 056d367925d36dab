"""Is a second run kept out, and a dead one's lock taken over?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from kenpo_analytics.errors import RunError
from kenpo_analytics.runs import lock as locks


def leave(folder, **changes):
    """A lock as a process left it behind."""
    path = folder / ".lock"
    path.write_text(json.dumps(locks.holder("20251101-000000-abc") | changes), encoding="utf-8")
    return path


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_second_run_is_kept_out_and_told_by_whom(tmp_path):
    with locks.lock(tmp_path, "first"):
        with (
            pytest.raises(RunError, match=rf"プロセス番号 {os.getpid()}.*実行 first") as caught,
            locks.lock(tmp_path, "b"),
        ):
            pass
        assert caught.value.exit_code == 75
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_the_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locks.lock(tmp_path, "a"):
        raise ZeroDivisionError
    with locks.lock(tmp_path, "b"):
        assert json.loads((tmp_path / ".lock").read_text())["run"] == "b"


@pytest.mark.parametrize(
    "changes", [{"pid": None}, {"start": "1"}, {"boot": "another"}], ids=["dead", "pid reused", "rebooted"]
)
def test_a_stale_lock_is_taken_over(tmp_path, changes):
    if "pid" in changes:
        changes = {"pid": dead_pid()}
    leave(tmp_path, **changes)
    with locks.lock(tmp_path, "mine"):
        assert json.loads((tmp_path / ".lock").read_text())["run"] == "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="子プロセスの複製ができない環境です")
def test_of_many_that_take_over_a_stale_lock_one_gets_it(tmp_path):
    leave(tmp_path, pid=dead_pid())
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with locks.lock(tmp_path, str(number)):
                    time.sleep(1)
                    code = 0
            except RunError as error:
                code = error.exit_code
            finally:
                os._exit(code)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0] + [75] * 7


def test_a_lock_of_another_machine_counts_for_half_a_day(tmp_path):
    path = leave(tmp_path, machine="elsewhere", pid=1)
    assert locks.is_held(path)
    old = time.time() - 13 * 3600
    os.utime(path, (old, old))
    assert not locks.is_held(path)


def test_a_lock_being_written_counts_and_a_torn_one_does_not(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("{", encoding="utf-8")
    assert locks.is_held(path)
    os.utime(path, (1, 1))
    assert not locks.is_held(path)
