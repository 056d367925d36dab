"""Every expectation is recomputed in plain Python from the published file, without the library."""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import norm

import kenpo_analytics.definitions as definitions_package
from kenpo_analytics.definitions import national
from kenpo_analytics.definitions.national import exceedance
from kenpo_analytics.errors import DefinitionError

FOLDER = Path(definitions_package.__file__).parent / "national"
AGES = ["40-44", "45-49", "50-54", "55-59", "60-64", "65-69", "70-74"]
PRINTED = "全国(47都道府県+判別不可の和)"
LINES = {"hba1c_65": ("HbA1c", 6.5), "hba1c_60": ("HbA1c", 6.0), "sbp_140": ("SBP", 140.0),
         "ldl_140": ("LDL", 140.0), "bmi_25": ("BMI", 25.0)}  # fmt: skip


def _rows() -> list[dict[str, str]]:
    with (FOLDER / "ndb10_fy2022_checkup_bins_pref_sex_age.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = _rows()


def _fills(residual: int, blanks: int) -> list[tuple[int, ...]]:
    return [f for f in itertools.product(range(residual + 1), repeat=blanks) if sum(f) == residual]


def _slow(metric: str, line: float, sex: str) -> dict[str, dict[str, object]]:
    """Numerators, denominators and every fill of the masked cells, per prefecture, straight from the rows."""
    out: dict[str, dict[str, object]] = {}
    for row in ROWS:
        if row["metric"] != metric or row["sex"] != sex or row["prefecture"] == PRINTED:
            continue
        area = out.setdefault(
            row["prefecture"],
            {"e": [0.0] * 7, "n": [0.0] * 7, "mid_e": [0.0] * 7, "mid_n": [0.0] * 7, "E": 0, "N": 0, "mask": None},
        )
        above = row["bin_lo_incl"] != "" and float(row["bin_lo_incl"]) >= line
        cells = [row[f"n_{age}"] for age in AGES]
        total = int(row["n_40_74"])
        area["N"] += total
        area["E"] += total * above
        blanks = [i for i, c in enumerate(cells) if c == ""]
        residual = total - sum(int(c) for c in cells if c)
        for i, cell in enumerate(cells):
            value = int(cell) if cell else 0
            part = value if cell else residual / len(blanks)
            for name, number in (("n", value), ("mid_n", part)):
                area[name][i] += number
            if above:
                area["e"][i] += value
                area["mid_e"][i] += part
        if blanks:
            assert area["mask"] is None
            area["mask"] = (above, blanks, residual)
        else:
            assert residual == 0
    return out


def _share(e: list[float], n: list[float], mix: list[float]) -> float:
    return sum(w * a / b for a, b, w in zip(e, n, mix, strict=True)) / sum(mix)


def _bounds(area: dict[str, object], mix: list[float]) -> tuple[float, float]:
    if area["mask"] is None:
        return (_share(area["e"], area["n"], mix),) * 2
    above, blanks, residual = area["mask"]
    found = []
    for fill in _fills(residual, len(blanks)):
        e, n = list(area["e"]), list(area["n"])
        for i, people in zip(blanks, fill, strict=True):
            n[i] += people
            e[i] += people * above
        found.append(_share(e, n, mix))
    return min(found), max(found)


@pytest.fixture(scope="module")
def benchmark() -> pl.DataFrame:
    return national.prefecture_benchmark()


@pytest.mark.parametrize("sex", ["M", "F"])
@pytest.mark.parametrize("measure", LINES)
def test_benchmark_against_the_slow_way(benchmark: pl.DataFrame, measure: str, sex: str) -> None:
    metric, line = LINES[measure]
    slow = _slow(metric, line, sex)
    mix = [sum(a["mid_n"][i] for a in slow.values()) for i in range(7)]
    nation = sum(a["E"] for a in slow.values()) / sum(a["N"] for a in slow.values())
    rows = {
        r["prefecture"]: r
        for r in benchmark.filter((pl.col("measure") == measure) & (pl.col("sex") == sex)).iter_rows(named=True)
    }
    assert set(rows) == {*slow, "全国"}
    z = norm.isf(0.025)
    for name, area in slow.items():
        row = rows[name]
        assert (row["numerator"], row["denominator"]) == (area["E"], area["N"])
        assert row["estimate"] == pytest.approx(_share(area["mid_e"], area["mid_n"], mix), rel=1e-12)
        low, high = _bounds(area, mix)
        assert (row["estimate_low"], row["estimate_high"]) == pytest.approx((low, high), rel=1e-12)
        assert row["masked"] == (area["mask"] is not None)
        assert row["gap"] == pytest.approx(row["estimate"] - nation, abs=1e-12)
        if not row["masked"]:  # the interval in its textbook form
            p = row["estimate"]
            variance = sum(
                (w / sum(mix)) ** 2 * (e / n) * (1 - e / n) / n
                for e, n, w in zip(area["e"], area["n"], mix, strict=True)
            )
            size = p * (1 - p) / variance
            middle = (p + z * z / (2 * size)) / (1 + z * z / size)
            half = z / (1 + z * z / size) * (p * (1 - p) / size + z * z / (4 * size * size)) ** 0.5
            assert (row["lower"], row["upper"]) == pytest.approx((middle - half, middle + half), rel=1e-9)
    assert rows["全国"]["estimate"] == pytest.approx(nation, rel=1e-12)
    ordered = sorted((n for n in slow if n != "都道府県判別不可"), key=lambda n: rows[n]["estimate"])
    assert [rows[n]["rank"] for n in ordered] == list(range(1, 48))


def test_mie_as_published(benchmark: pl.DataFrame) -> None:
    """Fixed figures, so that a change of method is seen: men, HbA1c >= 6.5 and BMI >= 25."""
    mie = benchmark.filter((pl.col("area") == "24") & (pl.col("sex") == "M"))
    row = mie.filter(pl.col("measure") == "hba1c_65").row(0, named=True)
    assert (row["prefecture"], row["numerator"], row["denominator"], row["rank"]) == ("三重県", 18520, 179628, 32)
    assert (row["estimate"], row["nation"]) == pytest.approx((0.100084, 0.094920), abs=5e-7)
    assert row["tested_share"] == pytest.approx(179628 / 243932)
    assert mie.filter(pl.col("measure") == "bmi_25")["rank"].item() == 21


def test_unknown_and_nation_are_never_ranked(benchmark: pl.DataFrame) -> None:
    out = benchmark.filter(pl.col("area").is_in(["不明", "全国"]))
    assert len(out) == 20
    assert out["rank"].null_count() == out["rank_best"].null_count() == 20
    assert benchmark.filter(pl.col("rank").is_not_null()).group_by("measure", "sex").len()["len"].to_list() == [47] * 10


def test_masking_moves_ranks_only_where_it_can(benchmark: pl.DataFrame) -> None:
    moved = benchmark.filter(pl.col("rank_best") != pl.col("rank_worst")).select("measure", "sex", "prefecture")
    assert set(moved.iter_rows()) == {("bmi_25", "F", name) for name in ("石川県", "福井県", "島根県")}
    ranked = benchmark.filter(pl.col("rank").is_not_null())
    assert ranked.filter(~pl.col("rank").is_between("rank_best", "rank_worst")).is_empty()


def test_every_row_says_what_it_is(benchmark: pl.DataFrame) -> None:
    assert "全保険者" in benchmark["population"][0]
    assert "40〜74歳" in benchmark["population"][0]
    assert "厚生労働省" in benchmark["credit"][0]
    assert "NDBオープンデータ" in benchmark["credit"][0]
    assert benchmark["standard"].n_unique() == 8  # 4 metrics x 2 sexes: the two HbA1c lines share theirs
    assert set(benchmark["rank_direction"].drop_nulls()) == {"1=低い"}


def test_levels() -> None:
    one = (national.MEASURES[0],)
    wide, narrow = (national.prefecture_benchmark(one, level=level) for level in (0.998, 0.95))
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()
    with pytest.raises(DefinitionError, match="1つも指定"):
        national.prefecture_benchmark(())


def test_masked_cells_stay_null_and_within_the_residual() -> None:
    bins = national.ndb_checkup_bins()
    assert bins.filter("masked")["people"].null_count() == bins["people"].null_count() == 145
    assert bins.filter("masked").unique(["metric", "area", "sex", "low"]).height == 70
    assert "全国" not in set(bins["area"]) | set(bins["prefecture"])
    assert sorted(set(bins["area"]) - {"不明"}) == [f"{i:02d}" for i in range(1, 48)]
    codes = dict(bins.select("prefecture", "area").unique().iter_rows())
    assert (codes["北海道"], codes["三重県"], codes["沖縄県"]) == ("01", "24", "47")


def test_exceedance_bounds_and_totals() -> None:
    table = national.ndb_exceedance("BMI", 25)
    tottori = table.filter((pl.col("prefecture") == "鳥取県") & (pl.col("sex") == "M")).sort("age_band")
    # BMI >= 40: 45, 32, 23, 11 are printed, ages 60-74 masked, row total 122, so 11 people are hidden
    assert tottori["masked"].to_list() == [False] * 4 + [True] * 3
    width = (tottori["events_high"] - tottori["events_low"]).to_list()
    assert width == [0, 0, 0, 0, 11, 11, 11]
    assert (tottori["denominator_high"] - tottori["denominator_low"]).to_list() == width
    assert (tottori["events"] - tottori["events_low"]).to_list() == pytest.approx([0] * 4 + [11 / 3] * 3)
    slow = _slow("BMI", 25, "M")
    totals = dict(table.filter(pl.col("sex") == "M").group_by("prefecture").agg(pl.col("events").sum()).iter_rows())
    assert totals.pop("全国") == pytest.approx(sum(a["E"] for a in slow.values()))
    assert totals == pytest.approx({name: a["E"] for name, a in slow.items()})


def test_blanks_below_the_line_count_only_in_the_denominator() -> None:
    table = national.ndb_exceedance("HbA1c", 8.4)
    row = table.filter((pl.col("prefecture") == "鳥取県") & (pl.col("sex") == "F") & pl.col("masked"))
    assert len(row) == 4
    assert (row["events_high"] == row["events_low"]).all()
    assert (row["other_residual"] > 0).all()
    assert (row["event_residual"] == 0).all()
    one = (national.Measure("x", "HbA1c", 8.4, "HbA1c 8.4%以上"),)
    found = national.prefecture_benchmark(one).filter((pl.col("prefecture") == "鳥取県") & (pl.col("sex") == "F"))
    slow = _slow("HbA1c", 8.4, "F")
    mix = [sum(a["mid_n"][i] for a in slow.values()) for i in range(7)]
    bounds = _bounds(slow["鳥取県"], mix)
    assert bounds[0] < bounds[1]
    assert (found["estimate_low"].item(), found["estimate_high"].item()) == pytest.approx(bounds, rel=1e-12)


def test_the_printed_nation_counts_masked_cells_as_zero_and_is_not_used() -> None:
    """The trap itself: rebuilt minus printed is exactly what is hidden in masked cells."""
    printed = sum(
        int(r["n_40-44"]) for r in ROWS if r["metric"] == "HbA1c" and r["sex"] == "F" and r["prefecture"] == PRINTED
    )
    nation = national.ndb_exceedance("HbA1c", 6.5).filter((pl.col("area") == "全国") & (pl.col("sex") == "F"))
    youngest = nation.filter(pl.col("age_band") == "40-44").row(0, named=True)
    assert youngest["denominator_low"] == printed
    assert youngest["denominator"] > printed
    hidden = defaultdict(int)
    for row in ROWS:
        if row["metric"] == "HbA1c" and row["sex"] == "F" and row["prefecture"] != PRINTED:
            seen = sum(int(row[f"n_{age}"] or 0) for age in AGES)
            hidden["people"] += int(row["n_40_74"]) - seen
    gained = (nation["denominator"] - nation["denominator_low"]).sum()
    assert gained == pytest.approx(hidden["people"])
    assert hidden["people"] > 0


def test_tested_share() -> None:
    share = national.tested_share()
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in ROWS:
        if row["prefecture"] == "三重県":
            counts[row["metric"], row["sex"]] += int(row["n_40_74"])
    for sex in ("M", "F"):
        mie = share.filter((pl.col("area") == "24") & (pl.col("sex") == sex))["tested_share"].item()
        assert mie == pytest.approx(counts["HbA1c", sex] / counts["SBP", sex])
    known = share.filter(~pl.col("area").is_in(["不明", "全国"]))["tested_share"]
    assert (round(known.min(), 3), round(known.max(), 3)) == (0.545, 0.901)


def test_fills_are_all_of_them() -> None:
    for residual, blanks in ((0, 2), (5, 1), (4, 3), (9, 2)):
        assert sorted(exceedance.allocations(residual, blanks)) == sorted(_fills(residual, blanks))


def test_lines_inside_a_bin_are_refused() -> None:
    with pytest.raises(
        DefinitionError, match=r"HbA1cの6.2は公表階級の境目ではありません。\nヒント: 使える値: 5.6、6、6.5、8、8.4"
    ):
        national.ndb_exceedance("HbA1c", 6.2)
    with pytest.raises(DefinitionError, match="公表値にない検査項目です: FPG"):
        national.ndb_exceedance("FPG", 110)


def test_jhia_tables_keep_their_source() -> None:
    visits = national.jhia_branch_visit()
    assert (visits.height, visits["branch"].n_unique()) == (26, 13)
    printed = (100 * visits["numerator"] / visits["denominator"]).to_list()
    assert visits["rate_pct"].to_list() == pytest.approx(printed, abs=0.051)
    series = national.jhia_series()
    assert series["source"].null_count() == series["status"].null_count() == 0
    row = series.filter((pl.col("indicator") == "seikatsu_kenshin_rate") & (pl.col("period") == "FY2024"))
    assert row.filter(pl.col("area") == "national")["value"].to_list() == ["58.4"]


def test_published_visit_shares_carry_wilsons_interval() -> None:
    with (FOLDER / "jhia_branch_10month_visit.csv").open(encoding="utf-8", newline="") as file:
        printed = list(csv.DictReader(file))
    found = national.branch_visit_benchmark().to_dicts()
    assert [(row["branch"], str(row["checkup_fy"])) for row in found] == [
        (r["branch"], r["checkup_fy"]) for r in printed
    ]
    assert len({row["branch"] for row in found}) == 13 and "三重" not in {row["branch"] for row in found}
    z = norm.ppf(0.975)
    for row, line in zip(found, printed, strict=True):
        k, n = int(line["n_visited_within_10m"]), int(line["n_meeting_notice_criteria"])
        p = k / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        assert (row["estimate"], row["lower"], row["upper"]) == pytest.approx((p, middle - half, middle + half))
        assert round(100 * row["estimate"], 1) == pytest.approx(float(line["rate_pct"]), abs=0.1)
