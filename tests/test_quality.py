"""What looks wrong: planted faults are found, sound rows are not accused, and every count is the details' own."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import nbformat
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import EstimateError, TableError
from kenpo_analytics.quality import BY_DESIGN, Quality
from kenpo_analytics.quality.ledger import LINKS, file_balance, rejections
from kenpo_analytics.quality.volume import usual_rows
from kenpo_analytics.store import load
from kenpo_analytics.tables import TABLES
from tests import quality_world as world
from tests.execute_notebooks import NOTEBOOKS
from tests.notebook_page import Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return world.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def quality(folder: Path) -> Quality:
    return ka.data_quality(load(folder))


@pytest.fixture(scope="module")
def checkups() -> pl.DataFrame:
    return world.checkups()


@pytest.fixture(scope="module")
def claims() -> pl.DataFrame:
    return world.claims()


def failed(frame: pl.DataFrame, *columns: str) -> list[tuple]:
    return frame.filter(pl.col("state") == "fail").select(columns).rows()


# --- units ----------------------------------------------------------------------------------------------


def test_who_reports_in_another_unit_on_every_engine(engine, checkups) -> None:
    found = engine.frame(ka.unit_suspicion(engine(checkups), engine(world.quarantine())))
    assert failed(found, "institution", "fiscal_year", "item", "suspicion", "found_in", "rows", "of") == [
        ("a2", 2023, "fpg", "mmol/L", "range", 480, 480),
        ("a4", 2024, "fpg", "mmol/L", "quarantine", 480, 480),
        ("a1", 2023, "hba1c", "JDS値", "mean", 480, 480),
        ("a3", 2024, "hba1c", "10倍、またはmmol/mol(IFCC)", "range", 520, 520),
    ]
    jds = found.filter((pl.col("institution") == "a1") & (pl.col("found_in") == "mean")).sort("fiscal_year")
    assert jds["shift"].to_list() == pytest.approx([0, -0.4, 0], abs=0.05)
    slip = found.filter((pl.col("institution") == "a6") & (pl.col("found_in") == "quarantine")).row(0, named=True)
    assert (slip["rows"], slip["of"], slip["state"]) == (3, 483, "pass")


def test_a_shift_of_another_size_or_of_few_people_is_not_jds(checkups) -> None:
    one = checkups.filter(pl.col("checkup_date").dt.year() == 2022)
    for shift, state in ((-0.1, "pass"), (-0.38, "fail"), (-0.8, "pass"), (0.4, "pass")):
        moved = pl.col("hba1c") + pl.when(pl.col("institution") == "a0").then(shift).otherwise(0)
        found = ka.unit_suspicion(one.with_columns(moved)).filter(found_in="mean", institution="a0")
        assert found["state"].to_list() == [state], shift
    few = one.filter(
        (pl.col("institution") != "a0") | (pl.col("checkup_date").rank("ordinal").over("institution") < 30)
    )
    found = ka.unit_suspicion(few).filter(found_in="mean", institution="a0")
    assert found.select("rows", "state").rows() == [(29, "not_evaluated")]
    alone = ka.unit_suspicion(one.filter(institution="a0")).filter(found_in="mean")
    assert alone["state"].to_list() == ["not_evaluated"]


def test_the_thresholds_of_units_are_definitions(checkups) -> None:
    every = pl.when(pl.int_range(pl.len()) % 25 == 0).then(5.2).otherwise(pl.col("fpg"))
    slips = checkups.filter(institution="a0").with_columns(every.alias("fpg"))
    assert not failed(ka.unit_suspicion(slips), "item")  # 4 % of the values
    own = ka.define(overrides={"quality.unit.share": 0.03})
    assert len(failed(ka.unit_suspicion(slips, definitions=own), "item")) == 3
    both = ka.define(overrides={"quality.unit.share": 0.03, "quality.unit.values": 50})
    assert not failed(ka.unit_suspicion(slips, definitions=both), "item")


# --- institutions ---------------------------------------------------------------------------------------


def test_which_institution_lies_far_from_the_others_on_every_engine(engine, checkups) -> None:
    found = engine.frame(ka.institution_outliers(engine(checkups)))
    rows = failed(found, "institution", "item", "measure", "records", "behind")
    # a4 lacks a third of its glucose values (one year of three, with the month of twice as many), a5 half of them
    odd = ("a2", "fpg", "median", 1480, 1480)  # a third of its values in mmol/L
    assert rows == [odd, ("a4", "fpg", "missing", 1480, 520), ("a5", "fpg", "missing", 1480, 740)]
    a5 = found.filter((pl.col("institution") == "a5") & (pl.col("item") == "fpg") & (pl.col("measure") == "missing"))
    assert a5.select("value", "others", "z").row(0) == (0.5, 0.0, None)  # most miss none: no scale for a z


def test_the_robust_z_by_hand() -> None:
    medians = {"a": 100, "b": 101, "c": 102, "d": 103, "e": 104, "f": 130}
    rows = pl.DataFrame(
        [{"person_id": 1, "institution": k, "fpg": float(v)} for k, v in medians.items() for _ in range(30)]
    )
    found = ka.institution_outliers(rows).filter(measure="median")
    z = dict(found.select("institution", "z").iter_rows())
    # middle 102.5; distances 2.5 1.5 .5 .5 1.5 27.5, their median 1.5
    assert z["f"] == pytest.approx(27.5 / (1.4826 * 1.5))
    assert z["a"] == pytest.approx(-2.5 / (1.4826 * 1.5))
    assert failed(found, "institution") == [("f",)]
    small = rows.filter((pl.col("institution") != "f") | (pl.int_range(pl.len()).over("institution") < 29))
    states = ka.institution_outliers(small).filter(measure="median").select("institution", "state").rows()
    assert states == [*((k, "pass") for k in "abcde"), ("f", "not_evaluated")]
    four = ka.institution_outliers(rows.filter(pl.col("institution").is_in(list("abcf"))))
    assert set(four["state"]) == {"not_evaluated"}


def test_a_column_that_is_not_there_is_not_judged(engine, checkups, claims) -> None:
    assert set(ka.institution_outliers(checkups)["item"]) == {"fpg", "hba1c", "sbp", "fasting"}
    bare, silent = engine(checkups.drop("institution")), engine(claims.drop("institution"))
    assert engine.frame(ka.institution_outliers(bare)).is_empty()
    assert engine.frame(ka.unit_suspicion(bare)).is_empty()
    assert engine.frame(ka.overdue_institutions(silent, complete_through=202502)).is_empty()
    with pytest.raises(TableError, match="checkup_date"):
        ka.unit_suspicion(engine(checkups.drop("checkup_date")))


# --- months ---------------------------------------------------------------------------------------------


def test_the_missing_month_and_the_one_that_came_twice(quality: Quality) -> None:
    assert failed(quality.volume, "table", "clock", "month", "rows", "usual") == [
        ("checkups", "event", 202405, 800, 400.0),
        ("checkups", "received", 202406, 800, 400.0),
        ("claims", "event", 202311, 0, 300.0),
        ("claims", "received", 202312, 60, 297.0),  # the same month was 300, and 294 when a9 was silent
        ("claims", "received", 202504, 160, 300.0),  # the late month
    ]
    open_months = quality.volume.filter(table="claims", clock="event", state="not_evaluated")["month"].to_list()
    assert open_months == [202503]


def test_usual_is_the_season_and_one_bad_year_does_not_spoil_it() -> None:
    season = {month: 100 + 50 * (month % 100 == 6) for month in range(202101, 202113)}
    season |= {m + 100 * y: n for m, n in season.items() for y in (1, 2, 3)}
    assert usual_rows(202206, 150, season, 30) == 150
    assert usual_rows(202206, 0, season | {202306: 0}, 30) == 150
    short = {m: n for m, n in season.items() if m < 202301}
    assert usual_rows(202206, 150, short, 30) == 100  # one other June is no usual level: its neighbours are
    assert usual_rows(202206, 5, {202206: 5}, 30) is None
    assert usual_rows(202206, 5, dict.fromkeys(season, 20), 30) is None  # below what is judged


def test_claims_that_are_late_for_their_age_on_every_engine(engine, claims) -> None:
    found = engine.frame(ka.overdue_months(engine(claims), through="2025-04"))
    assert found.columns == ["treatment_month", "rows", "arrived", "usual", "expected", "ratio", "state"]
    late = found.row(0, named=True)
    assert (late["treatment_month"], late["rows"], late["state"]) == (202503, 100, "fail")
    assert (late["arrived"], late["usual"]) == (pytest.approx(0.8), 300)
    assert late["ratio"] == pytest.approx(100 / 240)
    assert found.row(1)[-1] == "not_evaluated"  # of 2025-04 nothing is due yet
    assert len(found) == 2
    with pytest.raises(EstimateError):
        ka.overdue_months(engine(claims.filter(pl.col("treatment_month") > 202409)), through="2025-04")


def test_institutions_that_fell_silent_on_every_engine(engine, claims) -> None:
    found = engine.frame(ka.overdue_institutions(engine(claims), complete_through=202502))
    rows = failed(found, "institution", "treatment_month", "months", "usual", "resumed")
    assert rows == [("a9", 202408, 3, 30.0, True)]  # of 2023-11 nobody's claims came: that is no clinic's silence
    assert len(found) == 10
    closed = claims.filter((pl.col("institution") != "a3") | (pl.col("treatment_month") < 202412))
    found = ka.overdue_institutions(closed, complete_through=202502).filter(institution="a3")
    assert found.select("treatment_month", "months", "resumed").rows()[-1] == (202412, 3, False)
    own = ka.define(overrides={"quality.overdue.claims": 31})
    assert ka.overdue_institutions(claims, complete_through=202502, definitions=own).is_empty()  # none is that regular
    whole = claims.filter(pl.col("treatment_month") > 202311, pl.col("institution") != "a9")
    states = ka.overdue_institutions(whole, complete_through=202502)
    assert set(states["state"]) == {"pass"} and len(states) == 9


# --- files ----------------------------------------------------------------------------------------------


def test_what_became_of_every_file(quality: Quality) -> None:
    files = {row["layout"]: row for row in quality.files.to_dicts()}
    checkup, claim, kpi = files["cc2x"], files["recodeinfo"], files["mapped:kpi"]
    assert (checkup["read"], checkup["accepted"], checkup["duplicate"]) == (14820, 14800, 20)
    assert (checkup["linked"], checkup["linked_share"]) == (14800, pytest.approx(14700 / 14800))
    assert (claim["linked_share"], claim["linkage"]) == (pytest.approx(888 / 988), "fail")
    assert (claim["quarantined_share"], claim["quarantine"]) == (0.012, "fail")
    assert (checkup["quarantine"], checkup["balance"], checkup["linkage"]) == ("pass", "pass", "pass")
    assert (kpi["linkage"], kpi["linked"], kpi["first_received"]) == ("not_applicable", None, None)
    assert quality.rejections["reason"].to_list() == [
        "別の単位の値の疑いがあります(mmol/L)。",
        "読めません。",
        "読めません。",
    ]
    assert quality.rejections.select("layout", "level", "rule", "rows", "first_month", "last_month").rows() == [
        ("cc2x", "value", "unit_suspected", 483, 202306, 202503),
        ("recodeinfo", "row", "unreadable", 12, None, None),
        ("unknown", "row", "unreadable", 1, None, None),
    ]


def test_a_file_that_does_not_add_up_is_an_error() -> None:
    found = file_balance(world.sources(unbalanced=True).lazy(), ka.define())
    assert found.filter(layout="recodeinfo").select("unbalanced", "balance").row(0) == (1, "fail")
    assert found.filter(layout="cc2x")["balance"].item() == "pass"


def test_without_a_record_of_ingest_nothing_is_said(folder: Path, tmp_path: Path) -> None:
    bare = ka.data_quality(dataclasses.replace(load(folder), sources=None, quarantine=None))
    assert bare.files.is_empty() and bare.rejections.is_empty()
    states = bare.detail.filter(table="sources")
    assert dict(states.select("rule", "state").iter_rows()) == dict.fromkeys(
        ("balance", "quarantine", "linkage"), "not_evaluated"
    )
    lone = rejections(world.quarantine().lazy(), None)  # the layout of a file that nobody lists is not known
    assert lone["layout"].null_count() == len(lone) == 2  # by level and rule only


# --- all of it ------------------------------------------------------------------------------------------


def test_the_overview_is_counted_from_the_detail(quality: Quality) -> None:
    keys = ["table", "column", "rule"]
    assert not quality.detail.select(keys).is_duplicated().any()
    assert set(quality.detail["state"]) == {"pass", "fail", "not_applicable", "not_evaluated"}
    for row in quality.summary.to_dicts():
        here = quality.detail.filter(table=row["table"], dimension=row["dimension"])
        assert row["rules"] == len(here)
        for state in ("pass", "fail", "not_applicable", "not_evaluated"):
            assert row[state] == here["state"].eq(state).sum()
    assert quality.summary["rules"].sum() == len(quality.detail)


def test_what_failed_is_what_was_planted(quality: Quality) -> None:
    found = set(failed(quality.detail, "table", "column", "rule", "flagged", "judged"))
    assert found >= {
        ("checkups", "fpg", "unit_suspected", 2, 30),
        ("checkups", "hba1c", "unit_suspected", 2, 30),
        ("checkups", "fpg", "outlier_missing", 2, 10),
        ("checkups", "checkup_date", "volume", 1, 36),
        ("claims", "treatment_month", "volume", 1, 35),
        ("claims", "treatment_month", "overdue_months", 1, 1),
        ("claims", "institution", "overdue_institutions", 1, 10),
        ("claims", "recodeinfo", "quarantine", None, 1),
        ("claims", "recodeinfo", "linkage", None, 1),
        ("なし", "unknown", "quarantine", None, 1),
    }
    by_range = quality.detail.filter(rule="range", state="fail").select("column", "level", "rows", "of")
    assert sorted(by_range.rows()) == [("fpg", "warning", 480, 13540), ("hba1c", "warning", 520, 14800)]
    assert {row[:3] for row in found} - {
        ("checkups", "received_month", "volume"),
        ("claims", "received_month", "volume"),
    }
    assert not {row[1] for row in found} & {"sbp", "fasting", "points", "status", "person_id"}


def test_columns_say_their_months_and_states(quality: Quality) -> None:
    rows = {(row["table"], row["column"]): row for row in quality.columns.to_dicts()}
    fpg, sbp, left = rows["checkups", "fpg"], rows["checkups", "sbp"], rows["members", "valid_to"]
    assert (fpg["first_month"], fpg["last_month"], fpg["plausibility"]) == (202204, 202503, "fail")
    assert (sbp["completeness"], sbp["conformance"], sbp["plausibility"]) == ("pass", "pass", "pass")
    assert (left["completeness"], left["missing"]) == ("not_applicable", 3000)  # nobody has left: empty by meaning
    assert rows["claim_fees", "day"]["conformance"] == "pass"  # the type can be told without a row
    assert rows["claim_fees", "day"]["plausibility"] == "not_evaluated"
    for table, column in BY_DESIGN:
        assert column in TABLES[table].names


def test_ids_that_refer_nowhere_are_found(folder: Path) -> None:
    tables = load(folder)
    fewer = dataclasses.replace(tables, members=tables.members.filter(pl.col("person_id") < 2900))
    line = ka.data_quality(fewer).detail.filter(table="checkups", rule="orphan").row(0, named=True)
    assert line["rows"] == world.checkups()["person_id"].ge(2900).sum() > 0
    assert (line["state"], line["dimension"]) == ("fail", "conformance")


def test_too_little_data_is_not_evaluated_not_passed(tmp_path: Path) -> None:
    for name, frame in {"checkups": world.checkups(), "claims": world.claims()}.items():
        frame.filter(pl.col("received_month") <= 202207).write_parquet(tmp_path / f"{name}.parquet")
    world.members().write_parquet(tmp_path / "members.parquet")
    world.fees().write_parquet(tmp_path / "claim_fees.parquet")
    found = ka.data_quality(load(tmp_path))
    judged = found.detail.filter(pl.col("rule").is_in(["volume", "overdue_months", "overdue_institutions"]))
    assert set(judged["state"]) == {"not_evaluated"} and len(judged) == 6
    assert found.late_months.is_empty() and found.silent.is_empty()


# --- the page -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory) -> Page:
    """Notebook 01 as it is, run on the planted world."""
    from nbclient import NotebookClient

    path = tmp_path_factory.mktemp("page") / "01.ipynb"
    shutil.copy(NOTEBOOKS / "01_data_overview.ipynb", path)
    notebook = nbformat.read(path, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = (
        f'import os\nos.environ["KENPO_DATA"] = {str(folder)!r}\nmonth: str = "2025-04"\nbranch: str = "24"'
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    nbformat.write(notebook, path)
    return Page(str(path.with_suffix("")))


def test_the_page_can_be_published(page: Page) -> None:
    page.must_be_publishable()


def test_the_page_names_what_was_planted(page: Page) -> None:
    units = {(row["機関"], row["年度"], row["項目"]): row for row in page.table("単位の違いが疑われる機関")}
    assert set(units) == {
        ("a1", "2023年度", "HbA1c(NGSP)"),
        ("a2", "2023年度", "空腹時血糖"),
        ("a3", "2024年度", "HbA1c(NGSP)"),
        ("a4", "2024年度", "空腹時血糖"),
    }
    assert units["a2", "2023年度", "空腹時血糖"]["疑わしい値"] == "480"
    months = {(row["表"], row["月"], row["行数"]) for row in page.table("件数が通常と違う月")}
    assert {("レセプト", "2023年11月", "0"), ("健診", "2024年5月", "800")} <= months
    silent = {
        (row["医療機関"], row["最初に途切れた診療月"], row["途切れた月数"])
        for row in page.table("レセプトの途切れた医療機関")
    }
    assert ("a9", "2024年8月", "3か月") in silent and len(silent) == 1
    late = page.table("まだ完了していない診療月")[0]
    assert (late["診療月"], late["届いた件数"], late["状態"]) == ("2025年3月", "100", "不合格")
    assert {row["機関"] for row in page.table("欠測割合の外れた機関")} == {"a4", "a5"}


def test_the_page_balances_the_files(page: Page) -> None:
    rows = {row["様式"]: row for row in page.table("ファイルの受け払い")}
    assert rows["健診CSV(JLAC10)"]["読んだ件数"] == "14,820"
    assert rows["レセプト(RECODEINFO)"]["隔離割合の判定"] == "不合格"
    links = {row["様式"]: row for row in page.table("加入者台帳との照合")}
    assert links["レセプト(RECODEINFO)"]["照合割合"] == "89.9%"
    assert rows["不明"]["隔離"] == "秘匿"
    assert rows["対応表 status"]["表"] == "返戻・再請求の一覧"
    rejected = {row["様式"]: row for row in page.table("隔離した行と値")}
    assert rejected["レセプト(RECODEINFO)"]["件数"] == "12"
    assert rejected["健診CSV(JLAC10)"]["件数"] == "483"


# --- disclosure -----------------------------------------------------------------------------------------


def space(page_source: str, **names: object) -> dict:
    """The calls of the page itself, on frames of our own."""
    held: dict = {"ka": ka, **names}
    exec(page_source, held)
    return held


def call(name: str) -> str:
    """The one `name = ka.check(…)` of the notebook."""
    notebook = nbformat.read(NOTEBOOKS / "01_data_overview.ipynb", as_version=4)
    source = next(cell.source for cell in notebook.cells if f"{name} = ka.check(" in cell.source)
    begin = source.index(f"{name} = ka.check(")
    return source[begin : source.index("\n)", begin) + 2]


def test_few_rows_and_few_left_over_are_masked_in_what_was_found() -> None:
    lines = {"rule": ["null", "range", "type"], "rows": [4, 20, 0], "of": [1000, 996, 0], "flagged": [None] * 3}
    found = pl.DataFrame({"table": ["checkups"] * 3, "column": ["fpg"] * 3} | lines)
    found = found.with_columns(judged=pl.col("flagged"), state=pl.lit("fail"), item=pl.lit("00000000000000001"))
    found = found.with_columns(pl.col("flagged", "judged").cast(pl.Int64))
    shown = space(call("detail"), quality=type("Q", (), {"detail": found}))["detail"].table
    assert shown.select("rows", "of").rows() == [(None, 1000), (20, None), (0, 0)]  # 1000 - 996 = 4


def test_few_rejected_are_masked_and_not_given_back_by_the_total_of_the_files() -> None:
    quarantine = pl.DataFrame({"layout": ["uke"] * 2, "level": ["row"] * 2, "rule": ["a", "b"], "rows": [11, 2]})
    extra = {name: pl.Series([202404] * 2) for name in ("first_month", "last_month")}
    found = quarantine.with_columns(files=pl.lit(1), reason=pl.lit("理由"), **extra)
    shown = space(call("rejections"), quality=type("Q", (), {"rejections": found}))["rejections"].table
    assert shown["rows"].to_list() == [None, None]  # the files say 13 in all


def test_few_missing_are_masked_but_no_median_is() -> None:
    clinics = [f"b{n}" for n in range(6)]
    rows = [
        {"institution": c, "person_id": i, "sbp": 150.0 if c == "b5" else 120.0 + i % 3}
        for c in clinics
        for i in range(100)
    ]
    for row in rows[:4]:
        row["sbp"] = None
    found = type("Q", (), {"outliers": ka.institution_outliers(pl.DataFrame(rows))})
    gaps = space(call("gaps"), quality=found)["gaps"].table
    assert gaps.filter(institution="b0").select("records", "behind", "value").row(0)[1:] == (None, None)
    medians = space(call("medians"), quality=found)["medians"].table
    assert medians.filter(institution="b5").select("records", "value", "state").row(0) == (100, 150.0, "fail")
    assert "behind" not in medians.columns  # 100 - 96 would be the four


def test_the_records_linked_do_not_give_back_the_few_put_aside() -> None:
    one = {"source": "a.csv", "digest": "x", "layout": "cc2x", "table": "checkups", "read": 1000, "accepted": 995}
    one |= {"quarantined": 5, "duplicate": 0, "values_rejected": 0, "linked_number": 995, "linked_birth": 0}
    found = file_balance(pl.DataFrame([one | {"linked_kana": 0, "linked_record": 0}]).lazy(), ka.define())
    held = type("Q", (), {"files": found})
    row = space(call("files"), quality=held, rules=list(LINKS))["files"].table.row(0, named=True)
    links = space(call("links"), quality=held, rules=list(LINKS))["links"].table.row(0, named=True)
    assert (row["read"], row["accepted"], row["quarantined"], row["quarantined_share"]) == (1000, None, None, None)
    assert (links["linked_number"], links["linked_share"]) == (None, None)  # it is what was accepted
    many = found.with_columns(quarantined=pl.lit(40, pl.Int64), accepted=pl.lit(960, pl.Int64))
    held = type("Q", (), {"files": many.with_columns(linked_number=pl.lit(960, pl.Int64))})
    links = space(call("links"), quality=held, rules=list(LINKS))["links"].table.row(0, named=True)
    assert (links["linked_number"], links["linked_share"]) == (960, 1.0)
