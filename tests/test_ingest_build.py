"""Staged deliveries become canonical tables: linked, without repetitions, every record accounted for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kenpo_analytics import store
from kenpo_analytics.checks import check_folder
from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import normal_kana
from kenpo_analytics.ingest.records import Batch
from kenpo_analytics.ingest.store import build as b
from kenpo_analytics.ingest.store.assemble import canonical
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.tables import TABLES
from tests.staged_world import KEY, balanced, batch, checkup, claim, ingest, member, opened, source, table, who


def d(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


START, LOSS, DAY = d("2019-04-01"), d("2023-07-16"), d("2024-05-10")
FATHER = who()
SON = who(branch_number="02", birth=d("2010-02-03"), kana="カクウ ジロウ")
TWIN_A, TWIN_B = (
    who(symbol="55", branch_number=None, birth=d("2015-06-07"), kana=k) for k in ("フタゴ ア", "フタゴ イ")
)
HOUSE = [member(person, START) for person in (FATHER, SON, TWIN_A, TWIN_B)]


def linked(tmp_path: Path, person: dict[str, Any], *, members: list[dict[str, Any]] | None = None) -> tuple[str, Any]:
    """(rule, whose kana) of a checkup of this person, or ("refused", rule)."""
    rows = HOUSE if members is None else members
    summary = ingest(tmp_path, ("m", batch(members=rows)), ("c", batch(checkups=[checkup(person, DAY)])))
    assert balanced(summary)
    row = summary.sources.filter(pl.col("source") == "c").row(0, named=True)
    if row["accepted"] == 0:
        return "refused", summary.quarantine.filter(pl.col("source") == "c")["rule"].item()
    rule = next(name for name in ("number", "birth", "kana", "record") if row[f"linked_{name}"])
    ids = {identity(each): each["kana"] for each in rows}
    return rule, ids[table(tmp_path, "checkups")["person_id"].item()]


def identity(person: dict[str, Any]) -> int:
    """The id of somebody listed once, by the formula."""
    family = KEY.seal("|".join(["family", person["insurer"], person["symbol"], person["number"]]))
    birth = KEY.seal(f"birth|{person['birth']}|{person['sex']}")
    kana = KEY.seal(f"kana|{normal_kana(person['kana'])}")
    return KEY.seal(f"person|{family}|{birth}|{kana}")


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (FATHER, ("number", FATHER["kana"])),
        (SON | {"kana": None}, ("number", SON["kana"])),
        (SON | {"branch_number": None, "kana": None}, ("birth", SON["kana"])),
        (SON | {"branch_number": None, "sex": None, "kana": None}, ("birth", SON["kana"])),
        (FATHER | {"sex": None}, ("number", FATHER["kana"])),
        (FATHER | {"birth": None}, ("number", FATHER["kana"])),
        (TWIN_B, ("birth", TWIN_B["kana"])),
        (TWIN_B | {"sex": None}, ("birth", TWIN_B["kana"])),
        (TWIN_A | {"kana": None}, ("refused", "twin_ambiguous")),
        (TWIN_A | {"kana": None, "branch_number": "01"}, ("refused", "twin_ambiguous")),
        (SON | {"symbol": "1", "number": "2"}, ("kana", SON["kana"])),
        (SON | {"symbol": None}, ("kana", SON["kana"])),
        (SON | {"symbol": None, "sex": None}, ("kana", SON["kana"])),
        (SON | {"symbol": "1", "birth": None}, ("refused", "not_enrolled")),
        (FATHER | {"birth": d("1970-05-18")}, ("refused", "identity_conflict")),
        (FATHER | {"sex": "F"}, ("refused", "identity_conflict")),
        (SON | {"branch_number": "03", "kana": None}, ("refused", "identity_conflict")),
        (SON | {"branch_number": "03"}, ("birth", SON["kana"])),
        (SON | {"branch_number": None, "birth": None, "kana": None}, ("refused", "no_birth")),
        (SON | {"branch_number": None, "birth": None}, ("birth", SON["kana"])),
        (who(number="999", kana="イナイ"), ("refused", "not_enrolled")),
        (who(symbol=None, kana=None), ("refused", "no_identity")),
    ],
)
def test_a_record_is_linked_by_the_first_rule_that_fits(tmp_path, person, expected):
    assert linked(tmp_path, person) == expected


def test_namesakes_cannot_be_told_by_name(tmp_path):
    pair = [member(FATHER, START), member(FATHER | {"symbol": "7", "number": "1"}, START)]
    summary = ingest(tmp_path, ("m", batch(members=pair)), ("c", batch(checkups=[checkup(who(number="3"), DAY)])))
    assert summary.quarantine["rule"].to_list().count("same_name_and_birth_ambiguous") == 1
    assert "checkups" in summary.rows and summary.rows["checkups"] == 0


def test_a_waiting_record_joins_when_a_list_names_the_person(tmp_path):
    records = ("c", batch(checkups=[checkup(SON, DAY)], claims=[claim(SON, 202404, "77")]))
    first = ingest(tmp_path, ("m", batch(members=HOUSE[:1])), records)
    assert first.quarantine["rule"].to_list() == ["not_enrolled", "not_enrolled"]
    later = ingest(tmp_path, ("m2", batch(members=HOUSE[1:2])))
    assert later.quarantine.is_empty()
    assert (later.rows["checkups"], later.rows["claims"]) == (1, 1)


def test_without_any_member_list_people_are_made_of_the_records(tmp_path):
    moved = FATHER | {"symbol": "8", "number": "8", "branch_number": None}
    records = [
        checkup(p, DAY + dt.timedelta(days=at)) for at, p in enumerate([FATHER, SON, moved, SON | {"kana": None}])
    ]
    lost = checkup(who(symbol=None, kana=None), DAY)
    summary = ingest(tmp_path, ("c", batch(checkups=[*records, lost])))
    assert not (tmp_path / "members.parquet").exists()
    ids = table(tmp_path, "checkups").sort("checkup_date")["person_id"].to_list()
    assert ids[0] == ids[2] != ids[1] == ids[3]
    assert ids[0] == identity(FATHER)
    assert summary.sources["linked_record"].item() == 4
    assert summary.quarantine["rule"].to_list() == ["no_identity"]
    assert balanced(summary)


def test_twins_are_listed_even_where_only_their_records_tell_of_them(tmp_path):
    rows = [checkup(twin, DAY + dt.timedelta(days=at)) for twin in (TWIN_A, TWIN_B) for at in range(2)]
    summary = ingest(tmp_path, ("c", batch(checkups=[*rows, checkup(TWIN_A | {"kana": None}, DAY)])))
    assert table(tmp_path, "checkups")["person_id"].n_unique() == 2
    said = summary.quarantine.select("line", "level", "item", "rule").sort("line").rows()
    assert said == [
        (2, "note", "person_id", "twin_unresolved"),
        (4, "note", "person_id", "twin_unresolved"),
        (6, "row", None, "twin_ambiguous"),
    ]
    assert balanced(summary)


# --- repetitions, corrections, deletions ------------------------------------------------------------------------------


def checkups(*deliveries: list[dict[str, Any]], made: list[int | None]) -> list[tuple[str, Batch]]:
    filed = [[{**row, "filed": day} for row in rows] for rows, day in zip(deliveries, made, strict=True)]
    return [("m", batch(members=HOUSE)), *((f"c{at}", batch(checkups=rows)) for at, rows in enumerate(filed))]


def fates(summary: b.Summary) -> dict[str, tuple[int, int, int]]:
    columns = ("source", "accepted", "quarantined", "duplicate")
    return {name: tuple(rest) for name, *rest in summary.sources.select(columns).rows() if name != "m"}


def test_the_later_filed_checkup_holds_in_either_order(tmp_path):
    wrong, right = [checkup(FATHER, DAY, fpg=95.0)], [checkup(FATHER, DAY, fpg=105.0)]
    for name, order, made in (("a", (wrong, right), [20240601, 20240801]), ("b", (right, wrong), [20240801, 20240601])):
        summary = ingest(tmp_path / name, *checkups(*order, made=made))
        assert table(tmp_path / name, "checkups")["fpg"].to_list() == [105.0]
        assert sorted(fates(summary).values()) == [(0, 0, 1), (1, 0, 0)]
    ids = [table(tmp_path / name, "checkups")["record_id"].item() for name in "ab"]
    assert ids == [KEY.seal(f"checkup|{identity(FATHER)}|2024-05-10|2411000001")] * 2


def test_a_checkup_delivered_again_unchanged_was_received_when_it_first_came(tmp_path):
    again = [[checkup(FATHER, DAY, received_month=month)] for month in (202406, 202501)]
    changed = [checkup(FATHER, DAY, received_month=202502, fpg=None)]
    ingest(tmp_path / "a", *checkups(*again, made=[None, None]))
    assert table(tmp_path / "a", "checkups")["received_month"].to_list() == [202406]
    ingest(tmp_path / "b", *checkups(*again, changed, made=[None] * 3))
    assert table(tmp_path / "b", "checkups").select("received_month", "fpg").rows() == [(202502, None)]


def test_other_days_and_institutions_are_other_checkups(tmp_path):
    other, next_day = {"institution": "2411000002"}, DAY + dt.timedelta(days=1)
    rows = [checkup(FATHER, DAY), checkup(FATHER, DAY, **other), checkup(FATHER, next_day)]
    summary = ingest(tmp_path, *checkups([*rows, rows[1]], made=[None]))
    assert summary.rows["checkups"] == 3
    assert fates(summary) == {"c0": (3, 0, 1)}


def test_a_deletion_removes_what_came_before(tmp_path):
    put, other = checkup(FATHER, DAY), checkup(SON, DAY)
    delete = checkup(FATHER, DAY, action="delete")
    summary = ingest(tmp_path / "a", *checkups([put, other], [delete], made=[20240601, 20240701]))
    assert (summary.rows["checkups"], fates(summary)) == (1, {"c0": (1, 0, 1), "c1": (0, 0, 1)})
    again = ingest(tmp_path / "a", ("c9", batch(checkups=[{**put, "filed": 20240801}])))
    assert again.rows["checkups"] == 2, "delivered again after the deletion"
    same = ingest(tmp_path / "b", *checkups([delete, put], made=[20240601]))
    assert (same.rows["checkups"], fates(same)) == (0, {"c0": (0, 0, 2)})


def test_a_deletion_that_finds_nothing_is_quarantined(tmp_path):
    late, delete = checkup(FATHER, DAY), checkup(FATHER, DAY, action="delete")
    summary = ingest(tmp_path, *checkups([late], [delete], made=[20240801, 20240701]))
    assert fates(summary) == {"c0": (1, 0, 0), "c1": (0, 1, 0)}
    assert summary.quarantine.filter(pl.col("source") == "c1")["rule"].to_list() == ["nothing_to_delete"]


def test_claims_hold_as_last_delivered_with_their_fees(tmp_path):
    fee = {"claim_key": "5", "code": "111000570", "count": 1}
    first = batch(claims=[claim(FATHER, 202404, "5", points=10)], claim_fees=[{**fee, "day": 3}, {**fee, "day": 4}])
    second = batch(claims=[claim(FATHER, 202404, "5", points=20)], claim_fees=[{**fee, "day": 3, "count": 2}])
    house = ("m", batch(members=HOUSE))
    summary = ingest(tmp_path, house, ("r1", first), ("r2", second))
    assert table(tmp_path, "claims").select("claim_id", "points").rows() == [(5, 20)]
    assert table(tmp_path, "claim_fees").select("day", "count", "institution", "status").rows() == [
        (3, 2, "2410000001", "normal")
    ]
    assert fates(summary) == {"r1": (0, 0, 1), "r2": (1, 0, 0)}


def test_claims_after_loss_returned_and_reclaimed(tmp_path):
    members = [member(FATHER, START, LOSS), member(SON, START, LOSS), member(SON, d("2023-10-01"), workplace_id="W2")]
    claims = [claim(FATHER, month, str(month)) for month in (202306, 202307, 202308, 202401, 201903)]
    claims += [claim(SON, month, f"1{month}") for month in (202308, 202309, 202310)]
    claims += [
        claim(FATHER, 202305, "90", status="after_loss"),
        claim(FATHER, 202305, "91"),
        claim(FATHER, 202308, "92"),
    ]
    lines = [{"claim_key": "91", "status": "returned"}, {"claim_key": "92", "status": "reclaimed"}]
    lines += [{"claim_key": "91", "status": "reclaimed", "filed": 20200101}, {"claim_key": "404", "status": "returned"}]
    summary = ingest(
        tmp_path,
        ("s", batch(claim_status=lines)),
        ("m", batch(members=members)),
        ("r", batch(claims=claims, claim_fees=[{"claim_key": "92", "code": "111000570", "day": 1, "count": 1}])),
    )
    status = dict(table(tmp_path, "claims").select("claim_id", "status").rows())
    expected = {202306: "normal", 202307: "normal", 202308: "after_loss", 202401: "after_loss", 201903: "normal"}
    expected |= {1202308: "after_loss", 1202309: "after_loss", 1202310: "normal"}
    assert status == expected | {90: "after_loss", 91: "returned", 92: "reclaimed"}
    assert table(tmp_path, "claim_fees")["status"].to_list() == ["reclaimed"]
    assert fates(summary)["s"] == (2, 1, 1)
    assert summary.quarantine.select("source", "table", "rule").rows() == [("s", "claim_status", "claim_not_found")]
    assert balanced(summary)


def test_a_loss_on_the_first_of_a_month_leaves_no_day_of_it(tmp_path):
    claims = [claim(FATHER, month, str(month)) for month in (202307, 202308)]
    ingest(tmp_path, ("m", batch(members=[member(FATHER, START, d("2023-08-01"))])), ("r", batch(claims=claims)))
    assert table(tmp_path, "claims").select("claim_id", "status").rows() == [(202307, "normal"), (202308, "after_loss")]


def test_letters_find_the_checkup_that_led_to_them(tmp_path):
    letter = {"programme": "leaflet", "planned_date": d("2024-08-20"), "status": "sent", "rule": "and"}
    letters = [{**FATHER, **letter, "checkup_date": DAY}, {**SON, **letter, "checkup_date": DAY}, {**TWIN_A, **letter}]
    changed = {**FATHER, **letter, "checkup_date": DAY, "status": "undelivered"}
    summary = ingest(
        tmp_path,
        ("m", batch(members=HOUSE)),
        ("l", batch(mailings=letters)),
        ("l2", batch(mailings=[changed])),
        ("c", batch(checkups=[checkup(FATHER, DAY)])),
    )
    record = table(tmp_path, "checkups")["record_id"].item()
    found = table(tmp_path, "mailings")
    assert sorted(found.select("status", "record_id").rows(), key=str) == sorted(
        [("undelivered", record), ("sent", None), ("sent", None)], key=str
    )
    said = summary.quarantine.filter(pl.col("table") == "mailings").select("rule", "level", "item", "line", "month")
    assert said.rows() == [("checkup_not_found", "value", "record_id", 3, 202408)]
    assert fates(summary)["l"] == (2, 0, 1)


def test_tables_without_people_keep_the_later_row_of_a_key(tmp_path):
    place = {"workplace_id": "W1", "industry": "医療業", "insured_count": 10}
    kpi = {"branch": "24", "kpi_id": "checkup", "month": 202404, "definition_version": "1", "state": "provisional"}
    summary = ingest(
        tmp_path,
        ("w", batch(workplaces=[place, {**place, "workplace_id": "W2"}], kpi_monthly=[kpi])),
        ("w2", batch(workplaces=[{**place, "insured_count": 12}], kpi_monthly=[{**kpi, "state": "final"}])),
    )
    assert table(tmp_path, "workplaces").select("workplace_id", "insured_count").rows() == [("W1", 12), ("W2", 10)]
    assert table(tmp_path, "kpi_monthly")["state"].to_list() == ["final"]
    assert summary.sources.select("table", "read", "accepted", "duplicate").rows() == [
        ("workplaces", 2, 1, 1), ("kpi_monthly", 1, 0, 1), ("workplaces", 1, 1, 0), ("kpi_monthly", 1, 1, 0)
    ]  # fmt: skip
    assert summary.sources["linked_number"].to_list() == [None] * 4


# --- the whole --------------------------------------------------------------------------------------------------------


def test_what_readers_rejected_and_removed_is_accounted_for(tmp_path):
    said = {
        "line": 9,
        "level": "row",
        "rule": "bad_date",
        "reason": "日付が読めません",
        "institution": "K1",
        "month": 202404,
    }
    value = {**said, "line": 2, "level": "value", "rule": "range", "item": "fpg"}
    summary = ingest(
        tmp_path,
        ("m", batch(members=HOUSE)),
        ("c", batch([said, value], checkups=[checkup(FATHER, DAY)])),
        ("r", batch([said], removed=3, claims=[claim(FATHER, 202404, "1")])),
        ("x", batch([{**said, "rule": "unreadable"}])),
    )
    columns = ("source", "table", "read", "accepted", "quarantined", "duplicate", "values_rejected")
    assert summary.sources.filter(pl.col("source") != "m").select(columns).rows() == [
        ("c", "checkups", 2, 1, 1, 0, 1), ("r", "claims", 5, 1, 1, 3, 0), ("x", "なし", 1, 0, 1, 0, 0)
    ]  # fmt: skip
    rows = (
        summary.quarantine.filter(pl.col("source") == "c")
        .select("table", "line", "rule", "institution", "month")
        .rows()
    )
    assert sorted(rows) == [("checkups", 2, "range", "K1", 202404), ("checkups", 9, "bad_date", "K1", 202404)]


def test_a_count_that_does_not_add_up_is_an_error_naming_the_file(tmp_path):
    with opened(tmp_path) as held:
        entry = held.add(
            source("c"), [batch(checkups=[checkup(FATHER, DAY)])], received_month=202504, received_from="x"
        )
        path = held.folder / entry.digest / "source.json"
        path.write_text(path.read_text(encoding="utf-8").replace('"read": 1', '"read": 2'), encoding="utf-8")
        with pytest.raises(IngestError, match=r"内部エラー: c\(checkups\).*読んだ2件、取り込み1件"):
            b.build(tmp_path, KEY)
    assert not (tmp_path / "checkups.parquet").exists()


def everything() -> list[tuple[str, Batch]]:
    letter = {"programme": "leaflet", "planned_date": d("2024-08-20"), "status": "sent", "checkup_date": DAY}
    guided = {"fiscal_year": 2024, "level": "積極的支援", "first_interview": d("2024-09-01")}
    area = {"measure": "visits", "area": "24", "sex": "F", "age_band": "00-04", "period": "2024", "events": 2**40}
    return [
        ("m", batch(members=HOUSE)),
        ("c", batch(checkups=[checkup(FATHER, DAY), checkup(SON, DAY, filed=20240701)])),
        ("r", batch(claims=[claim(SON, 202404, "12345678901234567"), claim(SON, 202304, "2")],
                    claim_fees=[{"claim_key": "2", "code": "111000570", "day": 1, "count": 1}])),
        ("l", batch(mailings=[{**FATHER, **letter}], guidance=[{**FATHER, **guided}])),
        ("n", batch(national=[{**area, "denominator": 2.5, "denominator_unit": "person"}],
                    workplaces=[{"workplace_id": "W1", "industry": "医療業"}])),
    ]  # fmt: skip


def test_the_tables_have_the_types_of_the_sample(tmp_path):
    ingest(tmp_path, *everything())
    sample = Path(__file__).parents[1] / "data" / "sample"
    for name in TABLES:
        made = tmp_path / f"{name}.parquet"
        if made.exists():
            schema = pl.read_parquet_schema(made)
            assert schema == canonical(TABLES[name])
            if name not in ("sources", "quarantine") and (sample / made.name).exists():
                assert dict(schema) == dict(pl.read_parquet_schema(sample / made.name)), name


def test_what_was_built_loads_and_passes_the_checks(tmp_path):
    summary = ingest(tmp_path, *everything())
    tables = store.load(tmp_path)
    assert (tables.month, tables.synthetic) == (202504, True)
    assert tables.polars("claims").height == summary.rows["claims"] == 2
    found = check_folder(tmp_path)
    assert found.is_empty(), found.to_dicts()


def test_the_same_again_changes_no_byte(tmp_path):
    ingest(tmp_path, *everything())
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert len(before) == 10
    ingest(tmp_path, *everything())
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert not (tmp_path / ".ingest" / ".build").exists()


def test_many_claims_are_split_into_months_and_stay_the_same(tmp_path, monkeypatch):
    claims = [claim(FATHER if at % 2 else SON, 201901 + at % 12 + 100 * (at % 5), str(1000 + at)) for at in range(300)]
    fees = [
        {"claim_key": str(1000 + at), "code": "111000570", "day": 1 + at % 28, "count": 1} for at in range(0, 300, 3)
    ]
    deliveries = [
        ("m", batch(members=HOUSE)),
        ("r", batch(claims=claims, claim_fees=fees)),
        ("r2", batch(claims=claims[:50])),
    ]
    whole = ingest(tmp_path / "whole", *deliveries)
    monkeypatch.setattr(b, "LARGE", 60)
    parts = ingest(tmp_path / "whole", ("one more", batch(workplaces=[])))
    files = [
        str(path.relative_to(tmp_path / "whole" / "claims")) for path in (tmp_path / "whole" / "claims").glob("*/*")
    ]
    months = [201901 + month + 100 * year for year in range(5) for month in range(12)]
    assert sorted(files) == sorted(str(Path(f"fy{fiscal_year_of(m)}") / f"{m}.parquet") for m in months)
    assert not (tmp_path / "whole" / "claims.parquet").exists()
    assert parts.rows["claims"] == whole.rows["claims"] == 300
    again = ingest(tmp_path / "again", *deliveries)
    for name in ("claims", "claim_fees"):
        split = store.scan(tmp_path / "whole", TABLES[name])[0].collect()
        other = store.scan(tmp_path / "again", TABLES[name])[0].collect()
        assert split.equals(other)
        assert split.columns == list(TABLES[name].names)
    assert parts.sources.filter(pl.col("source") != "one more").equals(whole.sources)
    assert again.sources.equals(whole.sources)
    monkeypatch.undo()
    ingest(tmp_path / "whole")
    assert not (tmp_path / "whole" / "claims").exists()
    joined = table(tmp_path / "whole", "claims")
    assert joined.equals(split_sorted(tmp_path / "again", "claims"))


def split_sorted(data: Path, name: str) -> pl.DataFrame:
    return store.scan(data, TABLES[name])[0].collect().sort("person_id", "treatment_month", "claim_id")


def test_two_files_of_one_name_are_told_apart(tmp_path):
    one, other = batch(workplaces=[{"workplace_id": "W1", "industry": "医療業"}]), batch(workplaces=[])
    with opened(tmp_path) as held:
        for digest, each in (("aa", one), ("bb", other)):
            named = source("list.xlsx")
            held.add(type(named)(**{**vars(named), "digest": digest}), [each], received_month=202504, received_from="x")
        summary = b.build(tmp_path, KEY)
    assert summary.sources["source"].to_list() == ["list.xlsx", "list.xlsx#2"]


PEOPLE = [
    FATHER,
    SON,
    TWIN_A,
    TWIN_B,
    who(symbol="99", number="1"),
    TWIN_A | {"kana": None},
    who(symbol=None, kana=None),
]
days, keys = st.integers(20240601, 20240630), st.integers(1, 4)


def put(p: dict[str, Any], later: int, made: int, action: str, value: float) -> tuple[str, dict[str, Any]]:
    return "checkups", {**checkup(p, DAY + dt.timedelta(days=later), fpg=value), "filed": made, "action": action}


def stretch(p: dict[str, Any], at: int, made: int) -> tuple[str, dict[str, Any]]:
    start = START + dt.timedelta(days=400 * at)
    return "members", {**member(p, start, municipality=f"2420{at}"), "filed": made}


def charge(p: dict[str, Any], key: int, made: int, points: int) -> tuple[str, dict[str, Any]]:
    return "claims", {**claim(p, 202400 + key, str(key), points=points), "filed": made}


def state(key: int, made: int, status: str) -> tuple[str, dict[str, Any]]:
    return "claim_status", {"claim_key": str(key), "status": status, "filed": made}


anyone, actions = st.sampled_from(PEOPLE), st.sampled_from(["put", "put", "delete"])
records = st.one_of(
    st.builds(put, anyone, st.integers(0, 1), days, actions, st.floats(80, 120)),
    st.builds(stretch, anyone, st.integers(0, 2), days),
    st.builds(charge, anyone, keys, days, st.integers(1, 9)),
    st.builds(state, keys, days, st.sampled_from(["returned", "reclaimed"])),
)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(records, min_size=1, max_size=14, unique_by=lambda r: (r[0], r[1]["filed"])), st.data())
def test_the_order_of_deliveries_does_not_matter(tmp_path_factory, world, data):
    """Whatever is dated by the file itself: A then B, B then A, and both at once make the same tables."""
    cut = data.draw(st.integers(0, len(world)))

    def pack(part: list[tuple[str, dict]]) -> Batch:
        return batch(**{name: [row for n, row in part if n == name] for name in dict.fromkeys(n for n, _ in part)})

    a, z = ("a", pack(world[:cut])), ("z", pack(world[cut:]))
    orders = [[a, z], [z, a], [("both", pack(world))]]
    made = []
    for order in orders:
        folder = tmp_path_factory.mktemp("data")
        summary = ingest(folder, *order)
        assert balanced(summary)
        assert summary.sources["read"].sum() == len(world)
        written = ("members", "checkups", "claims", "claim_fees")
        made.append({name: table(folder, name) for name in written if (folder / f"{name}.parquet").exists()})
    for other in made[1:]:
        assert other.keys() == made[0].keys()
        for name, frame in other.items():
            assert frame.equals(made[0][name]), name


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_record_without_its_institution_is_of_the_one_that_others_name(tmp_path, order):
    named = ("xml", batch(members=[member(FATHER, START)], checkups=[checkup(FATHER, DAY, fpg=99.0, filed=20240701)]))
    bare = ("csv", batch(checkups=[checkup(FATHER, DAY, fpg=95.0, institution=None, filed=20240601)]))
    deliveries = [named, bare]
    summary = ingest(tmp_path, *(deliveries[at] for at in order))
    assert summary.rows["checkups"] == 1
    (row,) = pl.read_parquet(tmp_path / "checkups.parquet").iter_rows(named=True)
    assert (row["fpg"], row["institution"]) == (99.0, "2411000001")
    gone = ("del", batch(checkups=[checkup(FATHER, DAY, institution=None, action="delete", filed=20240801)]))
    assert ingest(tmp_path, gone).rows["checkups"] == 0


def test_between_two_institutions_of_one_day_a_record_without_one_stays_apart(tmp_path):
    records = [checkup(FATHER, DAY, institution=place) for place in ("2411000001", "2411000002", None)]
    summary = ingest(tmp_path, ("a", batch(members=[member(FATHER, START)], checkups=records)))
    assert summary.rows["checkups"] == 3
