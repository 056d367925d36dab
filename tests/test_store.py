"""Loading a data folder: where it is, what was known at a month, what is refused."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from kenpo_analytics.definitions.kenpo_toml import settings
from kenpo_analytics.errors import DateError, DefinitionError, TableError
from kenpo_analytics.sample import build
from kenpo_analytics.store import Tables, find_data, load, scan
from kenpo_analytics.tables import TABLES

D = dt.date
ROOT = Path(__file__).parents[1]
DAYS = {
    "members": {
        "person_id": [1, 2, 3, 4, 5],
        "valid_from": [D(2020, 4, 1), D(2020, 4, 1), D(2020, 4, 1), D(2024, 10, 31), D(2024, 11, 1)],
        "valid_to": [None, D(2024, 10, 31), D(2024, 11, 1), None, None],
    },
    "checkups": {"record_id": [1, 2], "received_month": [202410, 202411]},
    "claims": {"claim_id": [1, 2, 3], "received_month": [202409, 202410, 202412]},
    "claim_fees": {"claim_id": [2, 3], "received_month": [202410, 202411]},
    "mailings": {
        "person_id": [1, 2, 3, 4],
        "planned_date": [D(2024, 10, 1), D(2024, 10, 31), D(2024, 11, 1), D(2024, 10, 25)],
        "sent_date": [D(2024, 10, 31), D(2024, 11, 1), None, None],
    },
    "guidance": {
        "person_id": [1, 2, 3],
        "first_interview": [D(2024, 10, 31), D(2024, 11, 1), None],
        "completed": [D(2024, 11, 30), None, None],
    },
    "workplaces": {"workplace_id": ["a", "b"], "declared_from": [D(2024, 10, 31), D(2024, 11, 1)]},
    "national": {"measure": ["x"], "period": ["2025"]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("KENPO_DATA", "KENPO_MONTH"):
        monkeypatch.delenv(name, raising=False)
    data = tmp_path / "data"
    data.mkdir()
    for name, columns in DAYS.items():
        pl.DataFrame(columns).write_parquet(data / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    return data


def test_what_was_known_at_the_end_of_a_month(folder):
    tables = load(folder, month="2024-10")
    assert tables.month == 202410
    assert tables.polars("checkups")["record_id"].to_list() == [1]
    assert tables.polars("claims")["claim_id"].to_list() == [1, 2]
    assert tables.polars("claim_fees")["claim_id"].to_list() == [2]
    assert tables.polars("members").rows() == [
        (1, D(2020, 4, 1), None),
        (2, D(2020, 4, 1), D(2024, 10, 31)),  # left on the month's last day: known
        (3, D(2020, 4, 1), None),  # left on the day after: enrolled in every month known so far
        (4, D(2024, 10, 31), None),
    ]
    assert tables.polars("mailings")["person_id"].to_list() == [1, 4]
    assert tables.polars("guidance").rows() == [(1, D(2024, 10, 31), None), (3, None, None)]
    assert tables.polars("workplaces")["declared_from"].to_list() == [D(2024, 10, 31), None]
    assert tables.polars("national").height == 1


def test_files_received_later_are_hidden_with_what_was_rejected_of_them(folder):
    files = {"source": ["a.csv", "b.zip", "c.xlsx", "c.xlsx"], "table": ["checkups", "claims", "members", "mailings"]}
    months = pl.Series([202410, 202411, None, None], dtype=pl.Int32)
    pl.DataFrame(files | {"received_month": months}).write_parquet(folder / "sources.parquet")
    rejected = {"source": ["b.zip", "a.csv", "c.xlsx", "a.csv", "b.zip"], "rule": list("vwxyz")}
    pl.DataFrame(rejected).write_parquet(folder / "quarantine.parquet")
    for month, known, left in (("2024-10", ["a.csv"], "wy"), ("2024-11", ["a.csv", "b.zip"], "vwyz")):
        tables = load(folder, month=month)
        assert tables.polars("sources")["source"].to_list() == known
        assert "".join(tables.polars("quarantine")["rule"]) == left
    everything = load(folder)  # what came at an unknown time is there where nothing is cut
    assert everything.polars("sources").height == 4
    assert "".join(everything.polars("quarantine")["rule"]) == "vwxyz"
    pl.DataFrame({"rule": ["x"]}).write_parquet(folder / "quarantine.parquet")
    with pytest.raises(TableError, match="quarantineの列 source がありません"):
        load(folder)


def test_the_month_is_the_latest_received_unless_it_is_given(folder, monkeypatch):
    assert load(folder).month == 202412
    monkeypatch.setenv("KENPO_MONTH", "2024-11")
    assert load(folder).month == 202411
    assert load(folder, month=202409).month == 202409
    assert load(folder, month="令和6年10月").month == 202410


def test_a_month_without_data_is_refused(folder, monkeypatch):
    with pytest.raises(TableError, match=r"2025-01の受領データがありません\(データは2024-12受領分まで\)"):
        load(folder, month=202501)
    with pytest.raises(DateError, match="2024-13"):
        load(folder, month="2024-13")
    monkeypatch.setenv("KENPO_MONTH", "2025-02")
    with pytest.raises(TableError, match="2025-02の受領データがありません"):
        load(folder)


def test_a_month_before_the_first_receipt_is_refused(folder):
    assert load(folder, month="2024-09").month == 202409
    with pytest.raises(TableError, match=r"2024-08の受領データがありません\(データは2024-09受領分から\)"):
        load(folder, month="2024-08")
    with pytest.raises(DateError, match="「0」"):
        load(folder, month=0)


def claims(folder: Path, *received: Any) -> None:
    frame = pl.DataFrame({"claim_id": range(1, len(received) + 1), "received_month": received})
    for name in ("claims", "claim_fees"):
        frame.write_parquet(folder / f"{name}.parquet")


def test_rows_without_a_receipt_are_known_only_where_nothing_is_cut(folder):
    claims(folder, 202409, None, 202412)
    for month, seen in (("2024-10", [1]), ("2024-11", [1]), ("2024-12", [1, 2, 3]), (None, [1, 2, 3])):
        tables = load(folder, month=month)
        assert tables.polars("claims")["claim_id"].to_list() == seen
        assert tables.polars("claim_fees")["claim_id"].to_list() == seen


def test_guidance_without_an_interview_is_not_known_before_its_fiscal_year(folder):
    dates = {"first_interview": [None, None, D(2024, 10, 1)], "completed": [None] * 3}
    frame = pl.DataFrame({"person_id": [1, 2, 3], "fiscal_year": [2024, 2023, None]} | dates)
    frame.write_parquet(folder / "guidance.parquet")
    claims(folder, 202403, 202412)
    assert load(folder, month="2024-03").polars("guidance")["person_id"].to_list() == [2]
    assert load(folder, month="2024-10").polars("guidance")["person_id"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("wrong", [202599, 202400, 202013])
def test_a_receipt_in_no_month_is_refused(folder, wrong):
    claims(folder, 202409, wrong)
    for month in (None, "2024-10"):
        with pytest.raises(TableError, match="claimsの受領月に、1～12月でない値が1行") as error:
            load(folder, month=month)
        assert "kenpo check" in error.value.hint


def test_a_receipt_after_today_does_not_set_the_month(folder, monkeypatch):
    claims(folder, 202409, 202412, 209912)
    with pytest.raises(TableError, match=r"受領月が今月\(\d{4}-\d{2}\)より後の行が1行") as error:
        load(folder)
    assert "kenpo check" in error.value.hint
    assert "KENPO_MONTH" in error.value.hint
    tables = load(folder, month="2024-12")  # received later than the cut, as any other row
    assert tables.polars("claims")["claim_id"].to_list() == [1, 2]
    with pytest.raises(TableError, match="データは2024-12受領分まで"):
        load(folder, month="2025-01")
    monkeypatch.setattr("kenpo_analytics.store.this_month", lambda: 202411)
    with pytest.raises(TableError, match=r"受領月が今月\(2024-11\)より後の行が2行"):
        load(folder)


def test_eager_frames_and_missing_tables(folder):
    (folder / "guidance.parquet").unlink()
    tables = load(folder)
    assert tables.guidance is None
    assert "合成データ" not in repr(tables) and "guidance" not in repr(tables)
    assert isinstance(tables.claims, pl.LazyFrame)
    assert isinstance(tables.polars("claims"), pl.DataFrame)
    frame = tables.pandas("claims")
    assert isinstance(frame, pd.DataFrame)
    assert frame["received_month"].tolist() == [202409, 202410, 202412]
    with pytest.raises(TableError, match="guidanceがありません"):
        tables.pandas("guidance")
    with pytest.raises(TableError, match="「claim」"):
        tables.polars("claim")


def test_required_tables_and_columns(folder):
    (folder / "claims.parquet").unlink()
    (folder / "members.parquet").unlink()
    with pytest.raises(TableError, match="必要な表がありません: members, claims"):
        load(folder)
    pl.DataFrame(DAYS["claims"]).write_parquet(folder / "claims.parquet")
    pl.DataFrame({"person_id": [1], "valid_from": ["2020-04-01"]}).write_parquet(folder / "members.parquet")
    with pytest.raises(TableError, match="membersの列 valid_from"):
        load(folder)
    pl.DataFrame({"person_id": [1]}).write_parquet(folder / "members.parquet")
    with pytest.raises(TableError, match="membersの列 valid_from"):
        load(folder)
    pl.DataFrame({"person_id": [1], "valid_from": [D(2020, 4, 1)]}).write_parquet(folder / "members.parquet")
    assert load(folder).polars("members").height == 1  # valid_to is not required
    (folder / "members.parquet").write_bytes(b"not parquet")
    with pytest.raises(TableError, match="membersのファイルを読めません"):
        load(folder)
    pl.DataFrame({"claim_id": [1]}).write_parquet(folder / "claims.parquet")
    with pytest.raises(TableError, match="claimsの受領月を読めません"):
        load(folder)


def test_data_without_any_receipt_have_no_month(folder):
    for name in ("checkups", "claims"):
        pl.DataFrame(DAYS[name]).clear().write_parquet(folder / f"{name}.parquet")
    with pytest.raises(TableError, match="受領月のある行が1行もありません"):
        load(folder)


def test_a_partitioned_table_is_one_table(folder):
    (folder / "claims.parquet").unlink()
    for number, month in enumerate((202410, 202411)):
        part = folder / "claims" / f"fiscal_year={2023 + number}"
        part.mkdir(parents=True)
        pl.DataFrame({"claim_id": [number], "received_month": [month]}).write_parquet(part / "0.parquet")
    assert load(folder).polars("claims")["claim_id"].to_list() == [0, 1]
    assert load(folder, month=202410).polars("claims")["claim_id"].to_list() == [0]
    assert scan(folder, TABLES["claims"], row_index="row")[1] is False
    assert scan(folder, TABLES["members"], row_index="row")[1] is True


@pytest.mark.parametrize("marker", ["truth.json", "SYNTHETIC"])
def test_synthetic_data_say_so(folder, marker):
    assert load(folder).synthetic is False
    (folder / marker).touch()
    assert load(folder).synthetic is True


# --- where the data are ---------------------------------------------------------------------------------


def test_the_environment_comes_first_then_the_file_then_the_sample(folder, tmp_path, monkeypatch):
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    sample = tmp_path / "data" / "sample"
    sample.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(sample / "claims.parquet")
    assert find_data() == sample
    (tmp_path / "kenpo.toml").write_text('[data]\npath = "data"\n', encoding="utf-8")
    assert find_data() == folder
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("KENPO_DATA", str(other))
    assert find_data() == other


def test_folders_that_are_not_there(folder, tmp_path, monkeypatch):
    with pytest.raises(TableError, match="データのフォルダがありません"):
        load(tmp_path / "nowhere")
    (tmp_path / "kenpo.toml").write_text('[data]\npath = "nowhere"\n', encoding="utf-8")
    with pytest.raises(TableError, match=r"nowhere\(kenpo.toml の \[data\] pathで指定\)"):
        find_data()
    monkeypatch.setenv("KENPO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(TableError, match="環境変数 KENPO_DATAで指定"):
        find_data()


def test_without_anything_the_sample_of_the_checkout_is_taken_or_its_absence_told(folder, tmp_path, monkeypatch):
    sample = ROOT / "data" / "sample"
    if any(sample.glob("*.parquet")):
        assert find_data() == sample
    else:
        with pytest.raises(TableError, match="データのフォルダが見つかりません"):
            find_data()


# --- kenpo.toml -----------------------------------------------------------------------------------------


QUOTED = '"prediabetes.rule" = "and"\n"next_checkup.dead_band.fpg" = 8'
DOTTED = 'prediabetes.rule = "and"\nnext_checkup.dead_band.fpg = 8'


@pytest.mark.parametrize("text", [QUOTED, DOTTED], ids=["quoted", "dotted"])
def test_definitions_of_the_branch(folder, tmp_path, text):
    (tmp_path / "kenpo.toml").write_text(f"[definitions]\n{text}\n", encoding="utf-8-sig")
    used = load(folder).definitions
    assert (used.text("prediabetes.rule"), used.number("next_checkup.dead_band.fpg")) == ("and", 8)
    assert {row.id for row in used.overrides()} == {"prediabetes.rule", "next_checkup.dead_band.fpg"}


def test_a_wrong_file_of_settings_is_refused(folder, tmp_path):
    config = tmp_path / "kenpo.toml"
    config.write_text('[definitions]\n"prediabetes.rul" = "and"\n', encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"kenpo.toml の \[definitions\]: .*「prediabetes\.rul」"):
        load(folder)
    config.write_text("[definitions]\nfollowup.months = -10\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"kenpo.toml の \[definitions\]: .*「-10」は使えません"):
        load(folder)
    config.write_text("[definitions\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"kenpo.toml を読めません"):
        load(folder)
    config.write_text("data = 3\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"kenpo.toml の \[data\]"):
        find_data()


MISSPELT = [
    ('[definition]\nprediabetes.rule = "and"', r"kenpo.toml の \[definition\] は使われない", "[definitions]"),
    ('[data]\npth = "data"', r"\[data\] pth は使われない", "使える名前: path"),
    ('[run]\nreprots = "out"', r"\[run\] reprots は使われない", "使える名前: notebooks, reports, branch"),
    ('path = "data"', r"\[path\] は使われない", "[data]"),
    ("[run]\nbranch = 24", r"\[run\] branch は文字ではありません: 「24」", 'branch = "'),
    ("[data]\npath = 3", r"\[data\] path は文字ではありません: 「3」", 'path = "'),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISSPELT)
def test_a_misspelt_setting_is_refused_with_the_names_that_are_read(folder, tmp_path, text, message, hint):
    (tmp_path / "kenpo.toml").write_text(text + "\n", encoding="utf-8")
    for read in (settings, find_data, lambda: load(folder)):
        with pytest.raises(DefinitionError, match=message) as error:
            read()
        assert hint in error.value.hint
        assert error.value.message.count("kenpo.toml") == 1


def test_every_setting_that_is_read_may_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nothing = {"data": {}, "run": {}, "definitions": {}}
    assert settings(tmp_path / "kenpo.toml") == nothing  # no such file
    text = '[data]\npath = "a"\n[run]\nnotebooks = "b"\nreports = "c"\nbranch = "24"\n[definitions]\nx = 1\n'
    (tmp_path / "kenpo.toml").write_text(text, encoding="utf-8")
    run = {"notebooks": "b", "reports": "c", "branch": "24"}
    assert settings() == {"data": {"path": "a"}, "run": run, "definitions": {"x": 1}}


# --- the sample world -----------------------------------------------------------------------------------


def test_the_sample_world_grows_with_what_is_known(tmp_path, monkeypatch):
    monkeypatch.delenv("KENPO_MONTH", raising=False)
    build(tmp_path, persons=4000)
    now, before = load(tmp_path), load(tmp_path, month=202410)
    assert isinstance(now, Tables)
    assert (now.month, now.synthetic) == (202510, True)
    assert repr(now).startswith(
        f"Tables({tmp_path.name}, 2025-10まで, 合成データ: members, workplaces, checkups, claims"
    )
    assert len(repr(now)) < 200
    for name in ("members", "checkups", "claims", "claim_fees", "mailings"):
        assert 0 < before.polars(name).height < now.polars(name).height
    assert before.polars("claims")["received_month"].max() == 202410
    assert before.polars("members")["valid_to"].max() <= D(2024, 10, 31)
    assert now.polars("members").equals(pl.read_parquet(tmp_path / "members.parquet"))
