"""Unit, property and simulation tests: the provider file of the 47 branches, and ranks that never lack an interval."""

from __future__ import annotations

import json

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy.stats import betabinom
from typer.testing import CliRunner

from kenpo_analytics import cli, disclosure, kpi
from kenpo_analytics.errors import EstimateError, TableError
from kenpo_analytics.kpi import provider
from kenpo_analytics.kpi.branches import share_ranks
from kenpo_analytics.sample import SEED, branch_kpis
from kenpo_analytics.stats.ranks import rank, rank_limits
from kenpo_analytics.stats.small_shares import shrink_shares
from tests.notebook_page import NOTEBOOKS

HEAD = "kpi_id,version,month,area,value,numerator,denominator,source,unit,as_of,rank\n"
NEW = "令和6年度"
SAMPLE = NOTEBOOKS.parent / "data" / "sample"
ID = "checkup_rate_insured"


def line(area="24", *, id=ID, version=NEW, month="2025-03", value="", top="", under="", source="本部送付", more=",,"):
    return f"{id},{version},{month},{area},{value},{top},{under},{source},{more}\n"


def whole(n=47, *, month="2025-03", id=ID, rate=0.5, step=0.004, size=100_000, version=NEW):
    """Branches 01 to n, each 0.4 points above the one before."""
    shares = [round(size * (rate + step * at)) for at in range(n)]
    return "".join(
        line(f"{at + 1:02d}", id=id, month=month, top=str(top), under=str(size), version=version)
        for at, top in enumerate(shares)
    )


def put(folder, text, encoding="utf-8"):
    path = folder / provider.FILE
    path.write_bytes((HEAD + text).encode(encoding))
    return path


PRINTED = "".join(line(f"{at:02d}", value=f"{at + 40}", more=f",,{at}") for at in range(1, 48))


@pytest.fixture
def table(tmp_path):
    put(tmp_path, whole())
    return kpi.published(tmp_path)


# --- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_what_excel_saves_is_read(tmp_path, encoding):
    text = line("1", value="58.4%") + line("三重支部", month="Mar-25", value='"58.5"', more="%,2025-08-01,31位")
    text += line("北海道", month="2024年3月", value="58.4") + line("全国", value="57.0", more=",,") + ",,,,,,,,,,\n"
    held = kpi.read_provider(put(tmp_path, text.replace("\n", "\r\n"), encoding))
    assert held["area"].to_list() == ["01", "24", "01", "全国"]
    assert held["month"].to_list() == [202503, 202503, 202403, 202503]
    assert held["value"].to_list() == [58.4, 58.5, 58.4, 57.0]
    assert held["published_rank"].to_list() == [None, 31, None, None] and held["as_of"][1] == "2025-08-01"
    assert set(held["status"]) == {"支部設定"}


def test_a_value_is_computed_from_its_totals_and_must_agree_with_them(tmp_path):
    held = kpi.read_provider(put(tmp_path, line(top='"6,009"', under="16986")))
    assert held["value"][0] == pytest.approx(100 * 6009 / 16986)
    assert kpi.read_provider(put(tmp_path, line(value="35.4", top="6009", under="16986")))["value"][0] == 35.4
    with pytest.raises(TableError, match=r"2行目の value「35.5」が numerator÷denominator\(35.38\)と合いません"):
        kpi.read_provider(put(tmp_path, line(value="35.5", top="6009", under="16986")))
    fees = kpi.read_provider(put(tmp_path, line(id="out_of_hours_first", top="266", under="35757")))
    assert fees["value"][0] == pytest.approx(7.4391, abs=1e-4)  # per 1,000 members


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (line(id="nothing", value="1"), "2行目の kpi_id「nothing」は登録されていないKPI"),
        (line(version="令和9年度", value="1"), "2行目の version「令和9年度」は生活習慣病予防健診の定義の版に"),
        (line("48", value="1"), "2行目の area「48」は支部"),
        (line(source="", value="1"), "2行目の source が空"),
        (line(value="101"), "2行目の value「101」が範囲の外です\\(0～100\\)"),
        (line(value="-1"), "範囲の外"),
        (line(), "2行目の value が空"),
        (line(top="5"), "両方を書くか両方を空けて"),
        (line(top="5", under="0"), "分母は0より大きい"),
        (line(top="6", under="5"), "2行目の numerator が denominator を超えます"),
        (line(top="5.5", under="7"), "整数ではありません"),
        (line(value="1e3"), "2行目に、月または数として読めない値があります: value「1e3」"),
        (line(month="2025", value="1"), "month「2025」"),
        (line(value="1", more="人,,"), "2行目の unit「人」は生活習慣病予防健診の単位"),
        (line(value="1", more=",,48"), "2行目の rank「48」"),
        (line(value="1") + line("三重", value="2"), "3行目は、同じ指標・定義の版・月・地域\\(24\\)の2行目と重なって"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(TableError, match=message):
        kpi.read_provider(put(tmp_path, row))


def test_every_wrong_line_is_counted_and_five_are_told(tmp_path):
    with pytest.raises(TableError, match=r"2行目.*6行目.*ほか2件"):
        kpi.read_provider(put(tmp_path, "".join(line(str(at), value="1") for at in range(50, 57))))


def test_unknown_columns_and_encodings_are_refused(tmp_path):
    path = tmp_path / provider.FILE
    path.write_text("kpi_id,version,month,area,value,numerator,denominator,source,順位\n", encoding="utf-8")
    with pytest.raises(TableError, match="使われない列があります: 順位"):
        kpi.read_provider(path)
    path.write_bytes("あ".encode("utf-16"))
    with pytest.raises(TableError, match="文字コード"):
        kpi.read_provider(path)


def test_the_columns_of_what_may_be_empty_may_be_absent(tmp_path):
    path = tmp_path / provider.FILE
    path.write_text(f"kpi_id,version,month,area,value,source\n{ID},{NEW},2025-03,24,58.4,本部送付\n", encoding="utf-8")
    (row,) = kpi.read_provider(path).to_dicts()
    assert (row["value"], row["numerator"], row["denominator"]) == (58.4, None, None)
    path.write_text(
        f"kpi_id,version,month,area,numerator,denominator,source\n{ID},{NEW},2025-03,24,6009,16986,本部送付\n",
        encoding="utf-8",
    )
    assert kpi.read_provider(path)["value"][0] == pytest.approx(35.3762, abs=1e-4)
    path.write_text(f"kpi_id,version,month,area,source\n{ID},{NEW},2025-03,24,本部送付\n", encoding="utf-8")
    with pytest.raises(TableError, match="2行目の value が空です"):
        kpi.read_provider(path)
    path.write_text("kpi_id,version,month,value,source\n", encoding="utf-8")
    with pytest.raises(TableError, match="列がありません: area"):
        kpi.read_provider(path)


def test_fractions_of_excel_are_refused_but_shares_that_are_so_low_are_not(tmp_path):
    def table(n=47, id=ID, **more):
        return "".join(line(f"{at:02d}", id=id, value=f"{0.4 + at / 100:.3f}", **more) for at in range(1, n + 1))

    with pytest.raises(
        TableError, match=r"生活習慣病予防健診 2025-03は、47支部の値がすべて1%以下です\(最大 0.870%\)"
    ) as told:
        kpi.read_provider(put(tmp_path, table()))
    assert "59.2" in str(told.value.hint)
    assert kpi.read_provider(put(tmp_path, table(46)))["value"].max() == 0.86  # no table of 47: a single low row may be
    assert kpi.read_provider(put(tmp_path, table(id="assessment_rate", version="令和6年度"))).height == 47
    counted = "".join(line(f"{at:02d}", value=f"{at / 100:.2f}", top=str(at), under="10000") for at in range(1, 48))
    assert kpi.read_provider(put(tmp_path, counted))["value"].max() == 0.47
    with pytest.raises(TableError, match="numerator が denominator を超えます") as told:
        kpi.read_provider(put(tmp_path, line(top="1000000000", under="237347")))
    assert "e+" not in told.value.message


def test_check_tells_of_a_table_that_lacks_a_branch(tmp_path, table):
    assert provider.describe(tmp_path / "none") == []
    assert provider.describe(tmp_path) == ["kpi_published.csv: 47行、複数の支部がそろう表1"]
    put(tmp_path, whole(46) + whole(47, month="2023-03", id="untreated_visit_rate", version="令和6年度"))
    said = provider.describe(tmp_path)
    assert "47支部のうち46支部だけ(ない支部 47)" in said[1]
    assert "正式な定義の版ではない" in said[2]
    found = kpi.coverage(kpi.published(tmp_path)).filter(pl.col("kpi_id") == ID)
    assert found.select("branches", "with_counts", "national").row(0) == (46, 46, True)  # the nation's is packaged


def test_the_command_line_checks_the_file(tmp_path):
    for name in ("members", "checkups", "claims", "claim_fees"):
        (tmp_path / f"{name}.parquet").symlink_to(SAMPLE / f"{name}.parquet")
    put(tmp_path, whole(46))
    told = CliRunner().invoke(cli.app, ["check", str(tmp_path)])
    assert "47支部のうち46支部だけ" in told.stdout and "誤り 0 種類、注意 1 種類" in told.stdout


# --- ranks -------------------------------------------------------------------------------------------------


def test_ranks_of_47_branches_count_from_the_best_and_have_intervals(table):
    rows = kpi.ranked(table, month="2025-10")
    assert len(rows) == 47 and set(rows["kpi_id"]) == {ID}
    first, last = rows.row(46, named=True), rows.row(0, named=True)
    assert (first["area"], first["rank"], first["rank_direction"]) == ("47", 1, "1=高い") and last["rank"] == 47
    mie = kpi.ranked(table, month="2025-10", branch="24").row(0, named=True)
    # 47 branches 0.4 points apart, standard error 0.16 points: a neighbour may change places, a third hardly
    assert mie["rank"] == 24 and 22 <= mie["rank_lower"] <= 24 <= mie["rank_upper"] <= 26
    assert mie["estimate"] == pytest.approx(0.592) and mie["lower"] < 0.592 < mie["upper"]
    assert (rows["rank_lower"] <= rows["rank"]).all() and (rows["rank"] <= rows["rank_upper"]).all()


@pytest.mark.parametrize("size", [30, 300_000, 2_000_000])
@pytest.mark.parametrize("all_of", [0, 1])
def test_47_equal_branches_share_every_place_whatever_their_codes(size, all_of):
    """サービススタンダード is met in every case by every branch in an ordinary year; nobody in a rare one."""
    found = share_ranks(np.full(47, all_of * size), np.full(47, size))
    assert found == {"rank": [1] * 47, "rank_lower": [1] * 47, "rank_upper": [47] * 47}


@pytest.mark.parametrize("first", ["highest", "lowest"])
def test_one_branch_below_100_per_cent_is_told_from_the_others_and_they_are_not_told_apart(first):
    k = np.full(47, 1_000_000)
    k[23] -= 40
    found = share_ranks(k, np.full(47, 1_000_000), first=first)
    apart, others = (47, {1}) if first == "highest" else (1, {2})
    assert (found["rank"][23], found["rank_lower"][23], found["rank_upper"][23]) == (apart,) * 3
    rest = {name: {places[at] for at in range(47) if at != 23} for name, places in found.items()}
    assert rest["rank"] == others and len(rest["rank_lower"]) == len(rest["rank_upper"]) == 1


@pytest.mark.parametrize("seed", range(6))
def test_the_place_always_lies_in_its_interval(seed):
    """Few people, many equal shares: the place and all the places it shares lie within the printed interval."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 40, 47)
    k = rng.binomial(n, rng.choice([0.02, 0.5, 0.97]))
    found = share_ranks(k, n, first="highest" if seed % 2 else "lowest")
    best = rank(k / n, first="highest" if seed % 2 else "lowest")
    last = rank(k / n, first="highest" if seed % 2 else "lowest", ties="max")
    assert found["rank"] == best.tolist()
    assert (np.array(found["rank_lower"]) <= best).all() and (np.array(found["rank_upper"]) >= last).all()


def test_lower_is_better_where_the_plan_says_so(tmp_path):
    put(tmp_path, whole(id="counter_rate", month="2025-09"))
    rows = kpi.ranked(kpi.published(tmp_path), month="2025-10")
    assert rows.row(0, named=True)["rank"] == 1 and set(rows["rank_direction"]) == {"1=低い"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (whole(46), "47支部のうち46支部の値しかない"),
        (PRINTED, "分子・分母のない支部が47"),
        (whole(46) + line("47", value="51.2"), "分子・分母のない支部が1"),
        (whole(id="generic_share"), "1人(1件)ずつ別々に決まる割合でない"),
    ],
)
def test_no_rank_without_47_branches_and_an_interval(tmp_path, text, reason):
    put(tmp_path, text)
    rows = kpi.ranked(kpi.published(tmp_path), month="2025-10", branch="24")
    row = rows.filter(pl.col("month") == 202503).row(0, named=True)
    assert row["rank"] is None and row["rank_lower"] is None and row["rank_method"] is None
    assert row["reason"].startswith(reason) and row["estimate"] is not None
    assert row["published_rank"] == (24 if text == PRINTED else None)  # shown as 公表順位 only


def test_the_last_whole_month_under_the_version_in_force_is_taken(tmp_path):
    old, new = "令和5年度まで", "令和6年度"
    id = "untreated_visit_rate"
    text = whole(id=id, version=new, month="2025-03") + whole(46, id=id, version=new, month="2025-06")
    put(tmp_path, text + whole(id=id, version=old, month="2025-09"))
    rows = kpi.ranked(kpi.published(tmp_path), month="2025-10", branch="24")
    assert rows.row(0, named=True)["month"] == 202503 and rows["definition_version"][0] == new
    assert not len(kpi.ranked(kpi.published(tmp_path), month="2024-10"))  # the printed value of 三重 is no table


def test_a_branch_that_is_there_twice_is_refused_by_name(tmp_path):
    put(tmp_path, whole(46))
    held = kpi.published(tmp_path)
    twice = pl.concat([held, held.filter(pl.col("area") == "24", pl.col("kpi_id") == ID, pl.col("month") == 202503)])
    with pytest.raises(TableError, match=rf"重なっています: {ID} {NEW} 2025-03 24\n"):
        kpi.ranked(twice, month="2025-10")
    with pytest.raises(TableError, match=r"重なっています.* 24\n"):
        kpi.ranked(twice.to_pandas(), month="2025-10")
    with pytest.raises(TableError, match=r"重なっています.* ほか45組"):
        kpi.ranked(pl.concat([held, held.filter(pl.col("kpi_id") == ID, pl.col("source") == "本部送付")]), month=202510)


@pytest.mark.parametrize(
    ("as_of", "month", "known"),
    [
        ("2025-08-29", "2025-03", False),
        ("2025-08-29", "2025-07", False),
        ("2025-08-29", "2025-08", True),
        ("令和7年8月29日", "2025-07", False),
        ("2025/8/29", "2025-10", True),
        ("2025-08", "2025-07", False),
        ("", "2025-03", True),
        ("", "2025-02", False),
    ],
)
def test_what_was_published_after_the_month_is_not_known_in_it(tmp_path, as_of, month, known):
    put(tmp_path, whole().replace(",,\n", f",{as_of},\n"))
    held = kpi.published(tmp_path)
    assert bool(len(kpi.ranked(held, month=month))) is known
    rows = kpi.known_by(held, month=month).filter(pl.col("kpi_id") == ID, pl.col("month") == 202503)
    assert rows.filter(pl.col("area") == "47").height == known
    assert type(kpi.known_by(held.to_pandas(), month=month)).__module__.startswith("pandas")


def test_the_date_of_a_document_is_a_date_or_a_month(tmp_path):
    held = kpi.read_provider(put(tmp_path, line(value="1", more=",R7.8.29,") + line("1", value="1", more=",Aug-25,")))
    assert held["as_of"].to_list() == ["2025-08-29", "2025-08"]
    with pytest.raises(TableError, match="3行目の as_of「第1回運営委員会」は日付でも月でもありません"):
        kpi.read_provider(put(tmp_path, line(value="1") + line("1", value="1", more=",第1回運営委員会,")))


def test_the_sample_s_march_of_2025_is_known_in_october_and_not_in_march():
    held = kpi.published(SAMPLE)
    assert set(kpi.ranked(held, month="2025-10", branch="24")["month"]) == {202503}
    assert not len(kpi.ranked(held, month="2025-03")) and not len(kpi.ranked(held, month="2025-07"))


def test_order_and_kind_of_the_frame_do_not_matter(table):
    rows = kpi.ranked(table, month="2025-10")
    assert kpi.ranked(table.sample(fraction=1, shuffle=True, seed=1), month="2025-10").equals(rows)
    pandas = kpi.ranked(table.to_pandas(), month="2025-10")
    assert type(pandas).__module__.startswith("pandas")
    assert pandas["rank_upper"].tolist() == rows["rank_upper"].to_list()
    relation = duckdb.connect().from_arrow(table.to_arrow())
    assert kpi.ranked(relation, month="2025-10").equals(rows)


def test_the_rows_pass_the_disclosure_check(table, tmp_path):
    checked = disclosure.check_kpi(kpi.ranked(table, month="2025-10"), by=("kpi_id", "area"))
    assert checked.where(area="24").table["rank"][0] == 24
    put(tmp_path, whole(46) + line("47", top="4", under="100"))
    checked = disclosure.check_kpi(kpi.ranked(kpi.published(tmp_path), month="2025-10"), by=("kpi_id", "area"))
    assert checked.where(area="47").states["rank"][0].startswith("masked")


# --- the sample --------------------------------------------------------------------------------------------


def test_the_sample_has_whole_tables_whose_planted_ranks_are_covered():
    """13 KPIs, 3 fiscal years, 47 branches: 95 % intervals hold at least 94 % of the planted ranks."""
    held = kpi.published(SAMPLE)
    tables = kpi.coverage(held)
    assert tables.height == 39 and set(tables["branches"]) == set(tables["with_counts"]) == {47}
    truth = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["branch_kpis"]
    hits = []
    for year in (2022, 2023, 2024):
        rows = kpi.ranked(held.filter(pl.col("month") <= (year + 1) * 100 + 3), month="2025-10").drop_nulls("rank")
        planted = [truth[row["kpi_id"]][f"FY{year}"][row["area"]] for row in rows.to_dicts()]
        hits += [
            low <= at <= high for at, low, high in zip(planted, rows["rank_lower"], rows["rank_upper"], strict=True)
        ]
    assert len(hits) == 11 * 3 * 47 and 0.94 <= np.mean(hits) < 1
    assert truth["incentive_checkup_rate"]["FY2024"]["24"] == 21


def test_branch_24_of_the_sample_is_its_own_march():
    held = kpi.published(SAMPLE).filter(pl.col("area") == "24", pl.col("status") == "支部設定")
    monthly = pl.read_parquet(SAMPLE / "kpi_monthly.parquet").filter(pl.col("month").is_in([202303, 202403, 202503]))
    names = ["checkup_rate_insured", "employer_checkup_data_rate", "checkup_rate_dependent"]
    both = held.join(monthly, on=["kpi_id", "month"], suffix="_own").filter(pl.col("kpi_id").is_in(names))
    assert both.height == 9
    assert (both["numerator"] == both["numerator_own"]).all() and (both["denominator"] == both["denominator_own"]).all()
    whole = held.filter(pl.col("kpi_id") == "incentive_checkup_rate").sort("month")["numerator"]
    assert whole.to_list() == both.group_by("month").agg(pl.col("numerator").sum()).sort("month")["numerator"].to_list()
    assert not held.filter(pl.col("area") == "全国").height


def test_the_committed_file_is_what_the_seed_gives():
    table, truths = branch_kpis.build(pl.read_parquet(SAMPLE / "kpi_monthly.parquet"), SEED)
    assert (SAMPLE / provider.FILE).read_bytes() == branch_kpis.text(table)
    assert truths == json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["branch_kpis"]


# --- the posterior -----------------------------------------------------------------------------------------


def test_the_posterior_is_that_of_a_plain_grid():
    """Against a brute-force grid with scipy's beta-binomial probabilities: 4,000 means x 400 spreads."""
    k, n = np.array([2, 5, 9, 1, 7, 4]), np.array([20, 30, 31, 25, 28, 40])
    mean, root = np.linspace(0.0005, 0.9995, 600)[:, None], np.linspace(0.0025, 0.9875, 200)[None, :]
    size = 1 / root**2 - 1
    log = sum(betabinom.logpmf(a, b, mean * size, (1 - mean) * size) for a, b in zip(k, n, strict=True))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    wanted = [(weight * (mean * size + a) / (size + b)).sum() for a, b in zip(k, n, strict=True)]
    found = shrink_shares(k, n)
    assert found.estimate == pytest.approx(wanted, abs=5e-4)
    assert found.draws(40_000, seed=1).mean(axis=0) == pytest.approx(wanted, abs=3e-3)


def test_none_all_and_hardly_any_difference_are_numbers():
    zero = shrink_shares([0] * 6, [10] * 6).estimate
    assert (zero > 0).all() and (zero < 0.1).all()
    assert shrink_shares([10] * 6, [10] * 6).estimate == pytest.approx(1 - zero)
    assert shrink_shares([500_000] * 47, [1_000_000] * 47).spread < 0.0005
    with pytest.raises(EstimateError, match="分子が分母を超える要素が1個"):
        shrink_shares([1, 2, 3, 4, 6], [5] * 5)
    with pytest.raises(EstimateError, match="5以上の集団"):
        shrink_shares([1], [5])


@pytest.mark.parametrize(("size", "mean", "sd"), [(1000, 0.3, 0.04), (30, 0.2, 0.08)])
def test_rank_intervals_cover_the_planted_ranks(size, mean, sd):
    """15 planted tables of 47 branches: the 95 % intervals hold at least 94 % of the true ranks, and not all."""
    rng = np.random.default_rng(3)
    hits = []
    for seed in range(15):
        spread = mean * (1 - mean) / sd**2 - 1
        share = rng.beta(mean * spread, (1 - mean) * spread, 47)
        n = (size * np.exp(rng.normal(0, 0.7, 47))).astype(int) + 3
        limits = rank_limits(shrink_shares(rng.binomial(n, share), n).draws(2000, seed=seed), first="highest")
        true = rank(share, first="highest")
        hits.append((limits.lower <= true) & (true <= limits.upper))
    assert 0.94 <= np.mean(hits) < 0.995


def test_the_samples_table_of_all_members_is_the_sum_of_its_parts() -> None:
    """Branch 24's checkups and guidance of everybody: those of the insured and of the dependants (kpi_monthly)."""
    monthly = pl.read_parquet(SAMPLE / "kpi_monthly.parquet").filter(pl.col("month") == 202503)
    counted = {row["kpi_id"]: (row["numerator"], row["denominator"]) for row in monthly.to_dicts()}
    sent = provider.read_provider(SAMPLE / provider.FILE).filter(pl.col("area") == "24", pl.col("month") == 202503)
    got = {row["kpi_id"]: (row["numerator"], row["denominator"]) for row in sent.to_dicts()}
    parts = [counted[f"guidance_rate_{who}"] for who in ("insured", "dependent")]
    assert got["incentive_guidance_rate"] == tuple(map(sum, zip(*parts, strict=True))) == (433, 2160)


def test_the_samples_payments_are_one_count() -> None:
    monthly = pl.read_parquet(SAMPLE / "kpi_monthly.parquet")
    days, within = (
        monthly.filter(pl.col("kpi_id") == name).select("month", "denominator").sort("month")
        for name in ("service_standard_days", "service_standard_rate")
    )
    assert days.height == 7 and days.equals(within.join(days.select("month"), on="month", how="semi"))
