"""Where the year will land: factors by hand, coverage in a known world, refusals with their sentence, あと何人."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

import kenpo_analytics as ka
from kenpo_analytics import kpi
from kenpo_analytics.kpi import backtest, development, levels
from kenpo_analytics.kpi.development import Try
from kenpo_analytics.months import fiscal_months
from tests.test_kpi_status import NEW, OLD, rows, table

ID = "checkup_rate_insured"
SHAPE = np.array([0.06, 0.14, 0.25, 0.36, 0.48, 0.6, 0.72, 0.81, 0.87, 0.92, 0.96, 1.0])


def year(fiscal_year: int, end: float, noise: np.ndarray | float = 1.0, base: int = 10_000, until: int = 12) -> dict:
    """Takers of one fiscal year: a share `end` of `base` people by the same monthly shape."""
    path = np.clip(SHAPE * noise, 0, None) * end
    path[-1] = end
    return {
        m: (round(base * value), base) for m, value in list(zip(fiscal_months(fiscal_year), path, strict=True))[:until]
    }


def land(values: dict, month: int, kpi_id: str = ID, **options) -> dict:
    found = kpi.landing(table(rows(kpi_id, values)), month=month, branch="24", **options)
    return found.rows.filter(pl.col("kpi_id") == kpi_id).row(0, named=True)


def noisy(seed: int, years: int, sigma: float = 0.03) -> dict:
    draw = np.random.default_rng(seed)
    ends = 0.6 * np.exp(draw.normal(0, 0.08, years))
    return {y: (end, np.exp(draw.normal(0, sigma, 12))) for y, end in zip(range(2026 - years, 2026), ends, strict=True)}


def test_factor_and_t_interval_are_those_of_the_formula():
    world = noisy(3, 5)
    values = {m: v for y, (end, noise) in world.items() for m, v in year(y, end, noise).items() if m <= 202510}
    found = land(values, 202510)
    share = {m: n / d for m, (n, d) in values.items()}
    logs = [math.log(share[(y + 1) * 100 + 3] / share[y * 100 + 10]) for y in range(2021, 2025)]
    middle = math.log(share[202510]) + float(np.mean(logs))
    half = stats.t.ppf(0.9, 3) * float(np.std(logs, ddof=1)) * math.sqrt(1.25)
    assert found["method"] == "development_factor" and found["years"] == 4 and found["level"] == 0.8
    assert found["estimate"] == pytest.approx(math.exp(middle), rel=1e-12)
    assert math.log(found["upper"] / found["estimate"]) == pytest.approx(half * found["widen"], rel=1e-9)
    assert math.log(found["estimate"] / found["lower"]) == pytest.approx(half * found["widen"], rel=1e-9)
    errors, simple = [], []
    for y in range(2022, 2025):  # leave one year out, from October, by hand
        others = [log for other, log in zip(range(2021, 2025), logs, strict=True) if other != y]
        errors.append(abs(share[(y + 1) * 100 + 3] - share[y * 100 + 10] * math.exp(float(np.mean(others)))))
        simple.append(abs(share[(y + 1) * 100 + 3] - share[y * 100 + 3]))
    assert (found["mae"], found["mae_last_year"]) == pytest.approx((np.mean(errors), np.mean(simple)))
    assert found["tried"] == 44


def test_in_a_known_world_the_interval_covers_and_beats_last_year():
    """300 worlds of 5 past years with multiplicative noise: projected in October, as 80% intervals."""
    inside, closer, shown = [], [], 0
    for seed in range(300):
        world = noisy(seed, 6)
        past = {y: list(np.append(SHAPE[:-1] * noise[:-1], 1.0) * end) for y, (end, noise) in world.items() if y < 2025}
        end, noise = world[2025]
        now = SHAPE[6] * noise[6] * end
        made = development.tries(past, 0.8)
        kept = backtest.record(made, 6, 0.8)
        if not kept.usable:
            continue
        shown += 1
        found = development.project(now, list(development.factors(past, 6).values()), 0.8)
        half = found.half * kept.widen
        inside.append(abs(math.log(end / found.estimate)) <= half)
        closer.append(abs(end - found.estimate) - abs(end - past[2024][11]))
    assert shown >= 280
    assert 0.74 <= np.mean(inside) <= 0.88
    assert np.mean(closer) < -0.02


def test_nothing_is_projected_from_months_that_are_still_coming_in():
    values = {m: v for y in range(2021, 2026) for m, v in year(y, 0.6 + 0.01 * (y % 3)).items() if m <= 202507}
    late = {m: (n * 0.5, d, NEW, "provisional") for m, (n, d) in year(2025, 0.6, until=7).items() if m > 202507}
    found = land(values | late, 202510)
    assert found["month"] == 202507 and found["remaining"] == 8
    projected = ("method", "estimate", "lower", "upper", "current", "needed", "needed_national", "pace_last_year")
    without = land(values, 202510)
    assert {name: found[name] for name in projected} == {name: without[name] for name in projected}
    assert (found["latest_month"], found["latest_remaining"]) == (202510, 5)  # what is still needed, at most
    assert found["at_most"] > 0 and found["per_month"] == math.ceil(found["at_most"] / 5)
    only_late = {m: v for m, v in values.items() if m <= 202503} | late
    assert (land(only_late, 202510)["method"], land(only_late, 202510)["reason"]) == (
        "none",
        "この年度の確定した実績がない",
    )


@pytest.mark.parametrize(("first", "years"), [(2023, 2), (2024, 1)])
def test_fewer_years_give_a_range_and_no_interval(first, years):
    values = {m: v for y in range(first, 2026) for m, v in year(y, 0.5 + 0.01 * (y % 2)).items() if m <= 202510}
    found = land(values, 202510)
    method = "range" if years > 1 else "none"  # the growth of one year is a point, which would read like certainty
    assert (found["method"], found["years"], found["estimate"], found["level"]) == (method, years, None, None)
    assert f"{years}年度だけ" in found["reason"]
    assert found["lower"] <= found["upper"] if years > 1 else found["lower"] is None


def test_none_gives_the_sentence_and_a_break_ends_the_history():
    lone = land({202510: (400, 1000)}, 202510)
    assert (lone["method"], lone["lower"]) == ("none", None)
    assert lone["reason"] == "同じ定義の版で12か月そろった過去の年度がない(令和6年度)"
    values = {
        m: (n, d, OLD if y < 2024 else NEW)
        for y in range(2020, 2026) for m, (n, d) in year(y, 0.3).items() if m <= 202510
    }  # fmt: skip
    assert land(values, 202510, "receivable_recovery_rate")["years"] == 1
    gap = {m: v for y in range(2021, 2026) for m, v in year(y, 0.6).items() if 202509 >= m != 202212}
    assert land(gap, 202509)["years"] == 3
    assert land({202603: (650, 1000)}, 202603)["method"] == "observed"


def test_where_last_year_was_the_better_forecast_only_a_range_is_shown():
    draw = np.random.default_rng(1)
    values = {}
    for y in range(2021, 2026):  # every year ends at 30%, by wildly different ways
        values |= {m: v for m, v in year(y, 0.3, np.exp(draw.normal(0, 0.4, 12))).items() if m <= 202506}
    found = land(values, 202506)
    assert found["method"] == "range" and "前年度末の値のほうがよく当たった" in found["reason"]
    assert found["mae"] > found["mae_last_year"] and found["upper"] <= 1


def test_an_interval_that_covered_too_little_is_widened():
    made = [Try(2020 + i, 6, 0.6, 0.6 + 0.001 * i, score, 0.7) for i, score in enumerate([0.1, 0.5, 1.5, 2.0, 3.0])]
    kept = backtest.record(made, 6, 0.8)
    assert (kept.coverage, kept.widen, kept.usable) == (0.4, 3.0, True) and "3.0倍に広げた" in kept.reason
    assert backtest.record(made[:2], 6, 0.8).widen == 1.0 and "広め" in backtest.record(made[:2], 6, 0.8).reason
    assert not backtest.record([], 6, 0.8).usable
    assert not backtest.record([Try(2020, 6, 0.6, 0.6, 0.1, None)], 6, 0.8).usable


def test_levels_are_forecast_by_exponential_smoothing():
    from pandas import Series
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    draw = np.random.default_rng(5)
    months = [m for y in range(2021, 2026) for m in fiscal_months(y) if m <= 202510]
    series = np.cumsum(draw.normal(0, 0.001, len(months))) + np.linspace(0.80, 0.86, len(months))
    found = land({m: (round(1e6 * v), 1e6) for m, v in zip(months, series, strict=True)}, 202510, "generic_share")
    assert found["method"] == "ets" and found["lower"] < found["estimate"] < found["upper"]
    values = [round(1e6 * v) / 1e6 for v in series]
    fitted = ETSModel(Series(values), error="add", **levels.MODELS[levels.choose(values)]).fit(disp=False)
    assert found["estimate"] == pytest.approx(float(fitted.forecast(5).iloc[-1]), abs=1e-6)
    short = land(dict.fromkeys(months[-32:], (82, 100)), 202510, "generic_share")
    assert short["method"] == "range" and "32か月だけ" in short["reason"]


def test_how_many_people_are_still_needed():
    values = {
        m: v for y in range(2021, 2026) for m, v in year(y, 0.60 + 0.02 * (y % 2), base=1000).items() if m <= 202512
    }
    found = land(values, 202512)
    done = values[202512][0]
    assert found["needed"] == 695 - done and found["remaining"] == 3
    assert found["per_month"] == math.ceil((695 - done) / 3)
    assert found["needed_national"] == 584 - done  # the nation's 58.4% of FY2024
    assert found["pace_last_year"] == round((values[202503][0] - values[202412][0]) / 3)
    assert land(values | {202601: (700, 1000)}, 202601)["needed"] == 0
    yen = land({m: (n, d) for m, (n, d) in values.items()}, 202512, "assessment_rate")
    assert yen["needed"] is None and yen["remaining"] == 3


def test_the_sample_lands_with_its_record_and_frames_keep_their_kind():
    tables = ka.load()
    found = kpi.landing(tables.pandas("kpi_monthly"), month="2025-10", branch="24")
    assert type(found.rows).__module__.startswith("pandas")
    row = found.rows[found.rows["kpi_id"] == ID].iloc[0]
    assert (row["method"], row["years"], row["month"], row["outlook"]) == (
        "development_factor",
        4,
        202505,  # checkups of later months have not all come
        "届かない見込み",
    )
    assert 0.70 <= row["coverage"] <= 0.90 and row["mae"] < row["mae_last_year"]
    past = found.backtest[found.backtest["kpi_id"] == ID]
    assert past["calendar_month"].tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2] and set(past["years"]) == {4}
    assert (past["coverage"] * past["years"]).sum() / past["years"].sum() == pytest.approx(row["coverage"])


def test_ten_times_the_people_land_alike_and_need_ten_times_as_many():
    worlds = [year(y, 0.5 + 0.02 * (y % 3)) for y in range(2021, 2026)]
    values = {m: v for world in worlds for m, v in world.items() if m <= 202510}
    one, ten = land(values, 202510), land({m: (10 * n, 10 * d) for m, (n, d) in values.items()}, 202510)
    for name in ("method", "years", "outlook", "remaining", "widen"):
        assert one[name] == ten[name]
    assert [ten[name] for name in ("estimate", "lower", "upper")] == pytest.approx(
        [one[name] for name in ("estimate", "lower", "upper")]
    )
    assert abs(ten["needed"] - 10 * one["needed"]) <= 9
