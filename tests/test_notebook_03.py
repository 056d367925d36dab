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


def test_the_headline_travels_with_the_conclusion(people):
    outputs = [o for cell in nbformat.read(NOTEBOOK, as_version=4).cells for o in cell.get("outputs", [])]
    headlines = [
        o.metadata["kenpo"]["headline"] for o in outputs if o.get("metadata", {}).get("kenpo", {}).get("headline")
    ]
    record = headlines[0]["未治療者の10か月以内受診割合"]
    assert record["persons"] == len(people)
    assert record["lower"] < record["estimate"] < record["upper"]
