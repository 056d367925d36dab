"""Report test: what the explorer's notebook shows agrees with a slow count, and holds nobody's row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import nbformat
import polars as pl
import pytest

from kenpo_analytics.runs.plan import suite
from kenpo_analytics.runs.verify import verify
from tests import oracle
from tests.test_notebook_03 import tables_of
from tests.test_notebook_04 import numbers

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "explore_cohorts.ipynb"
SAMPLE = ROOT / "data" / "sample"
YEAR = 2024
MASK = "秘匿"


@pytest.fixture(scope="module")
def shown() -> dict[str, list[list[str]]]:
    return tables_of(NOTEBOOK)


@pytest.fixture(scope="module")
def found() -> tuple[dict, dict]:
    """(eligible checkup, place in the prediabetes flow) of every person of the year, judged one by one."""
    date = pl.col("checkup_date")
    checkups = pl.read_parquet(SAMPLE / "checkups.parquet").filter(
        date.dt.year() - (date.dt.month() < 4).cast(pl.Int32) == YEAR
    )
    members = pl.read_parquet(SAMPLE / "members.parquet").filter(
        pl.col("person_id").is_in(checkups["person_id"].implode())
    )
    rows, stretches = checkups.to_dicts(), members.to_dicts()
    return oracle.eligible(rows, stretches, YEAR), oracle.prediabetes(rows, stretches, YEAR, "or")


def test_both_kinds_of_frame_find_the_people_of_the_oracle(shown, found):
    chosen, place = found
    rows = {row[0]: row for row in shown["糖尿病予備群のフロー(pandas)"]}
    reasons = Counter(place.values())
    assert numbers(rows["糖尿病予備群"][3]) == [reasons["in"]]
    assert numbers(rows["血糖の服薬あり"][2]) == [reasons["medication"]]
    assert numbers(rows["同じ年度の別の健診・重複行(1人1件を採用)"][3]) == [len(chosen)]
    said = [text for text in texts() if "結果の種類" in text]
    assert "pandasのDataFrame" in said[0] and "person_idの型はint64" in said[0]
    assert "polarsのLazyFrame" in said[1] and "2と同じ" in said[1]


def texts() -> list[str]:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return [output["data"].get("text/plain", "") for cell in cells for output in cell.get("outputs", [])]


def wider(row: dict) -> bool:
    """With the lower bounds 100 mg/dL and 5.6 %, in words, on a row that is not in the diabetic range."""
    fpg = row["fpg"] if row["fasting"] in ("fasting", None) else None
    return (fpg is not None and 100 <= fpg < 126) or (row["hba1c"] is not None and 5.6 <= row["hba1c"] < 6.5)


def test_changed_bounds_give_the_people_between_them(shown, found):
    chosen, place = found
    open_to = ("in", "below", "one_marker_below")
    expected = sum(
        place[person] in open_to and wider(row) and row["medication_glucose"] is False for person, row in chosen.items()
    )
    row = shown["基準値を変えたときの人数"][0]
    assert numbers(row[1]) == [sum(value == "in" for value in place.values())]
    assert numbers(row[2]) == [expected]
    assert {row[4] for row in shown["変えた定義"]} == {"【支部設定】"}


def test_the_cross_table_and_the_shares_are_counts_of_the_same_people(shown, found):
    chosen, place = found
    members = pl.read_parquet(SAMPLE / "members.parquet").filter(pl.col("person_id").is_in(list(chosen)))
    about = {row["person_id"]: (YEAR - row["fy_age_base"], row["sex"]) for row in members.iter_rows(named=True)}
    inside, everyone = Counter(), Counter()
    for person, reason in place.items():
        age, sex = about[person]
        band = f"{age // 5 * 5:02d}-{age // 5 * 5 + 4:02d}"
        everyone[band] += 1
        if reason == "in":
            inside.update([(band, sex), (band, "計"), ("計", sex), ("計", "計")])
    rows = shown["糖尿病予備群の年齢階級と性別"]
    assert [row[0] for row in rows] == [*sorted(everyone), "計"]
    for band, *cells in rows:
        for value, sex in zip(cells, ("M", "F", "計"), strict=True):
            assert value == MASK or numbers(value) == [inside[band, sex]]
    for band, share, _ in shown[f"健診を受けた人のうち糖尿病予備群の割合({YEAR}年度)（数値）"]:
        assert numbers(share)[0] == pytest.approx(100 * inside[band, "計"] / everyone[band], abs=0.0501)


def test_small_towns_are_masked_and_an_unchecked_table_is_refused(shown):
    towns = dict(shown["糖尿病予備群の居住地(三重支部加入者に限る)"])
    assert towns["大紀町"] == MASK and numbers(towns["四日市市"])[0] > 100
    assert all(value == MASK or numbers(value)[0] >= 10 for value in towns.values())
    assert any("秘匿処理を通っていない結果は表示できません" in text for text in texts())


def test_nobodys_row_is_shown_and_every_output_is_stamped():
    assert verify(NOTEBOOK).outputs > 10  # refuses bare results, prints and widgets
    outputs = [cell.get("outputs", []) for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    assert "40000000" not in json.dumps([o["data"].get("text/html", "") for cell in outputs for o in cell])
    assert NOTEBOOK.stat().st_size <= 400_000


def test_it_is_no_part_of_the_monthly_run():
    assert NOTEBOOK not in suite(ROOT / "notebooks")
