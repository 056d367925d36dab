"""Report test: notebook 05's shares, gaps and ranks recomputed from the published counts, without the library."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from scipy.stats import norm

from kenpo_analytics.runs.verify import verify
from tests.test_notebook_03 import tables_of
from tests.test_notebook_04 import numbers

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "05_national_benchmark.ipynb"
FOLDER = ROOT / "src" / "kenpo_analytics" / "definitions" / "national"
AGES = ["40-44", "45-49", "50-54", "55-59", "60-64", "65-69", "70-74"]
UNKNOWN, PRINTED = "都道府県判別不可", "全国(47都道府県+判別不可の和)"
LINES = {
    "HbA1c 6.5%以上": ("HbA1c", 6.5),
    "HbA1c 6.0%以上": ("HbA1c", 6.0),
    "収縮期血圧 140mmHg以上": ("SBP", 140),
    "LDLコレステロール 140mg/dL以上": ("LDL", 140),
    "BMI 25以上": ("BMI", 25),
}
SEX = {"男": "M", "女": "F"}


def read(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


BINS = [row for row in read("ndb10_fy2022_checkup_bins_pref_sex_age.csv") if row["prefecture"] != PRINTED]


def people_in(row: dict[str, str]) -> list[float]:
    """People of one printed row by age; its masked cells share what the printed total leaves, in equal parts."""
    cells = [row[f"n_{age}"] for age in AGES]
    left = int(row["n_40_74"]) - sum(int(cell) for cell in cells if cell)
    return [int(cell) if cell else left / cells.count("") for cell in cells]


def standardised(metric: str, line: float, sex: str) -> tuple[dict[str, float], float]:
    """Age-standardised share of each prefecture, and the nation's share (47 prefectures and 判別不可)."""
    above, examined = {}, {}
    for row in BINS:
        if row["metric"] == metric and row["sex"] == sex:
            high = bool(row["bin_lo_incl"]) and float(row["bin_lo_incl"]) >= line
            for i, n in enumerate(people_in(row)):
                key = row["prefecture"], i
                examined[key] = examined.get(key, 0) + n
                above[key] = above.get(key, 0) + (n if high else 0)
    names = dict.fromkeys(name for name, _ in examined)
    ages = range(len(AGES))
    mix = [sum(examined[name, i] for name in names) for i in ages]
    shares = {name: sum(mix[i] * above[name, i] / examined[name, i] for i in ages) / sum(mix) for name in names}
    return shares, sum(above.values()) / sum(mix)


def said(begins: str) -> str:
    """The one paragraph that begins so."""
    outputs = [output for cell in nbformat.read(NOTEBOOK, as_version=4).cells for output in cell.get("outputs", [])]
    found = [o["data"]["text/plain"] for o in outputs if o["data"].get("text/plain", "").startswith(begins)]
    assert len(found) == 1, (begins, len(found))
    return found[0]


@pytest.fixture(scope="module")
def shown() -> dict[str, list[list[str]]]:
    return tables_of(NOTEBOOK)


def test_mie_stands_where_the_published_counts_put_it(shown):
    rows = shown["三重の年齢調整割合と全国での位置"]
    assert [(row[0], row[1]) for row in rows] == [(label, sex) for label in LINES for sex in SEX]
    for label, sex, share, interval, nation, gap, gap_interval, rank, tested in rows:
        shares, whole = standardised(*LINES[label], SEX[sex])
        assert numbers(share)[0] == pytest.approx(100 * shares["三重県"], abs=0.00501)
        assert numbers(nation)[0] == pytest.approx(100 * whole, abs=0.00501)
        assert numbers(gap)[0] == pytest.approx(100 * (shares["三重県"] - whole), abs=0.00501)
        low, high = numbers(interval)
        assert low < numbers(share)[0] < high
        low, high = numbers(gap_interval)
        assert low < numbers(gap)[0] < high
        assert (tested == "―") == ("HbA1c" not in label)  # it says nothing about the rank of other tests
        others = [value for name, value in shares.items() if name != UNKNOWN]
        assert len(others) == 47 and int(rank) == 1 + sum(value < shares["三重県"] for value in others)


@pytest.mark.parametrize("sex", ["男", "女"])
def test_all_47_are_ranked_from_the_lowest_and_the_unknown_never(shown, sex):
    shares, _ = standardised("HbA1c", 6.5, SEX[sex])
    rows = shown[f"HbA1c 6.5%以上の順位と測定割合({sex})"]
    by_hand = sorted((name for name in shares if name != UNKNOWN), key=shares.__getitem__)
    assert [row[0] for row in rows[:47]] == by_hand
    assert [row[3] for row in rows[:47]] == [str(place) for place in range(1, 48)]
    assert {row[0]: row[3] for row in rows[47:]} == {UNKNOWN: "―", "全国": "―"}
    limits = [numbers(row[2]) for row in rows[:47]]
    touching = sum(before[1] >= after[0] for before, after in itertools.pairwise(limits))
    assert f"{sex}で{touching}組" in said("順位が隣り合う46組")
    people = {row["prefecture"]: 0 for row in BINS}
    for row in BINS:
        if (row["metric"], row["sex"]) == ("HbA1c", SEX[sex]):
            people[row["prefecture"]] += int(row["n_40_74"])
    assert all(numbers(row[5])[0] == people[row[0]] > numbers(row[6])[0] for row in rows[:47])


@pytest.mark.parametrize("sex", ["男", "女"])
def test_the_tested_share_stands_beside_each_rank(shown, sex):
    people = Counter()
    for row in BINS:
        if row["sex"] == SEX[sex]:
            people[row["metric"], row["prefecture"]] += int(row["n_40_74"])
    tested = {row[0]: numbers(row[4])[0] for row in shown[f"HbA1c 6.5%以上の順位と測定割合({sex})"]}
    assert min(tested.values()) < 60 < 85 < max(value for name, value in tested.items() if name != UNKNOWN)
    for name, value in tested.items():
        if name != "全国":
            assert value == pytest.approx(100 * people["HbA1c", name] / people["SBP", name], abs=0.0501)


def test_counts_are_the_printed_totals(shown):
    for area, names in {
        "三重": {"三重県"},
        "全国(47都道府県と判別不可の和)": {row["prefecture"] for row in BINS},
    }.items():
        for label, sex, people, above, crude, *_ in shown[f"検査を受けた人数と該当した人数: {area}"]:
            metric, line = LINES[label]
            rows = [
                row for row in BINS if row["metric"] == metric and row["sex"] == SEX[sex] and row["prefecture"] in names
            ]
            total = sum(int(row["n_40_74"]) for row in rows)
            k = sum(int(row["n_40_74"]) for row in rows if row["bin_lo_incl"] and float(row["bin_lo_incl"]) >= line)
            assert (numbers(people)[0], numbers(above)[0]) == (total, k)
            assert numbers(crude)[0] == pytest.approx(100 * k / total, abs=0.0501)


def test_published_visit_shares_are_printed_with_wilson_and_none_for_mie(shown):
    rows = shown["支部別の10か月以内の受診割合(公表されている13支部)"]
    published = read("jhia_branch_10month_visit.csv")
    assert len(rows) == len(published) == 26 and "三重" not in {row[0] for row in rows}
    z = norm.ppf(0.975)
    for row, printed in zip(rows, published, strict=True):
        n, k = int(printed["n_meeting_notice_criteria"]), int(printed["n_visited_within_10m"])
        middle, half = k + z**2 / 2, z * (k * (n - k) / n + z**2 / 4) ** 0.5
        low, high = ((middle + sign * half) / (n + z**2) for sign in (-1, 1))
        assert row[0] == printed["branch"] and numbers(row[2] + " " + row[3]) == [n, k]
        assert numbers(row[4])[0] == pytest.approx(float(printed["rate_pct"]), abs=0.11)
        assert numbers(row[5]) == pytest.approx([100 * low, 100 * high], abs=0.0501)


def test_every_figure_and_table_names_its_source_and_nothing_is_called_synthetic():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    public = [o for o in outputs if (o["metadata"]["kenpo"].get("log") or {}).get("rule") == "public"]
    tables = [o["data"]["text/html"] for o in public if "text/html" in o["data"]]
    assert len(tables) >= 10
    for html in tables:
        assert "第10回NDBオープンデータ" in html or "協会けんぽ「業績評価シート(令和6年度)」" in html
    assert not [o for o in outputs if "合成データ" in json.dumps(o["data"], ensure_ascii=False)]
    text = "\n".join(cell.source for cell in notebook.cells) + json.dumps(outputs, ensure_ascii=False)
    for said in (
        "全保険者",
        "40～74歳",
        "治療中の人を含み",
        "差の検定にはなりません",
        "三重の公表値なし",
        "国土数値情報",
    ):
        assert said in text


def test_the_page_can_be_published_as_public_figures():
    found = verify(NOTEBOOK)
    assert found.public and set(found.headline) == {
        f"三重 HbA1c 6.5%以上の割合({sex}、年齢調整、2022年度)" for sex in SEX
    }
    for sex, code in SEX.items():
        record = found.headline[f"三重 HbA1c 6.5%以上の割合({sex}、年齢調整、2022年度)"]
        shares, _ = standardised("HbA1c", 6.5, code)
        assert record["estimate"] == pytest.approx(shares["三重県"], abs=1e-9)
        assert record["lower"] < record["estimate"] < record["upper"]
    assert NOTEBOOK.stat().st_size <= 400_000
