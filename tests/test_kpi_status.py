"""Where a KPI stands: every state by hand, intervals from statsmodels, and no comparison across a break."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

import kenpo_analytics as ka
from kenpo_analytics import kpi, risks
from kenpo_analytics.definitions.kpi import Target, kpis
from kenpo_analytics.errors import DefinitionError, EstimateError, ParameterError, TableError
from kenpo_analytics.months import fiscal_months

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
NEW, OLD = "令和6年度", "令和5年度まで"
CHANGED = "令和5年度まで、この年度は令和6年度)"


def rows(kpi_id: str, values: dict[int, tuple], version: str = NEW, state: str = "final") -> list[tuple]:
    """Rows of kpi_monthly: {month: (numerator, denominator[, version[, state]])}."""
    made = []
    for month, (n, d, *more) in values.items():
        how, settled = [*more, *(version, state)[len(more) :]]
        made.append(
            ("24", kpi_id, month, how, None if n is None else float(n), None if d is None else float(d), settled)
        )
    return made


def table(*parts: list[tuple]) -> pl.DataFrame:
    names = ["branch", "kpi_id", "month", "definition_version", "numerator", "denominator", "state"]
    schema = dict.fromkeys(names[:2], pl.String) | {"month": pl.Int32, "definition_version": pl.String}
    schema |= {"numerator": pl.Float64, "denominator": pl.Float64, "state": pl.String}
    return pl.DataFrame([row for part in parts for row in part], schema=schema, orient="row")


def stands(kpi_id: str, values: dict[int, tuple], month: int = 202603, **options) -> dict:
    found = kpi.status(table(rows(kpi_id, values)), month=month, branch="24", **options)
    return found.filter(pl.col("kpi_id") == kpi_id).row(0, named=True)


@pytest.mark.parametrize(
    ("kpi_id", "values", "month", "status", "reason"),
    [
        ("checkup_rate_insured", {202603: (695, 1000)}, 202603, "達成", "年度末の値による"),
        ("checkup_rate_insured", {202603: (694, 1000)}, 202603, "未達", "年度末の値による"),
        ("checkup_rate_insured", {202603: (694, 1000, NEW, "provisional")}, 202603, "未達", "年度末の値による(速報)"),
        ("checkup_rate_insured", {202510: (400, 1000)}, 202510, "進捗中", "年度途中の累計(年度末に判定)"),
        ("checkup_rate_insured", {202601: (700, 1000)}, 202601, "達成", "年度途中の累計で目標に届いた"),
        ("checkup_rate_insured", {202503: (700, 1000)}, 202510, "判定不能", "この年度の実績が届いていない"),
        ("checkup_rate_insured", {202510: (1, 0)}, 202510, "判定不能", "この年度の実績が届いていない"),
        ("single_bid_rate", {202603: (3, 20)}, 202603, "達成", "年度末の値による"),
        ("single_bid_rate", {202603: (4, 20)}, 202603, "未達", "年度末の値による"),
        ("single_bid_rate", {202511: (1, 20)}, 202511, "進捗中", "年度末に判定。今は目標と区別できない水準"),
        ("single_bid_rate", {202511: (10, 200)}, 202511, "進捗中", "年度末に判定。今は目標を満たす水準"),
        ("single_bid_rate", {202511: (60, 200)}, 202511, "進捗中", "年度末に判定。今は目標に届かない水準"),
        ("service_standard_rate", {202511: (40, 40)}, 202511, "進捗中", "年度末に判定。今は目標を満たす水準"),
        ("service_standard_rate", {202511: (39, 40)}, 202511, "進捗中", "年度末に判定。今は目標に届かない水準"),
        ("guidance_rate_insured", {202510: (48, 1000)}, 202510, "進捗中",
         "年度途中の割合は、分子が遅れて増えるため、目標と比べない"),
        ("guidance_rate_insured", {202410: (33, 1000), 202510: (300, 1000)}, 202510, "進捗中",
         "年度途中の割合は、分子が遅れて増えるため、目標と比べない。前年同月との差を見る"),
        ("receivable_recovery_rate", {202503: (60, 100), 202510: (66, 100)}, 202510, "進捗中",
         "年度途中の割合は、分子が遅れて増えるため、目標と比べない"),
        ("guidance_rate_insured", {202603: (220, 1000)}, 202603, "達成", "年度末の値による"),
        ("untreated_visit_rate", {202503: (386, 1000), 202510: (200, 1000)}, 202510, "進捗中",
         "年度末に判定(今は10か月が過ぎた一部の人だけの値)。今は目標に届かない水準"),
        ("untreated_visit_rate", {202503: (386, 1000), 202603: (500, 1000, NEW, "provisional")}, 202603, "判定不能",
         "10か月が過ぎた一部の人だけの値のため判定しない(速報)"),
        ("untreated_visit_rate", {202503: (386, 1000), 202603: (500, 1000)}, 202603, "達成", "年度末の値による"),
        ("service_standard_days", {202603: (6990, 1000)}, 202603, "達成", "年度末の値による"),
        ("service_standard_rate", {202603: (999, 1000)}, 202603, "未達", "年度末の値による"),
        ("declared_workplaces", {202603: (1750, None)}, 202603, "達成", "年度末の値による"),
        ("biosimilar_programme", {202506: (1, None)}, 202506, "達成", "実施済み"),
        ("biosimilar_programme", {202506: (0, None)}, 202506, "進捗中", "実施の報告がない"),
        ("biosimilar_programme", {202603: (0, None)}, 202603, "未達", "実施の報告がない"),
        ("generic_share", {202503: (88, 100), 202603: (89, 100)}, 202603, "達成", "年度末の値による"),
        ("generic_share", {202603: (89, 100)}, 202603, "判定不能", "前年度末の値がない"),
        ("counter_rate", {202503: (5, 100), 202603: (6, 100)}, 202603, "未達", "年度末の値による"),
        ("assessment_rate", {202510: (13, 10000, OLD)}, 202510, "判定不能", f"定義の版が違う(実績は{CHANGED}"),
        ("assessment_rate", {202503: (37, 10000, OLD), 202603: (13, 10000)}, 202603, "判定不能",
         f"前年度の値の定義の版が違う(前年度は{CHANGED}"),
        ("receivable_recovery_rate", {202503: (90, 100)}, 202503, "判定不能",
         f"目標の定義の版が違う(目標は{CHANGED}"),
        ("out_of_hours_first", {202510: (100, 20000)}, 202510, "判定不能", "計画に目標がない"),
    ],
)  # fmt: skip
def test_every_state_and_its_reason(kpi_id, values, month, status, reason):
    found = stands(kpi_id, values, month)
    assert (found["status"], found["reason"]) == (status, reason)


def test_a_monthly_target_is_missed_with_one_month_and_unknown_with_a_gap():
    months = fiscal_months(2025)
    full = dict.fromkeys(months, (2, None))
    assert stands("sns_posts", full)["status"] == "達成"
    assert stands("sns_posts", dict(list(full.items())[:5]), 202508)["status"] == "進捗中"
    missed = stands("sns_posts", full | {202507: (0, None)})
    assert (missed["status"], missed["reason"]) == ("未達", "目標に届かない月が1か月ある")
    gap = stands("sns_posts", {m: v for m, v in full.items() if m != 202507})
    assert (gap["status"], gap["reason"]) == ("判定不能", "実績の届いていない月が1か月ある")


def test_a_share_has_wilson_limits_the_gap_and_distances_under_the_reference():
    found = stands("checkup_rate_insured", {202503: (560, 1000)}, 202503, plan=[_target(0.6)])
    low, high = proportion_confint(560, 1000, method="wilson")
    assert (found["lower"], found["upper"]) == pytest.approx((low, high), abs=1e-12)
    assert found["gap"] == pytest.approx(-0.04)
    assert found["distance_target"] == pytest.approx(-0.04 / math.sqrt(0.6 * 0.4 / 1000))
    assert (found["national"], found["national_month"]) == (0.584, 202503)  # 令和6年度事業報告書 p.120
    assert found["distance_national"] == pytest.approx(-0.024 / math.sqrt(0.584 * 0.416 / 1000))


def _target(value: float) -> Target:
    return Target("checkup_rate_insured", 2024, NEW, "ge", 100 * value, "確認済", "test")


def test_a_part_year_sum_is_measured_against_no_full_year():
    found = stands("checkup_rate_insured", {202510: (400, 1000)}, 202510)
    assert found["distance_target"] is None and found["distance_national"] is None
    assert (found["national"], found["national_month"]) == (0.584, 202503)
    assert stands("sns_posts", {202504: (1, None)}, 202504)["national"] is None  # 全国値なし


def test_yen_and_drug_units_have_no_interval_of_people():
    for kpi_id in ("assessment_rate", "receivable_recovery_rate", "generic_share"):
        found = stands(kpi_id, {202510: (660, 1000)}, 202510)
        assert found["estimate"] == pytest.approx(0.66) and found["lower"] is None and found["method"] is None


def test_last_year_is_the_same_month_under_the_same_version():
    values = {202410: (466, 1000), 202510: (450, 1000)}
    found = stands("checkup_rate_insured", values, 202510)
    low, high = confint_proportions_2indep(450, 1000, 466, 1000, method="newcomb", compare="diff")
    assert (found["last_year"], found["change"]) == pytest.approx((0.466, -0.016))
    assert (found["change_lower"], found["change_upper"]) == pytest.approx((low, high), abs=1e-6)
    early = stands("checkup_rate_insured", values | {202510: (350, 1000, NEW, "provisional")}, 202510)
    assert early["last_year"] is None and early["change"] is None and "速報の月" in early["note"]
    broken = stands("untreated_visit_rate", {202310: (11, 100, OLD), 202410: (36, 100)}, 202410)
    assert broken["last_year"] is None and "前年同月は定義の版が違うため比較しない" in broken["note"]


def test_the_latest_or_the_latest_final_month():
    values = {202507: (200, 1000), 202510: (350, 1000, NEW, "provisional"), 202511: (400, 1000)}
    assert stands("checkup_rate_insured", values, 202510)["month"] == 202510  # what comes later is not known yet
    final = stands("checkup_rate_insured", values, 202510, use="final")
    assert (final["month"], final["state"], final["estimate"]) == (202507, "final", 0.2)
    none = stands("checkup_rate_insured", {202510: (350, 1000, NEW, "provisional")}, 202510, use="final")
    assert none["reason"] == "この年度の確定した実績がない"


def test_two_versions_of_one_month_are_read_in_the_official_one():
    values = rows("assessment_rate", {202503: (37, 10000, OLD)}) + rows("assessment_rate", {202503: (13, 10000)})
    found = kpi.status(table(values), month=202503, branch="24").filter(pl.col("kpi_id") == "assessment_rate")
    assert (found["estimate"].item(), found["definition_version"].item()) == (0.0013, NEW)


def test_a_comparison_across_a_break_is_refused_and_said():
    held = table(rows("untreated_visit_rate", {202403: (11, 100, OLD), 202503: (36, 100), 202510: (30, 100)}))
    with pytest.raises(DefinitionError, match=r"2024-03と2025-03で定義の版が違うため、比較しません。令和6年度に起点"):
        kpi.compare(held, "untreated_visit_rate", month=202503, earlier=202403, branch="24")
    with pytest.raises(DefinitionError, match="年度の同じ月とだけ"):
        kpi.compare(held, "untreated_visit_rate", month=202510, earlier=202503, branch="24")
    with pytest.raises(EstimateError, match="2023-03の実績がありません"):
        kpi.compare(held, "untreated_visit_rate", month=202503, earlier=202303, branch="24")
    same = table(rows("generic_share", {202503: (88, 100), 202510: (89, 100)}))
    moved = kpi.compare(same, "generic_share", month="2025-10", earlier="2025-03", branch="24")
    assert moved["change"] == pytest.approx(0.01) and moved["lower"] is None


def test_every_kpi_of_the_year_has_a_row_and_strangers_are_named():
    found = kpi.status(table(rows("my_own", {202510: (1, 2)})), month=202510, branch="24")
    plan = [item.id for item in kpis() if item.kind == "plan"]
    assert found["kpi_id"].to_list() == [*plan, "my_own"]
    assert found.row(-1, named=True)["reason"] == "登録されていないKPI"
    assert set(found["status"]) == {"判定不能"}
    assert "card_recovery_rate" in kpi.status(table(), month=202410, branch="24")["kpi_id"].to_list()


def test_other_branches_have_no_targets_of_mie_and_frames_keep_their_kind():
    held = table(rows("checkup_rate_insured", {202603: (700, 1000)})).with_columns(branch=pl.lit("25"))
    found = kpi.status(held.to_pandas(), month=202603, branch="25")
    assert type(found).__module__.startswith("pandas")
    row = found[found["kpi_id"] == "checkup_rate_insured"].iloc[0]
    assert (row["status"], row["reason"]) == ("判定不能", "計画に目標がない")
    with pytest.raises(TableError, match="行が2行あります"):
        kpi.status(pl.concat([held, held]), month=202603, branch="25")


def test_the_order_of_rows_does_not_matter():
    held = ka.load().polars("kpi_monthly")
    one = kpi.status(held, month=202510, branch="24")
    assert one.equals(kpi.status(held.sample(fraction=1, shuffle=True, seed=1), month=202510, branch="24"))


def test_untreated_people_are_counted_as_in_the_incidence():
    tables = ka.load()
    made = kpi.untreated_visits(tables, branch="24", months=12)
    known = ka.mature_month(tables.claims, definitions=tables.definitions, through=tables.month)
    through = known.complete_through
    people = ka.untreated(
        tables.checkups, tables.claims, tables.members, fiscal_year=2024, branch="24", data_through=through
    )
    visits = ka.first_visit(people.people, tables.claims, tables.members, data_through=through)
    by_hand = ka.visit_incidence(visits.collect()).kpi.filter(pl.col("window") == "0-10")
    last = made.sort("month").row(-1, named=True)
    assert (last["month"], last["numerator"], last["denominator"]) == (
        202510, by_hand["events"].item(), by_hand["persons"].item()
    )  # fmt: skip
    found = kpi.status(made, month=202510, branch="24").filter(pl.col("kpi_id") == "untreated_visit_rate")
    assert found["status"].item() == "進捗中" and found["target"].item() == pytest.approx(
        made.filter(pl.col("month") == 202503).select(pl.col("numerator") / pl.col("denominator")).item()
    )
    assert made["month"].is_unique().all() and (made["numerator"] <= made["denominator"]).all()


def test_untreated_people_of_a_march_are_the_whole_year_and_twelve_months_are_final():
    tables = ka.load(SAMPLE, month="2025-10")
    made = kpi.untreated_visits(tables, branch="24")
    known = ka.mature_month(tables.claims, definitions=tables.definitions, through=tables.month).complete_through
    whole = ka.untreated(
        tables.checkups, tables.claims, tables.members, fiscal_year=2023, branch="24", data_through=known
    )
    visits = ka.first_visit(whole.people, tables.claims, tables.members, data_through=known).collect()
    by_hand = ka.visit_incidence(visits).kpi.filter(pl.col("window") == "0-10").row(0, named=True)
    march = made.filter(month=202503).row(0, named=True)
    assert by_hand["not_mature"] == 0 and by_hand["persons"] == visits.height
    assert (march["numerator"], march["denominator"]) == (by_hand["events"], by_hand["persons"]) == (243, 630)
    final = made.filter(pl.col("state") == "final")["month"].to_list()
    assert set(fiscal_months(2024)) | set(fiscal_months(2023)) <= set(final) and max(final) == known == 202504
    assert made.filter(pl.col("month") < 202304).is_empty()  # April 2021: the month before it is not in the claims
    april = visits.filter(pl.col("checkup_date").dt.strftime("%Y%m").is_in(["202304", "202305", "202306"]))
    assert made.filter(month=202404)["denominator"].item() == april.height == 148


def test_an_earlier_page_knows_only_its_own_data_and_judges_no_part_of_a_year():
    early = kpi.untreated_visits(ka.load(SAMPLE, month="2025-03"), branch="24")
    march = early.filter(month=202503).row(0, named=True)
    assert march["state"] == "provisional" and march["denominator"] < 630
    found = kpi.status(early, month=202503, branch="24").filter(kpi_id="untreated_visit_rate").row(0, named=True)
    assert found["status"] == kpi.UNKNOWN and "一部の人だけの値" in found["reason"]
    then = kpi.untreated_visits(ka.load(SAMPLE, month="2025-08"), branch="24")
    assert then["month"].max() == 202508 and then.filter(state="final")["month"].max() == 202503


def test_a_misspelt_choice_is_refused():
    with pytest.raises(ParameterError, match="useの指定が違います"):
        kpi.status(table(), month=202510, branch="24", use="fianl")


@pytest.mark.parametrize(
    ("branch", "hint"),
    [("三重", '"24" と'), ("三重支部", '"24" と'), ("三重県", '"24" と'), ("北海道", '"01" と'), ("5", '"05" と'),
     (24, '"24" と'), ("99", '三重 "24"'), ("", '三重 "24"'), (None, '三重 "24"'), ("全国", '三重 "24"')],
)  # fmt: skip
def test_a_branch_that_is_no_code_is_refused_with_the_code_that_is_meant(branch, hint):
    monthly = table(rows("checkup_rate_insured", {202510: (400, 1000)}))
    with pytest.raises(ParameterError, match=f"支部「{branch}」は JIS") as caught:
        kpi.status(monthly, month=202510, branch=branch)
    assert hint in str(caught.value.hint)


def test_every_function_that_takes_a_branch_refuses_a_name():
    monthly = table(rows("checkup_rate_insured", {202510: (400, 1000), 202410: (390, 1000)}))
    at = {"month": 202510, "branch": "三重"}
    tables, published = ka.load(SAMPLE, month="2025-10"), kpi.published()
    given = kpi.status(monthly, month=202510, branch="24")
    for call in (
        lambda: kpi.status(monthly, **at),
        lambda: kpi.landing(monthly, **at),
        lambda: kpi.compare(monthly, "checkup_rate_insured", earlier=202410, **at),
        lambda: kpi.control(monthly, **at),
        lambda: kpi.monthly_series(monthly, **at),
        lambda: kpi.with_ranks(given, published, **at),
        lambda: kpi.monthly_totals(tables, branch="三重"),
        lambda: kpi.untreated_visits(tables, branch="三重"),
        lambda: kpi.workplace_totals(tables, branch="三重"),
        lambda: kpi.beside_reported(tables, branch="三重"),
        lambda: risks.beside_branches(pl.DataFrame(), pl.DataFrame(), branch="三重"),
    ):
        with pytest.raises(ParameterError, match="支部「三重」は JIS"):
            call()


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_none_is_refused(level):
    monthly = table(rows("checkup_rate_insured", {202510: (400, 1000)}))
    for call in (kpi.status, kpi.landing):
        with pytest.raises(EstimateError, match="信頼水準は0と1の間"):
            call(monthly, month=202510, branch="24", level=level)
