"""What the evaluation's pages say: every sentence in each of its states, and what stands where there is nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl

from kenpo_analytics.evaluation.analysis import AnalysisSet
from kenpo_analytics.evaluation.choices import Choice
from kenpo_analytics.evaluation.diagnose import first_outcome
from kenpo_analytics.evaluation.protocol import Protocol, standing

LATER = Choice((2022,), (2018, 2022), (2017,), "and")
PLAN = Protocol(
    "prediabetes_leaflet", "and", (2017,), (2022,), "全体への効果", "did_ancova", (110.0, 125.0), (100.0, 109.0), 9.0,
    dt.date(2022, 4, 1), digest="0123456789abcdef",
)  # fmt: skip


def pooled() -> AnalysisSet:
    """Outcomes of the year before, of an earlier pooled year, and of the plan's own year (one of them unseen)."""
    rows = [
        ("before", 2017, "observed", dt.date(2018, 5, 1)),
        ("programme", 2018, "observed", dt.date(2019, 6, 1)),
        ("programme", 2022, "unexamined", None),
        ("programme", 2022, "observed", dt.date(2023, 6, 1)),
        ("programme", 2022, "observed", dt.date(2023, 4, 21)),
    ]
    names = ["era", "fiscal_year", "outcome_state", "outcome_date"]
    return AnalysisSet(pl.DataFrame(rows, schema=names, orient="row"), "and", (2017,), (2018, 2022))


def test_a_plan_in_time_for_its_own_year_is_no_late_choice_though_earlier_years_had_letters() -> None:
    first = first_outcome(pooled(), LATER)
    assert first == dt.date(2023, 4, 21)
    assert standing(PLAN, outcomes_from=first) == (
        "設計は解析計画(指紋 0123456789abcdef)によります。計画書に記された日付は2022年4月1日で、事業の年度の最初の結果"
        "(2023年4月21日)より前です(第三者による確認なし)。事業前の年度の結果には、それより前に得られたものがあります。"
    )
    late = standing(replace(PLAN, declared_on=dt.date(2023, 4, 22)), outcomes_from=first)
    assert late == (
        "解析計画(指紋 0123456789abcdef)は2023年4月22日付けで、最初の結果が得られた日より後です(事後選択)。"
    )


def test_before_anybody_is_seen_again_there_is_no_first_outcome() -> None:
    assert first_outcome(pooled(), replace(LATER, programme=(2021,))) is None
