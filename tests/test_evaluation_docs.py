"""docs/evaluation.md: every example runs as it stands on the sample data, every named function is there."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from kenpo_analytics.evaluation.protocol import read_protocol
from tests.notebook_page import Page

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.+?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_every_design_of_the_table_is_where_the_page_says() -> None:
    table = TEXT.split("| 設計 | 関数 |")[1].split("\n\n")[0]
    named = re.findall(r"`([a-z_]+)\.([a-z_]+)`", table)
    assert len(named) >= 14
    for module, function in named:
        assert callable(getattr(import_module(f"kenpo_analytics.evaluation.{module}"), function))


def test_the_plan_of_the_page_can_be_read(tmp_path: Path) -> None:
    (plan,) = [block for kind, block in BLOCKS if kind == "toml"]
    (tmp_path / "protocol.toml").write_text(plan, encoding="utf-8")
    assert read_protocol(tmp_path / "protocol.toml").primary == "did_ancova"


def test_the_examples_run_in_their_order_and_print_what_the_page_says(tmp_path: Path, monkeypatch) -> None:
    """From the analysis set to the draw by the command of the page, its refusal, and the rehearsal."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    python = [block for kind, block in BLOCKS if kind == "python"]
    (command,) = [block for _, block in BLOCKS if block.startswith("kenpo randomise")]
    names: dict = {}
    for block in python:
        out = io.StringIO()
        if "trial/2026-04" in block and not Path("trial").exists():
            words = shlex.split(command.replace("\\\n", " "))[1:]
            done = subprocess.run(
                [sys.executable, "-m", "kenpo_analytics.cli", *words], capture_output=True, text=True, timeout=120,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        with contextlib.redirect_stdout(out):
            exec(compile(block, "evaluation.md", "exec"), names)
        assert out.getvalue().splitlines() == re.findall(r"# → (.+)", block)
    (primary,) = Page("02_prediabetes_evaluation").table("主解析の推定")
    assert primary["推定(mg/dL)"].replace("−", "-") == names["show"](names["decision"].primary)[:5]  # 02 says the same
    assert names["told"]["digest"] in done.stdout and names["told"]["strata"] == ["sex", "age_group"]
    planted, found = names["evaluate"](names["practice"]), names["evaluate"](names["practice"], effect=-6.0)
    assert planted.lower < 0 < planted.upper and found.estimate == pytest.approx(planted.estimate - 6.0)
