"""Is what lies beside the tables (kpi_published.csv, weights, plan, assignment) refused before anything starts?"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kenpo_analytics import cli
from kenpo_analytics.errors import KenpoError, RunError
from kenpo_analytics.runs import beside
from kenpo_analytics.runs.monthly import run
from kenpo_analytics.runs.plan import plan
from kenpo_analytics.store import Tables, load
from tests.runs_helpers import SHOW, World, make_world
from tests.test_definitions_targets import EVENTS, TARGETS, edited

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PLAN = (SAMPLE / "protocol.toml").read_text(encoding="utf-8")
HEAD = "kpi_id,version,month,area,value,numerator,denominator,source\n"
BAD_ROW = HEAD + "checkup_rate_insured,令和6年度,2025-03,99,58.4,,,資料\n"
BASIC = 'month: str = "2025-10"'
PLANNED = BASIC + '\nprotocol: str = ""\nassignment: str = ""'


def world_of(tmp_path: Path, parameters: str = PLANNED) -> World:
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", SHOW, parameters=parameters)
    return world


def refused(world: World, **changes) -> tuple[int, str]:
    """The exit code and text of a run that must not begin."""
    with pytest.raises(KenpoError) as caught:
        run(world.options(**changes), terminal=False)
    assert not world.reports.exists()
    return cli.exit_code(caught.value), str(caught.value)


def checked(world: World, monkeypatch, capsys) -> tuple[int, str]:
    """The exit code and what `kenpo check` prints."""
    monkeypatch.setattr(sys, "argv", ["kenpo", "check", str(world.data)])
    with pytest.raises(SystemExit) as left:
        cli.app()
    done = capsys.readouterr()
    return int(left.value.code or 0), done.out + done.err


def test_a_provider_file_with_errors_is_found_by_check_and_before_a_run(tmp_path, monkeypatch, capsys):
    world = world_of(tmp_path, BASIC)
    (world.data / "kpi_published.csv").write_text(BAD_ROW, encoding="utf-8")
    code, text = refused(world)
    assert (code, "2行目の area「99」" in text) == (65, True)
    code, text = checked(world, monkeypatch, capsys)
    assert (code, "誤り kpi_published.csv の2行目の area「99」" in text, "誤り 1 種類" in text) == (65, True, True)


def test_weights_that_do_not_add_up_are_found_by_check_and_before_a_run(tmp_path, monkeypatch, capsys):
    world = world_of(tmp_path, BASIC)
    (world.root / "kenpo.toml").write_text('[definitions]\n"incentive.checkup.level" = 90\n', encoding="utf-8")
    monkeypatch.chdir(world.root)
    code, text = refused(world)
    assert (code, "配分の合計が100%ではありません" in text, "kenpo.toml" in text) == (64, True, True)
    code, text = checked(world, monkeypatch, capsys)
    assert (code, text.count("配分の合計が100%ではありません"), "誤り 1 種類" in text) == (65, 1, True)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("declared_on = 2018-12-10", "", "次の項目がありません: declared_on"),
        ('primary = "did_ancova"', 'primary = "magic"', "主解析の設計の名前が違います"),
        ("bandwidth = 9", "bandwidth = ", "解析計画の書き方に誤りがあります"),
    ],
)
def test_a_plan_that_cannot_be_is_found_by_check_and_before_a_run(tmp_path, monkeypatch, capsys, old, new, told):
    world = world_of(tmp_path)
    assert old in PLAN
    (world.data / "protocol.toml").write_text(PLAN.replace(old, new), encoding="utf-8")
    code, text = refused(world)
    assert (code, told in text) == (65, True)
    code, text = checked(world, monkeypatch, capsys)
    assert (code, text.count(told)) == (65, 1)
    (world.data / "claims.parquet").unlink()
    assert told in checked(world, monkeypatch, capsys)[1]  # whatever else is wrong


def test_a_plan_of_years_without_letters_is_found_by_check_and_before_a_run(tmp_path, monkeypatch, capsys):
    world = World(tmp_path)
    world.data.mkdir()
    for file in SAMPLE.glob("*.parquet"):
        (world.data / file.name).symlink_to(file)
    world.notebook("02_x", SHOW, parameters=PLANNED)
    (world.data / "protocol.toml").write_text(PLAN.replace("[2018]", "[2081]"), encoding="utf-8")
    code, text = refused(world)
    assert (code, "解析計画の年度(2081年度)" in text) == (65, True)
    code, text = checked(world, monkeypatch, capsys)
    assert (code, "誤り 解析計画の年度(2081年度)" in text) == (65, True)
    (world.data / "plan_2.toml").write_text(PLAN, encoding="utf-8")
    tables, paths = load(world.data), list(world.notebooks.iterdir())
    beside.check(tables, plan(paths, month="2025-10", settings={"protocol": "plan_2.toml"}))  # the other one is used


YEARS = BASIC + '\nprotocol: str = ""\nprogramme_years: list[int] = []\nreference_year: int = 2017'
LAB = BASIC + '\nprogramme: str = "prediabetes_leaflet"'
LAB += "\nprogramme_years: list[int] = []\nbefore_years: list[int] = [2017]"
BEFORE = "事業前の年度として指定された"


@pytest.mark.parametrize(
    ("parameters", "given", "told"),
    [
        (YEARS, {"programme_years": [1990, 2018]}, "指定された1990年度は"),
        (YEARS, {"reference_year": 1990}, f"{BEFORE}1990年度の健診が、データにありません"),
        (
            YEARS,
            {"reference_year": 2030},
            f"{BEFORE}2030年度は、通知のある最初の年度(2018年度)より前",
        ),
        (LAB, {"before_years": [2018]}, f"{BEFORE}2018年度は、通知のある最初の年度(2018年度)より前"),
        (LAB, {"programme_years": [2018, 2024]}, "指定された2024年度の通知は、1つの基準で送られていません"),
        (LAB, {"programme": "x"}, "通知(mailings)に、事業「x」の記録がありません"),
    ],
)
@pytest.mark.parametrize("planned", [False, True])
def test_years_that_cannot_be_evaluated_are_told_before_a_run_with_and_without_a_plan(
    tmp_path, sample_tables, parameters, given, told, planned
):
    world = World(tmp_path)
    world.notebook("02_x", SHOW, parameters=parameters)
    tables = sample_tables
    if not planned:
        (tmp_path / "data").mkdir()
        tables = replace(sample_tables, folder=tmp_path / "data")
    paths = list(world.notebooks.iterdir())
    beside.check(tables, plan(paths, month="2025-10"))
    with pytest.raises(KenpoError) as caught:
        beside.check(tables, plan(paths, month="2025-10", settings=given))
    assert str(caught.value).startswith(told)


@pytest.fixture(scope="module")
def sample_tables() -> Tables:
    return load(SAMPLE)


def test_what_a_parameter_names_is_looked_for_before_a_run(tmp_path):
    world = world_of(tmp_path)
    code, text = refused(world, settings={"assignment": "drawn"})
    assert (code, "パラメータ assignment に指定された drawn が" in text) == (64, True)
    code, text = refused(world, settings={"01.protocol": "plan.toml"})
    assert (code, "パラメータ protocol に指定された plan.toml が" in text) == (64, True)
    (world.data / "drawn").mkdir()
    (world.data / "drawn" / "assignment.parquet").write_text("no table", encoding="utf-8")
    code, text = refused(world, settings={"assignment": "drawn"})
    assert (code, "割付" in text) == (65, True)


def test_a_plan_that_no_chosen_notebook_uses_does_not_stop_them(tmp_path):
    world = world_of(tmp_path, BASIC)
    (world.data / "protocol.toml").write_text("broken", encoding="utf-8")
    tables, paths = load(world.data), list(world.notebooks.iterdir())
    beside.check(tables, plan(paths, month="2025-10"))
    world.notebook("01_x", SHOW, parameters=PLANNED)
    with pytest.raises(RunError):
        beside.check(tables, plan(paths, month="2025-10"))


def test_what_is_not_there_is_no_error(tmp_path, monkeypatch, capsys):
    world = world_of(tmp_path)
    assert beside.look(world.data, sound=True) == ([], [])
    assert beside.look(SAMPLE, sound=True)[1] == []
    assert checked(world, monkeypatch, capsys)[0] == 0


def test_a_broken_kenpo_toml_is_told_by_line_before_a_run(tmp_path, monkeypatch, capsys):
    world = world_of(tmp_path, BASIC)
    (world.root / "kenpo.toml").write_text('[run]\nbranch = "24\n', encoding="utf-8")
    monkeypatch.chdir(world.root)
    code, text = refused(world)
    assert code == 64
    assert text == (
        'kenpo.toml を読めません: 2行目「branch = "24」: 文字列が閉じられていません\n'
        'ヒント: 文字は半角の " で囲みます。例: branch = "24"'
    )
    code, said = checked(world, monkeypatch, capsys)
    assert (code, said.count("2行目「branch")) == (65, 1)


@pytest.mark.parametrize(
    ("module", "name", "read", "cells", "told"),
    [
        ("definitions.kpi", "targets", "read_targets", {"target": "69.5%"}, "targets.csv の2行目の target「69.5%」"),
        ("definitions.calendar", "events", "read_events", {"date": "2025-13-10"}, "events.csv の2行目の date「2025-13"),
    ],
)
def test_a_target_or_event_that_cannot_be_is_found_by_check_and_before_a_run(
    tmp_path, monkeypatch, capsys, module, name, read, cells, told
):
    world, held = world_of(tmp_path, BASIC), importlib.import_module(f"kenpo_analytics.{module}")
    file = edited({"targets": TARGETS, "events": EVENTS}[name], tmp_path, 2, **cells)
    monkeypatch.setattr(held, name, lambda *_args, **_kwargs: getattr(held, read)(file))
    code, text = refused(world)
    assert (code, told in text) == (64, True)
    code, text = checked(world, monkeypatch, capsys)
    assert (code, text.count(told), "誤り 1 種類" in text) == (65, 1, True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('branch = "三重"', "支部「三重」は JIS"),
        ('branch = "47"', "データに支部47の加入者がいません"),
        ('notebooks = "nowhere"', "ノートブック"),
    ],
)
def test_what_kenpo_toml_says_of_the_run_is_judged_by_check_as_by_run(tmp_path, monkeypatch, capsys, line, told):
    world = world_of(tmp_path, BASIC + '\nbranch: str = "24"')
    (world.root / "kenpo.toml").write_text(f"[run]\n{line}\n", encoding="utf-8")
    monkeypatch.chdir(world.root)
    refusal = refused(world, notebooks=None) if "notebooks" in line else refused(world)
    assert told in refusal[1]
    code, text = checked(world, monkeypatch, capsys)
    assert (code, told in text, "[run]" in text, "誤り 1 種類" in text) == (65, True, True, True)
    (world.root / "kenpo.toml").write_text('[run]\nbranch = "24"\n', encoding="utf-8")
    assert "[run]" not in checked(world, monkeypatch, capsys)[1]
