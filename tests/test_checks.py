"""Checks of the canonical tables: every rule on every kind of frame, states, row numbers, folders."""

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from kenpo_analytics.checks import check_folder, check_table, describe
from kenpo_analytics.checks.between import REFERENCES
from kenpo_analytics.checks.rules import RULES
from kenpo_analytics.errors import FrameKindError, TableError
from kenpo_analytics.tables import TABLES

D = dt.date
MEMBER = {
    "person_id": 1,
    "valid_from": D(2020, 4, 1),
    "valid_to": None,
    "sex": "F",
    "birth_month": 198001,
    "fy_age_base": 1979,
    "relationship": "insured",
    "branch": "24",
    "municipality": "24201",
}
CHECKUP = {
    "record_id": 1,
    "person_id": 1,
    "checkup_date": D(2024, 5, 10),
    "received_month": 202407,
    "kind": "生活習慣病予防健診",
    "fpg": 98.0,
    "sbp": 120.0,
}
CLAIM = {
    "claim_id": 1,
    "person_id": 1,
    "treatment_month": 202405,
    "received_month": 202406,
    "status": "normal",
    "kind": "入院外",
}
FEE = {
    "claim_id": 1,
    "person_id": 1,
    "institution": "H1",
    "treatment_month": 202402,
    "received_month": 202412,
    "status": "normal",
    "code": "111000570",
    "day": 29,
    "count": 1,
}
SOUND = {"members": MEMBER, "checkups": CHECKUP, "claims": CLAIM, "claim_fees": FEE}
KEYS = {"members": None, "checkups": "record_id", "claims": "claim_id", "claim_fees": "claim_id"}
TYPES = {"int": pl.Int64, "month": pl.Int64, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean, "date": pl.Date}


def build(table: str, *changes: dict, keep_keys: bool = False) -> pl.DataFrame:
    """Rows of a sound row with changes; keys run from 1 unless kept."""
    rows = [SOUND[table] | change for change in changes]
    if KEYS[table] and not keep_keys:
        rows = [row | {KEYS[table]: number} for number, row in enumerate(rows, 1)]
    types = {column.name: TYPES[column.kind] for column in TABLES[table].columns if column.name in rows[0]}
    return pl.DataFrame(rows, schema_overrides=types)


def broken(report: pl.DataFrame) -> list[tuple]:
    return report.select("column", "rule", "level", "rows", "of").rows()


def months(treatment: int = 202405, received: int = 202406) -> dict:
    return {"treatment_month": treatment, "received_month": received}


def day(treatment: int, number: int) -> dict:
    return {"treatment_month": treatment, "day": number}


FPG = [{"fpg": value} for value in (5.4, 20.0, 1000.0, 1000.5, None)]
SBP = [{"sbp": value} for value in (float("inf"), float("nan"), 120.0)]
CASES = [
    ("claims", "treatment_month", "month", "error", [months(202400), months(202313), {}], 2, 3),
    ("claims", "received_month", "received_order", "error", [months(202405, 202404), months(202405, 202405)], 1, 2),
    ("claims", "received_month", "received_future", "error", [months(202405, 209912), months(202405, 202405)], 1, 2),
    ("checkups", "received_month", "received_future", "error", [{"received_month": 209001}, {}, {}], 1, 3),
    ("claims", "status", "value", "error", [{"status": "NORMAL"}, {}], 1, 2),
    ("claims", "person_id", "null", "error", [{"person_id": None}, {}, {}], 1, 3),
    ("checkups", "fpg", "range", "warning", FPG, 2, 4),
    ("checkups", "sbp", "range", "warning", SBP, 1, 2),
    ("checkups", "received_month", "received_order", "error", [{"received_month": m} for m in (202404, 202405)], 1, 2),
    ("claim_fees", "day", "day_exists", "error", [day(202402, 29), day(202302, 29), day(202404, 31)], 2, 3),
    ("claim_fees", "day", "day_exists", "error", [day(202307, 31), day(202308, 31), day(202311, 31)], 1, 3),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}.{case[1]}.{case[2]}")
def test_each_rule_is_counted_alike_on_every_kind(engine, case):
    table, column, rule, level, changes, rows, of = case
    report = check_table(engine(build(table, *changes)), table)
    assert broken(report) == [(column, rule, level, rows, of)]
    bad = report["first_rows"].to_list()[0]
    if engine.name in ("pandas", "polars"):
        assert len(bad) == rows
        assert bad == sorted(bad)
        assert min(bad) >= 1
    else:
        assert bad is None


STRETCHES = [
    ((1, D(2020, 4, 1), D(2021, 4, 1)), "ok"),
    ((1, D(2021, 4, 1), D(2022, 4, 1)), "adjoining"),
    ((1, D(2021, 12, 1), None), "begins before the last has ended"),
    ((2, D(2020, 4, 1), None), "ok"),
    ((2, D(2022, 4, 1), D(2023, 4, 1)), "within an open one"),
    ((2, D(2024, 4, 1), None), "within the open one, after a closed one"),
    ((3, D(2020, 4, 1), D(2020, 4, 1)), "ends where it begins"),
    ((3, D(2020, 4, 1), D(2020, 5, 1)), "same key, other content"),
]


def test_stretches_of_members(engine):
    changes = [{"person_id": person, "valid_from": first, "valid_to": end} for (person, first, end), _ in STRETCHES]
    report = check_table(engine(build("members", *changes)), "members")
    assert broken(report) == [
        ("valid_to", "period", "error", 1, 5),
        ("person_id+valid_from", "key_duplicated", "error", 1, 8),
        ("valid_from", "overlap", "error", 3, 7),
    ]
    if engine.name in ("pandas", "polars"):
        assert report["first_rows"].to_list() == [[7], [8], [3, 5, 6]]


def test_a_repeated_row_is_a_warning_and_a_key_with_two_contents_an_error(engine):
    one, other = {"record_id": 7}, {"record_id": 7, "fpg": 99.0}
    same, empty = {"record_id": 8, "fpg": None}, {"record_id": None}
    rows = [one, other, same, same, same, {"record_id": 9}, empty]
    report = check_table(engine(build("checkups", *rows, keep_keys=True)), "checkups")
    assert broken(report) == [
        ("record_id", "null", "error", 1, 7),
        ("record_id", "key_null", "error", 1, 7),
        ("record_id", "key_duplicated", "error", 1, 6),
        ("record_id", "row_repeated", "warning", 2, 6),
    ]
    if engine.name in ("pandas", "polars"):
        assert report["first_rows"].to_list() == [[7], [7], [2], [4, 5]]


def test_keys_are_compared_in_shares_with_the_same_answer(engine, monkeypatch):
    ids = [-3, 7, -3, 2, 7, 0, 5, 7, -8]
    frame = build(
        "checkups", *[{"record_id": id, "fpg": 90.0 + (id > 0) * n} for n, id in enumerate(ids)], keep_keys=True
    )
    whole = check_table(engine(frame), "checkups")
    assert broken(whole) == [
        ("record_id", "range", "warning", 3, 9),
        ("record_id", "key_duplicated", "error", 2, 9),
        ("record_id", "row_repeated", "warning", 1, 9),
    ]
    monkeypatch.setattr("kenpo_analytics.checks.between.SHARE", 2)
    assert check_table(engine(frame), "checkups").equals(whole)


def test_row_numbers_are_the_first_five_in_the_order_given():
    frame = build("claims", *[{"status": "bad" if number % 2 else "normal"} for number in range(20)])
    report = check_table(frame, "claims")
    assert report["rows"].to_list() == [10]
    assert report["first_rows"].to_list() == [[2, 4, 6, 8, 10]]


def test_columns_that_are_missing_or_wrong(engine):
    frame = build("checkups", {}, {}).drop("kind").with_columns(fpg=pl.lit("98"), checkup_date=pl.lit("2024-05-10"))
    report = check_table(engine(frame), "checkups")
    assert broken(report) == [
        ("checkup_date", "type", "error", 0, 0),
        ("kind", "missing", "error", 0, 0),
        ("fpg", "type", "error", 0, 0),
    ]


def test_the_four_states(engine):
    frame = build("checkups", {"fpg": None}, {"fpg": None, "sbp": 20.0}).drop("received_month")
    report = check_table(engine(frame), "checkups", all_rules=True)
    state = {(row["column"], row["rule"]): row["state"] for row in report.iter_rows(named=True)}
    assert state["record_id", "null"] == "pass"
    assert state["sbp", "range"] == "fail"
    assert state["hba1c", "range"] == state["hba1c", "type"] == "not_applicable"  # optional and absent
    assert state["fpg", "range"] == "not_evaluated"  # no value to judge
    assert state["received_month", "missing"] == "fail"
    assert state["received_month", "received_order"] == "not_evaluated"  # required, so its absence is told elsewhere


def test_no_rows_are_not_evaluated_rather_than_passed(engine):
    frame = build("members", {}).clear()
    report = check_table(engine(frame), "members", all_rules=True)
    judged = report.filter(~pl.col("rule").is_in(["missing", "type"]) & (pl.col("state") != "not_applicable"))
    assert judged["state"].unique().to_list() == ["not_evaluated"]
    assert check_table(engine(frame), "members").is_empty()


def test_whole_numbers_that_pandas_holds_as_floats():
    frame = build("claims", {}, {}, {}).to_pandas()
    frame["received_month"] = [202406.0, np.nan, 202406.5]
    assert broken(check_table(frame, "claims")) == [
        ("received_month", "null", "error", 1, 3),
        ("received_month", "whole", "error", 1, 2),
    ]
    frame = build("claims", {}, {}).to_pandas()
    frame["person_id"] = [1.0, 2.0**60]
    assert broken(check_table(frame, "claims")) == [("person_id", "type", "error", 0, 0)]


def test_a_pandas_column_of_mixed_objects_is_wrong_alone():
    frame = build("checkups", {}, {"sbp": 20.0}).to_pandas()
    frame["fpg"] = pd.Series([98.0, "measured"], dtype=object)
    assert broken(check_table(frame, "checkups")) == [
        ("fpg", "type", "error", 0, 0),
        ("sbp", "range", "warning", 1, 2),
    ]


def test_text_ids_are_taken(engine):
    frame = build("claims", {}, {"status": "bad"}).with_columns(
        person_id=pl.lit("00012"), claim_id=pl.Series(["a", "a"])
    )
    assert broken(check_table(engine(frame), "claims")) == [
        ("status", "value", "error", 1, 2),
        ("claim_id", "key_duplicated", "error", 1, 2),
    ]


def test_other_things_are_refused():
    with pytest.raises(FrameKindError, match="扱えない表の種類"):
        check_table([1, 2], "claims")
    with pytest.raises(TableError, match="「claim」"):
        check_table(build("claims", {}), "claim")


# --- folders --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for table in SOUND:
        build(table, {}).write_parquet(tmp_path / f"{table}.parquet")
    return tmp_path


def test_a_sound_folder_has_nothing_to_say(folder):
    assert check_folder(folder).is_empty()
    states = check_folder(folder, all_rules=True)
    assert set(states["table"]) == set(TABLES)
    assert states.filter(rule="table_missing").select("table", "state").rows() == [
        (name, "not_applicable") for name, table in TABLES.items() if table.optional
    ]
    assert states.filter(rule="orphan").height == 4


def test_ids_without_their_person_or_claim_are_warnings(folder):
    build("claims", {}, {"person_id": 5}, {"person_id": 6}, {}).write_parquet(folder / "claims.parquet")
    build("claim_fees", {"claim_id": 99}, {"day": 28}, keep_keys=True).write_parquet(folder / "claim_fees.parquet")
    report = check_folder(folder)
    assert report.select("table", "column", "rule", "level", "rows", "of", "first_rows").rows() == [
        ("claims", "person_id", "orphan", "warning", 2, 4, [2, 3]),
        ("claim_fees", "claim_id", "orphan", "warning", 1, 2, [1]),
    ]


def test_errors_come_first_and_a_missing_table_is_one(folder):
    (folder / "claim_fees.parquet").unlink()
    build("members", {"person_id": 3}).write_parquet(folder / "members.parquet")
    text = build("checkups", {}).with_columns(person_id=pl.lit("1"))
    text.write_parquet(folder / "checkups.parquet")
    report = check_folder(folder)
    assert report.select("table", "rule", "level").rows() == [
        ("claim_fees", "table_missing", "error"),
        ("checkups", "id_type", "error"),
        ("claims", "orphan", "error"),
    ]


def test_partitioned_tables_are_read_whole(folder):
    (folder / "claims.parquet").unlink()
    for year, status in ((2023, "bad"), (2024, "worse")):
        part = folder / "claims" / f"fiscal_year={year}"
        part.mkdir(parents=True)
        build("claims", {"claim_id": year, "status": status}, keep_keys=True).write_parquet(part / "0.parquet")
    row = check_folder(folder).filter(pl.col("rule") == "value").row(0, named=True)
    assert (row["rows"], row["of"], row["first_rows"]) == (2, 2, None)


def test_unreadable_files_and_folders(folder):
    with pytest.raises(TableError, match="フォルダがありません"):
        check_folder(folder / "nowhere")
    (folder / "claims.parquet").write_bytes(b"not parquet")
    build("checkups", {"kind": "他"}).write_parquet(folder / "checkups.parquet")
    report = check_folder(folder)  # the other tables are judged all the same
    assert report.select("table", "rule", "level").rows() == [
        ("checkups", "value", "error"),
        ("claims", "unreadable", "error"),
    ]
    assert [describe(row) for row in report.to_dicts()][1].startswith("誤り claims: ファイルを読めない(Parquet")


def test_a_required_table_without_rows_is_an_error(folder):
    build("claims", {}).clear().write_parquet(folder / "claims.parquet")
    guidance = pl.DataFrame(schema={"person_id": pl.Int64, "fiscal_year": pl.Int64})
    guidance.write_parquet(folder / "guidance.parquet")
    report = check_folder(folder).filter(pl.col("rule") == "table_empty")
    assert report.select("table", "level").rows() == [("claims", "error")]
    assert describe(report.row(0, named=True)) == "誤り claims: 必要な表に行が1行もない"


@pytest.mark.parametrize(("wrong", "level"), [(2, "warning"), (3, "error")])
def test_a_column_mostly_out_of_range_is_an_error(engine, wrong, level):
    """HbA1c without its point (58 for 5.8) in 2 of 4 rows is odd, in 3 of 4 a wrong file."""
    rows = [{"hba1c": 58.0 if number < wrong else 5.8} for number in range(4)] + [{"hba1c": None}] * 3
    frame = build("checkups", *[row | {"record_id": 1} for row in rows])
    report = check_table(engine(frame), "checkups")
    assert broken(report) == [("hba1c", "range", level, wrong, 4)]
    assert ("単位や小数点の誤り" in describe(report.row(0, named=True))) is (level == "error")


@pytest.mark.parametrize(("lost", "level"), [(2, "warning"), (3, "error")])
def test_ids_that_mostly_refer_to_nobody_are_an_error(folder, lost, level):
    people = [{"person_id": 5 if number < lost else 1} for number in range(4)]
    build("checkups", *people).write_parquet(folder / "checkups.parquet")
    report = check_folder(folder)
    assert report.select("table", "rule", "level", "rows", "of").rows() == [("checkups", "orphan", level, lost, 4)]


def test_a_wrong_type_says_what_was_found_and_what_is_needed(engine):
    frame = build("checkups", {}).with_columns(fpg=pl.lit("98"), checkup_date=pl.lit(20240510))
    lines = [describe(row) for row in check_table(engine(frame), "checkups").to_dicts()]
    assert len(lines) == 2
    assert lines[0].startswith("誤り checkups.checkup_date: 列の型が違う(見つかった型 整数(")
    assert lines[0].endswith("、必要な型 日付)")
    assert "98" not in lines[1]
    assert lines[1].endswith("、必要な型 数値)")


def test_a_csv_in_place_of_a_table_is_pointed_out(folder):
    (folder / "claims.parquet").unlink()
    (folder / "Claims_2024.CSV").write_text("a", encoding="utf-8")
    (folder / "a.csv").write_text("a", encoding="utf-8")
    line = describe(check_folder(folder).row(0, named=True))
    assert line.startswith("誤り claims: 必要な表がない(Claims_2024.CSV がありますが、CSVは読みません。claims.parquet")


def test_no_value_of_a_person_is_told(folder):
    odd = {"person_id": 987654321987, "status": "秘密の値", "treatment_month": 202477}
    build("claims", odd, {}).write_parquet(folder / "claims.parquet")
    report = check_folder(folder)
    lines = [describe(row) for row in report.iter_rows(named=True)]
    assert "誤り claims.status: 決められた値でない 1行(2行のうち) 行番号 1" in lines
    told = "\n".join(lines) + report.write_json()
    for value in ("987654321987", "秘密の値", "202477"):
        assert value not in told


def test_every_rule_has_a_level_and_words_and_every_reference_its_columns():
    assert all(level in ("error", "warning") and words for level, words in RULES.values())
    for table, column, target in REFERENCES:
        assert column in TABLES[table].names
        assert column in TABLES[target].names


# --- a slow oracle --------------------------------------------------------------------------------------


def overlaps(rows: list[tuple]) -> int:
    """Stretches that begin inside an earlier stretch of the same person, pair by pair."""
    late = set()
    for person, first, _ in rows:
        for other, start, stop in rows:
            if person == other and start < first and (stop is None or first < stop):
                late.add((person, first))
    return len(late)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_overlaps_agree_with_a_pairwise_oracle(seed):
    random = np.random.default_rng(seed)
    rows = set()
    for _ in range(200):
        first = D(2020, 1, 1) + dt.timedelta(days=int(random.integers(0, 2000)))
        length = int(random.integers(1, 500))
        end = None if random.random() < 0.1 else first + dt.timedelta(days=length)
        rows.add((int(random.integers(1, 40)), first, end))
    unique = list({(person, first): (person, first, end) for person, first, end in rows}.values())
    frame = build("members", *[{"person_id": p, "valid_from": first, "valid_to": end} for p, first, end in unique])
    expected = overlaps(unique)
    assert expected > 20
    for given in (frame, duckdb.connect().from_arrow(frame.to_arrow())):
        report = check_table(given, "members", all_rules=True).filter(rule="overlap")
        assert report["rows"].to_list() == [expected]


def test_a_table_without_a_key_is_checked_and_may_repeat_a_row(engine, tmp_path):
    row = {"source": "a.csv", "level": "value", "rule": "range", "reason": "入力範囲の外", "month": 202405}
    frame = pl.DataFrame([row, row, row | {"level": "cell"}, row | {"month": 202413}])
    report = check_table(engine(frame), "quarantine")
    assert broken(report) == [
        ("level", "value", "error", 1, 4),
        ("month", "month", "error", 1, 4),
    ]
    assert not set(check_table(engine(frame), "quarantine", all_rules=True)["rule"]) & {"key_null", "key_duplicated"}
    frame.head(2).write_parquet(tmp_path / "quarantine.parquet")
    assert not len(check_folder(tmp_path).filter(table="quarantine"))
