"""Report test: the numbers on the committed page of notebook 03 are what the slow oracle finds in the sample."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import polars as pl
import pytest
from bs4 import BeautifulSoup

from tests import oracle
from tests.test_outcomes_first_visit import oracle as follow

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "03_untreated_followup.ipynb"
SAMPLE = ROOT / "data" / "sample"
YEAR, THROUGH = 2023, 202504


def tables_of(path: Path) -> dict[str, list[list[str]]]:
    """Caption -> rows of every table in the outputs of a notebook."""
    found = {}
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            for table in BeautifulSoup(html, "html.parser").select("table"):
                if table.caption:
                    rows = [[cell.get_text(" ", strip=True) for cell in row(["td", "th"])] for row in table.tbody("tr")]
                    found[table.caption.get_text(strip=True)] = rows
    return found


@pytest.fixture(scope="module")
def people() -> dict:
    """person_id -> (state, month) of every untreated person of the year, found one by one."""
    received = pl.col("received_month") <= 202510
    checkups = pl.read_parquet(SAMPLE / "checkups.parquet").filter(received)
    date = pl.col("checkup_date")
    checkups = checkups.filter(date.dt.year() - (date.dt.month() < 4).cast(pl.Int32) == YEAR)
    members = pl.read_parquet(SAMPLE / "members.parquet").filter(
        pl.col("person_id").is_in(checkups["person_id"].implode())
    )
    claims = pl.read_parquet(SAMPLE / "claims.parquet").filter(
        received, pl.col("person_id").is_in(checkups["person_id"].implode()), pl.col("treatment_month") >= 202302
    )
    claims = claims.select("person_id", "treatment_month", "status", "kind").to_dicts()
    found = oracle.untreated(checkups.to_dicts(), claims, members.to_dicts(), YEAR, "first", "kpi")
    inside = {person for person, place in found.items() if isinstance(place, set)}
    chosen = oracle.eligible(checkups.to_dicts(), members.to_dicts(), YEAR)
    by_person: dict = {}
    for claim in claims:
        by_person.setdefault(claim["person_id"], []).append(claim)
    spells: dict = {}
    for member in members.to_dicts():
        spells.setdefault(member["person_id"], []).append(member)
    return {p: follow(chosen[p], by_person.get(p, []), spells[p], THROUGH) for p in inside}


def test_the_ten_month_share_is_what_the_oracle_counts(people):
    rows = {row[0]: row for row in tables_of(NOTEBOOK)["10か月以内の受診割合(期間の数え方別)"]}
    visited = [month for state, month in people.values() if state == "visited"]
    assert rows["0-10"][1] == str(len(people))
    assert rows["0-10"][2] == str(len(visited))
    assert rows["0-9"][2] == str(sum(month <= 9 for month in visited))
    assert rows["0-10"][3] == f"{100 * len(visited) / len(people):.1f}%"
    assert rows["0-10"][6] == str(sum(state == "left" for state, _ in people.values()))


def test_the_share_agrees_with_the_planted_hazards(people):
    """Within three standard errors, after the 1-2 points that blank and wrong answers add (data/sample/README.md)."""
    truth = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["untreated_visits"]["cumulative_incidence"]
    planted = truth["all_untreated_in_a_reached_domain"]["crude_any_0_10"]
    observed = sum(state == "visited" for state, _ in people.values()) / len(people)
    error = (observed * (1 - observed) / len(people)) ** 0.5
    assert abs(observed - 0.015 - planted) < 3 * error


def test_the_summary_says_whom_it_counts_and_who_is_still_open(people):
    outputs = [o for cell in nbformat.read(NOTEBOOK, as_version=4).cells for o in cell.get("outputs", [])]
    summary = next(o["data"]["text/plain"] for o in outputs if o["data"]["text/plain"].startswith("要約"))
    closed = sum(state != "open" for state, _ in people.values())
    visited = sum(state == "visited" for state, _ in people.values())
    assert (
        f"一次勧奨の値以上だった未治療者のうち、健診受診月から10か月の期間が終わりレセプトの到着も完了した{closed}人"
        in summary
    )
    assert f"期間内に受診した人は{visited}人、{100 * visited / closed:.1f}%(" in summary
    assert f"分母に含めなかった人は{len(people) - closed}人です" in summary


def test_whether_there_was_a_visit_before_the_checkup_could_be_judged_for_everybody():
    tables = tables_of(NOTEBOOK)
    flow = {row[0]: row for row in tables["対象者フロー（数値）"]}
    assert flow["判定不能: 受診の有無を確かめる月のレセプトが届ききっていない"][2] == "0"
    used = {row[0] for row in tables["用いた定義"]}
    assert {
        "KPI: 健診前に受診のないことを確かめる月数",
        "自己申告の服薬者を領域ごとに除く(1: 除く、0: 除かない)",
    } <= used
    assert {"同じ年度に複数回受診したときに採る健診(last/first)", "対象集団(被保険者) 健診の種類"} <= used


def test_the_headline_travels_with_the_conclusion(people):
    outputs = [o for cell in nbformat.read(NOTEBOOK, as_version=4).cells for o in cell.get("outputs", [])]
    headlines = [
        o.metadata["kenpo"]["headline"] for o in outputs if o.get("metadata", {}).get("kenpo", {}).get("headline")
    ]
    record = headlines[0]["未治療者の10か月以内受診割合"]
    assert record["persons"] == len(people)
    assert record["lower"] < record["estimate"] < record["upper"]


def share_of(text: str) -> float | None:
    return None if text in ("秘匿", "―") else float(text.rstrip("%")) / 100


def count_of(text: str) -> int | None:
    return None if text in ("秘匿", "―") else int(text.replace(",", ""))


def test_windows_and_curve_together_give_no_small_group_back(people):
    """Everything on the page that counts visitors of the same people: no two numbers lie 1 to 9 apart."""
    tables = tables_of(NOTEBOOK)
    windows = {row[0]: row for row in tables["10か月以内の受診割合(期間の数え方別)"]}
    curve = {int(row[0]): share_of(row[1]) for row in tables["受診の累積発生割合（数値）"]}
    everybody = len(people)
    months = [month for state, month in people.values() if state == "visited"]
    truth = [sum(month <= at for month in months) for at in range(11)]
    assert any(1 <= b - a < 10 for a, b in zip([0, *truth[:-1]], truth, strict=True))  # the sample has such a month
    seen = {0, everybody}
    for at, share in curve.items():
        if share is not None:
            assert share == pytest.approx(truth[at] / everybody, abs=0.0006)
            seen.add(round(share * everybody))
    assert curve[10] is not None and windows["0-10"][2] == str(truth[10])
    seen |= {n for row in windows.values() for n in (count_of(row[2]), count_of(row[5])) if n is not None}
    assert not {abs(a - b) for a in seen for b in seen} & set(range(1, 10)), sorted(seen)


def test_related_rows_of_a_window_table_are_no_small_step_apart():
    tables = tables_of(NOTEBOOK)
    names = ["10か月以内の受診割合(期間の数え方別)", "疾患に関係する受診の割合(傷病名または薬剤が該当領域と一致)"]
    rows = [row for name in names for row in tables[name]]
    assert len(rows) == 6
    for column in (1, 2, 5, 6, 7):  # persons, events, month 0, left, turned 75
        shown = {n for row in rows if (n := count_of(row[column])) is not None}
        assert not {abs(a - b) for a in shown for b in shown} & set(range(1, 10)), (column, sorted(shown))
    for row in rows:
        assert (row[2] == "秘匿") == (row[3] == "秘匿") == (row[4] == "秘匿")


def test_shares_are_hidden_only_where_their_own_people_are():
    rows = tables_of(NOTEBOOK)["年齢階級別の10か月以内の受診割合(0～10か月)"]
    assert any(row[5] == "秘匿" for row in rows)  # few left, or seen in month 0
    for row in rows:
        assert row[3] == f"{100 * count_of(row[2]) / count_of(row[1]):.1f}%"
