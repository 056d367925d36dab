"""Report test: notebook 04 against the index by hand, a slow count of visits, and the planted truth."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import nbformat
import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from kenpo_analytics.runs.verify import verify
from tests import oracle_out_of_hours as oracle
from tests.test_notebook_03 import tables_of

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "04_out_of_hours_index.ipynb"
SAMPLE = ROOT / "data" / "sample"
FIRST, LAST, BRANCH = 202404, 202503, "24"
KINDS = {"first": "初診", "return": "再診"}
TRUTH = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["out_of_hours"]
MASK = "秘匿"


def numbers(text: str) -> list[float]:
    """Every number in a cell: "(−0.09 ～ +0.10)" gives [-0.09, 0.1]."""
    return [float(found) for found in re.findall(r"[-+]?\d[\d.]*", text.replace("−", "-").replace(",", ""))]


@pytest.fixture(scope="module")
def shown() -> dict[str, list[list[str]]]:
    return tables_of(NOTEBOOK)


def strata_of(year: int) -> dict:
    """(visit type, area, age band) -> (events, member-months, squares) of a fiscal year, added up row by row."""
    found: dict = defaultdict(lambda: [0.0, 0.0, 0.0])
    rows = pl.read_parquet(SAMPLE / "national.parquet").filter(pl.col("period") == f"FY{year}")
    for row in rows.iter_rows(named=True):
        cell = found[row["measure"].removeprefix("out_of_hours_"), row["area"], row["age_band"]]
        cell[0] += row["events"]
        cell[1] += row["denominator"]
        cell[2] += row["events_sq"]
    return found


@pytest.fixture(scope="module")
def strata() -> dict:
    return strata_of(2024)


def nation(strata: dict) -> tuple[dict, dict]:
    """(events by visit type and age, member-months by age) of all branches together."""
    events, months = Counter(), Counter()
    for (kind, _, age), (x, n, _) in strata.items():
        events[kind, age] += x
        months[age] += n if kind == "first" else 0
    return events, months


def parts(strata: dict, area: str, kinds: tuple[str, ...]) -> dict:
    """Contribution of each visit type and age to the index minus 1: the MHLW formula, term by term."""
    events, months = nation(strata)
    expected = sum(events[kind, age] for kind in kinds for age in months)
    return {
        (age, kind): months[age]
        * (strata[kind, area, age][0] / strata[kind, area, age][1] - events[kind, age] / months[age])
        / expected
        for kind in kinds
        for age in months
    }


@pytest.mark.parametrize("kind", ["first", "return"])
def test_every_branch_has_the_index_and_rank_of_the_formula(shown, strata, kind):
    areas = sorted({area for _, area, _ in strata})
    index = {area: sum(parts(strata, area, (kind,)).values()) for area in areas}
    places = {area: 1 + sum(other < index[area] for other in index.values()) for area in areas}
    rows = shown[f"47支部の地域差指数－1({KINDS[kind]}、2024年度)（数値）"]
    assert len(rows) == 47
    for area, row in zip(areas, rows, strict=True):  # JIS order
        assert numbers(row[1])[0] == pytest.approx(index[area], abs=0.0005001)
        assert int(row[3]) == places[area]
        low, high = numbers(row[4])
        assert 1 <= low <= places[area] <= high <= 47


@pytest.mark.parametrize("kind", ["first", "return"])
def test_the_planted_ranks_lie_in_the_intervals(shown, kind):
    """47 intervals at 95 %: fewer than 43 hits about once in 50 worlds."""
    truth = sorted(TRUTH["branches"][f"out_of_hours_{kind}"].items())
    rows = shown[f"47支部の地域差指数－1({KINDS[kind]}、2024年度)（数値）"]
    limits = [(planted["rank"], numbers(row[4])) for (_, planted), row in zip(truth, rows, strict=True)]
    assert sum(low <= place <= high for place, (low, high) in limits) >= 43
    assert sum(high - low + 1 for _, (low, high) in limits) / 47 > 3


def effective(strata: dict, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and variance of each branch by the formulas of direct standardisation, in JIS order."""
    events, months = nation(strata)
    rate = sum(events[kind, age] for age in months) / sum(months.values())
    ratios, variances = [], []
    for area in sorted({area for _, area, _ in strata}):
        cells = [(months[age] / sum(months.values()) / rate, *strata[kind, area, age]) for age in months]
        ratios.append(sum(w * x / n for w, x, n, _ in cells))
        variances.append(sum(w**2 * q / n**2 for w, _, n, q in cells))
    return np.array(ratios), np.array(variances)


@pytest.mark.parametrize(("kind", "at"), [("first", 0), ("return", 1)])
def test_the_funnel_is_that_of_the_root_with_the_variance_that_solves_q(shown, strata, kind, at):
    ratio, variance = effective(strata, kind)
    expected = ratio / variance
    root = np.sqrt((ratio * expected + 0.25) / expected)

    def mean(tau2: float) -> float:
        return float(np.average(root, weights=1 / (0.25 / expected + tau2)))

    def excess(tau2: float) -> float:
        return float(((root - mean(tau2)) ** 2 / (0.25 / expected + tau2)).sum() - 46)

    tau2 = brentq(excess, 0, 1, xtol=1e-14)
    mie = sorted(TRUTH["branches"]["out_of_hours_first"]).index(BRANCH)
    row = shown["支部の位置(ファネル)"][at]
    z = (root[mie] - mean(tau2)) / np.sqrt(0.25 / expected[mie] + tau2)
    assert numbers(row[2])[0] == pytest.approx(mean(tau2) ** 2 - 1, abs=0.0005001)
    assert numbers(row[4])[0] == pytest.approx(z, abs=0.005001)
    half = 3.0902 * np.sqrt(0.25 / expected[mie] + tau2)
    limits = [(mean(tau2) + side * half) ** 2 - 0.25 / expected[mie] - 1 for side in (-1, 1)]
    assert numbers(row[3]) == pytest.approx(limits, abs=0.0006)


def test_three_years_are_each_against_their_own_nation(shown):
    rows = shown["地域差指数－1と順位の推移"]
    assert [(row[0], row[1]) for row in rows] == [(f"{y}年度", k) for y in (2022, 2023, 2024) for k in KINDS.values()]
    for year, pair in zip((2022, 2023, 2024), (rows[:2], rows[2:4], rows[4:]), strict=True):
        of_year = strata_of(year)
        areas = sorted({area for _, area, _ in of_year})
        for kind, row in zip(KINDS, pair, strict=True):
            index = {area: sum(parts(of_year, area, (kind,)).values()) for area in areas}
            assert numbers(row[2])[0] == pytest.approx(index[BRANCH], abs=0.0005001)
            assert int(row[4]) == 1 + sum(other < index[BRANCH] for other in index.values())
            low, high = numbers(row[5])
            assert low <= int(row[4]) <= high


def test_the_branch_stands_where_it_was_planted(shown, strata):
    for kind, row in zip(KINDS, shown["支部の地域差指数"], strict=False):
        planted = TRUTH["branches"][f"out_of_hours_{kind}"][BRANCH]
        low, high = numbers(row[3])
        assert low <= planted["index_minus_1"] <= high
        assert int(row[4]) == planted["rank"] == {"first": 37, "return": 39}[kind]
        between = numbers(row[5])
        assert between[0] <= planted["rank"] <= between[1] and between[1] - between[0] < 8
        assert numbers(row[6])[0] == pytest.approx(100 * (planted["rank"] > 37), abs=5)
        plain = numbers(row[2])
        assert low <= plain[0] and plain[1] <= high


def test_the_planted_indices_lie_in_most_intervals(shown):
    """94 intervals at 95 %: fewer than 82 hits would happen about once in ten thousand worlds."""
    hits = 0
    for kind, name in KINDS.items():
        truth = sorted(TRUTH["branches"][f"out_of_hours_{kind}"].items())
        for (_, planted), row in zip(truth, shown[f"47支部の地域差指数－1({name}、2024年度)（数値）"], strict=True):
            low, high = numbers(row[2])
            hits += low - 0.0005 <= planted["index_minus_1"] <= high + 0.0005
    assert 82 <= hits <= 94


def test_contributions_are_the_terms_and_add_up_to_the_index(shown, strata):
    by_hand = parts(strata, BRANCH, ("first", "return"))
    rows = shown["地域差指数－1への寄与(2024年度)（数値）"]
    names = {name: kind for kind, name in KINDS.items()}
    found = {(row[0], names[row[1]]): numbers(row[2])[0] for row in rows}
    assert found.keys() == by_hand.keys() and len(rows) == 30
    for key, value in found.items():
        assert value == pytest.approx(by_hand[key], abs=0.0005001)
    both = shown["支部の地域差指数"][2]
    assert both[0] == "初診＋再診" and numbers(both[1])[0] == pytest.approx(sum(by_hand.values()), abs=0.0005001)


@pytest.fixture(scope="module")
def towns() -> dict:
    """(visit type, town) -> visits per person; (town, age band) -> member-months: one line and one month at a time."""
    months, spells, enrolled = oracle.months_of(FIRST, LAST), defaultdict(list), Counter()
    for member in pl.read_parquet(SAMPLE / "members.parquet").iter_rows(named=True):
        spells[member["person_id"]].append(member)
    for person, rows in spells.items():
        for month in months:
            row = oracle.stretch_of(person, month, rows)
            if row is not None and row["branch"] == BRANCH:
                enrolled[row["municipality"] or "不明", oracle.age_band(row["fy_age_base"], month)] += 1
    visits = set()
    for line in pl.read_parquet(SAMPLE / "claim_fees.parquet").iter_rows(named=True):
        if not oracle.reason(line, FIRST, LAST, False, True, None):
            kind = oracle.CODES[line["code"]]["visit_type"]
            visits.add((line["person_id"], line["institution"], line["treatment_month"], line["day"], kind))
    found: dict = {"enrolled": enrolled, "visits": defaultdict(Counter), "placed": 0}
    for person, _, month, _, kind in visits:
        row = oracle.stretch_of(person, month, spells[person])
        if row is not None and row["branch"] == BRANCH:
            found["visits"][kind, row["municipality"] or "不明"][person] += 1
            found["placed"] += 1
    return found


@pytest.fixture(scope="module")
def places() -> dict[str, tuple[str, int]]:
    """Name as printed -> (code, population)."""
    path = ROOT / "src" / "kenpo_analytics" / "disclosure" / "municipal_population.csv"
    with path.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {re.sub(r"^.+?郡", "", row["name"]): (row["municipality"], int(row["population"])) for row in rows}


@pytest.mark.parametrize("kind", ["first", "return"])
def test_towns_are_counted_by_residence_and_masked_by_their_people(shown, strata, towns, places, kind):
    events, months = nation(strata)
    rows = shown[f"市町村別の時間外受診({KINDS[kind]}、三重支部加入者に限る)"]
    assert {row[0] for row in rows} == {*places, "県外", "不明"}
    for name, visits, people, expected, estimate, plain, repeat, shrunk, between, unstable in rows:
        code, population = places.get(name, (name, 10**6))
        each = towns["visits"][kind, code]
        by_hand = sum(
            n * events[kind, age] / months[age] for (town, age), n in towns["enrolled"].items() if town == code
        )
        if 1 <= len(each) < (20 if population < 25_000 else 10):
            shrunken = [shrunk, between] if name in places else []
            assert [visits, people, expected, estimate, plain, repeat, *shrunken] == [MASK] * (6 + len(shrunken))
            assert unstable == "―"
            continue
        assert unstable == ("はい" if by_hand < 20 else "いいえ")
        assert (int(visits), int(people)) == (sum(each.values()), len(each))
        assert numbers(expected)[0] == pytest.approx(by_hand, abs=0.0501)
        assert numbers(estimate)[0] == pytest.approx(sum(each.values()) / by_hand - 1, abs=0.0005001)
        assert numbers(repeat)[0] <= numbers(plain)[0] and numbers(plain)[1] <= numbers(repeat)[1]
        assert (shrunk == between == "―") == (name in ("県外", "不明"))
        if name in places:
            low, high = numbers(between)
            width = numbers(repeat)[1] - numbers(repeat)[0]
            assert low < numbers(shrunk)[0] < high and high - low < width  # the other towns help


@pytest.mark.parametrize("kind", ["first", "return"])
def test_shrunken_towns_are_nearer_to_the_planted_truth_and_cover_it(shown, kind, places):
    rows = {row[0]: row for row in shown[f"市町村別の時間外受診({KINDS[kind]}、三重支部加入者に限る)"]}
    seen = {name: row for name, row in rows.items() if name in places and row[7] != MASK}
    truth = {name: TRUTH["municipalities"][places[name][0]][f"{kind}_o_over_e_nation"] - 1 for name in seen}
    error = {at: sum((numbers(row[at])[0] - truth[name]) ** 2 for name, row in seen.items()) for at in (4, 7)}
    assert error[7] < 0.9 * error[4]
    hits = sum(numbers(row[8])[0] <= truth[name] <= numbers(row[8])[1] for name, row in seen.items())
    assert len(seen) >= 10 and hits >= len(seen) - 3


@pytest.mark.parametrize("kind", ["first", "return"])
def test_nabari_stands_out_as_planted(shown, kind):
    rows = {row[0]: row for row in shown[f"市町村別の時間外受診({KINDS[kind]}、三重支部加入者に限る)"]}
    planted = TRUTH["municipalities"]["24208"][f"{kind}_o_over_e_nation"] - 1
    low, high = numbers(rows["名張市"][6])
    assert low <= planted <= high and low > 0
    shrunken = {name: numbers(row[7])[0] for name, row in rows.items() if row[7] not in (MASK, "―")}
    assert max(shrunken, key=shrunken.__getitem__) == "名張市" and numbers(rows["名張市"][8])[0] > 0
    assert rows["大紀町"][1] == MASK  # three people made its 50 return visits


def test_the_account_ends_with_the_visits_that_were_placed(shown, towns):
    rows = {row[0]: row for row in shown["時間外受診を数えるまで（数値）"]}
    assert numbers(rows["時間外受診"][3])[0] == towns["placed"]
    assert rows["夜間・早朝等加算(数えない設定)"][2] == "3,200"


def test_only_the_day_time_add_on_adds_visits(shown, towns):
    """With 夜間・早朝等, the shares within the branch are of other visits, but 名張市 stays high."""
    rows = {row[0]: row for row in shown["夜間・早朝等加算を数えた場合の市町村別のO/E－1(初診、支部内の比較)"]}
    planted = TRUTH["municipalities"]["24208"]["first_o_over_e_branch_fy2024"] - 1
    low, high = numbers(rows["名張市"][2])
    assert low <= planted <= high
    assert numbers(rows["名張市"][4])[0] > 0.2


def test_the_headline_and_the_page_can_be_published():
    found = verify(NOTEBOOK)
    first = found.headline["時間外受診(初診)の地域差指数－1"]
    assert first["method"] == "direct-dobson-exact-compound"
    assert first["lower"] < first["estimate"] < first["upper"]
    assert first["estimate"] == pytest.approx(0.0996, abs=0.00005)
    assert not found.public and found.masking["masked"] > 0
    assert NOTEBOOK.stat().st_size <= 400_000


def test_it_says_what_it_used_and_whom_it_covers():
    text = "\n".join(
        cell.source + json.dumps(cell.get("outputs", []), ensure_ascii=False)
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells
    )
    for said in (
        "令和6年4月～令和7年3月診療分",
        "三重支部加入者に限る",
        "国土数値情報",
        "1位が最も低い",
        "仮定",
        "順位の95%区間 ",
    ):
        assert said in text


PRIORITY = ("late_night", "holiday", "after_hours_special", "ped_evening", "after_hours")
CLASSES = dict(zip(PRIORITY, ("深夜", "休日", "時間外特例", "小児夜間", "時間外"), strict=True))


def by_class(first: int, last: int) -> tuple[Counter, Counter]:
    """Visits by (type, class, age band), each of its first class, and member-months by age: one line at a time."""
    spells, months, events = defaultdict(list), Counter(), Counter()
    for member in pl.read_parquet(SAMPLE / "members.parquet").iter_rows(named=True):
        spells[member["person_id"]].append(member)
    visits: dict = {}
    for line in pl.read_parquet(SAMPLE / "claim_fees.parquet").iter_rows(named=True):
        if not oracle.reason(line, first, last, False, True, None):
            code = oracle.CODES[line["code"]]
            key = (line["person_id"], line["institution"], line["treatment_month"], line["day"], code["visit_type"])
            place = PRIORITY.index(code["out_of_hours"])
            visits[key] = min(place, visits.get(key, place))
    for (person, _, month, _, kind), place in visits.items():
        row = oracle.stretch_of(person, month, spells[person])
        if row is not None and row["branch"] == BRANCH:
            events[kind, PRIORITY[place], oracle.age_band(row["fy_age_base"], month)] += 1
    for person, rows in spells.items():
        for month in oracle.months_of(first, last):
            row = oracle.stretch_of(person, month, rows)
            if row is not None and row["branch"] == BRANCH:
                months[oracle.age_band(row["fy_age_base"], month)] += 1
    return events, months


def test_the_change_from_last_year_is_parted_by_class_and_adds_up(shown):
    now, here = by_class(FIRST, LAST)
    then, there = by_class(FIRST - 100, LAST - 100)
    rows = shown[f"区分・受診種別の寄与(前年度からの変化、{FIRST // 100}年度)"]
    assert len(rows) == 10
    total = 0.0
    for name, kind_of, events, _, expected, contribution, between in rows:
        kind = next(key for key, word in KINDS.items() if word == kind_of)
        hours = next(key for key, word in CLASSES.items() if word == name)
        share = sum(
            there[age] * (now[kind, hours, age] / here[age] - then[kind, hours, age] / there[age]) for age in there
        ) / sum(then.values())
        total += share
        assert numbers(events)[0] == sum(now[kind, hours, age] for age in here)
        assert numbers(contribution)[0] == pytest.approx(share, abs=0.0000501)
        low, high = numbers(between)
        assert low < 0 < high and high - low > 2 * 1.96 * np.sqrt(2 * numbers(events)[0]) / sum(then.values()) * 0.9
        by_rate = sum(here[age] * then[kind, hours, age] / there[age] for age in there)
        assert numbers(expected)[0] == pytest.approx(by_rate, abs=0.501)
    whole = sum(there[age] * (sum(n for (_, _, a), n in now.items() if a == age) / here[age]) for age in there) / sum(
        then.values()
    )
    assert total == pytest.approx(whole - 1, abs=1e-12)
    page = json.dumps(nbformat.read(NOTEBOOK, 4), ensure_ascii=False)
    assert f"全体の変化(寄与の合計)は{total:+.4f}".replace("-", "−") in page and "変わったとはいえません" in page
    whole_rows = {row[0]: row for row in shown[f"全体の変化(前年度からの増減の割合、{FIRST // 100}年度)"]}
    for kind in ("first", "return"):
        visits = [sum(n for (k, _, _), n in each.items() if k == kind) for each in (now, then)]
        _, events, _, change, between = whole_rows[KINDS[kind]]
        low, high = numbers(between)
        plain = 2 * 1.96 * np.sqrt(sum(1 / n for n in visits))  # of independent visits; people who return widen it
        assert numbers(events)[0] == visits[0] and low < numbers(change)[0] < high
        assert plain < np.log1p(high) - np.log1p(low) < 1.5 * plain


def test_the_verdict_of_the_funnel_is_in_the_summary_and_towns_are_not_in_order_of_the_index(shown, places):
    page = json.dumps(nbformat.read(NOTEBOOK, 4), ensure_ascii=False)
    assert page.count("通常みられる範囲の中(ファネル、平均から標準偏差の0.53倍)") >= 1
    rows = shown[f"市町村別の時間外受診({KINDS['first']}、三重支部加入者に限る)"]
    codes = [places[row[0]][0] for row in rows if row[0] in places]
    assert codes == sorted(codes) and len(codes) == 29
    outside = shown[f"市町村の位置(ファネル、初診、{FIRST // 100}年度、三重支部加入者に限る)"]
    seen = [row for row in outside if row[1] != MASK]
    assert len(outside) == 29 and all(numbers(r[2])[0] <= numbers(r[1])[0] <= numbers(r[2])[1] for r in seen)
    assert "範囲の外: なし" in page


def test_events_of_the_trend_are_listed_with_the_status_of_their_date(shown):
    rows = {row[2]: row[3] for row in shown["図に示したできごと"]}
    assert rows["令和6年度診療報酬改定の施行(6月へ後ろ倒し)"] == "確認済"
    assert (
        rows["令和4年度診療報酬改定の施行"] == "【仮定】"
        and "第4期の特定健診・特定保健指導の開始(令和6年度から)" not in rows
    )
