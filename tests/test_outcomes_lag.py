"""The lag triangle, the run-out and the last complete month: counted by hand, on every kind of frame."""

import polars as pl
import pytest

from kenpo_analytics.definitions import define
from kenpo_analytics.errors import DateError, EstimateError, TableError
from kenpo_analytics.months import add_months, month_range
from kenpo_analytics.outcomes.lag import Maturity, lag_triangle, last_complete_month, mature_month, run_out
from kenpo_analytics.sample import build
from kenpo_analytics.store import load

LAST = 202510


def claims(first: int = 202401, last: int = LAST, shares: tuple[int, ...] = (0, 80, 12, 5, 2, 1)) -> pl.DataFrame:
    """`shares[lag]` outpatient claims of each treatment month; what would be received after `last` is not there."""
    rows = [
        (month, add_months(month, lag), "normal", "入院外")
        for month in month_range(first, last)
        for lag, number in enumerate(shares)
        for _ in range(number)
        if add_months(month, lag) <= last
    ]
    return pl.DataFrame(rows, schema=["treatment_month", "received_month", "status", "kind"], orient="row")


def with_claim(treatment: int, received: int, status: str = "normal", kind: str = "入院外", number: int = 1):
    row = {"treatment_month": treatment, "received_month": received, "status": status, "kind": kind}
    return pl.concat([claims(), pl.DataFrame([row] * number)])


def six_inpatient_months() -> pl.DataFrame:
    """150 inpatient claims in each of 2024-04 to 2024-09, all of them a year late."""
    late = [with_claim(month, month + 100, kind="入院", number=150).tail(150) for month in range(202404, 202410)]
    return pl.concat([claims(), *late])


def test_the_triangle_of_a_few_claims(engine):
    rows = [
        (202311, 202312, "normal", "入院外"),
        (202311, 202312, "normal", "入院"),
        (202311, 202312, "returned", "入院外"),
        (202311, 202402, "reclaimed", "入院外"),
        (202311, 202403, "after_loss", "入院外"),
        (202402, 202402, "normal", "入院外"),
    ]
    frame = pl.DataFrame(rows, schema=["treatment_month", "received_month", "status", "kind"], orient="row")
    triangle = lag_triangle(engine(frame))
    assert engine.kind(triangle) == ("pandas" if engine.name == "pandas" else "polars")
    assert engine.rows(triangle) == [
        (202311, 1, 2, 0.5),
        (202311, 3, 1, 0.75),
        (202311, 4, 1, 1.0),
        (202402, 0, 1, 1.0),
    ]
    cut = lag_triangle(engine(frame), through="2024-02", kind="入院外")
    assert engine.rows(cut) == [(202311, 1, 1, 0.5), (202311, 3, 1, 1.0), (202402, 0, 1, 1.0)]


@pytest.mark.parametrize(("share", "lag"), [(0.5, 1), (0.80, 1), (0.92, 2), (0.97, 3), (0.99, 4), (0.991, 5), (1.0, 5)])
def test_the_run_out_is_the_first_lag_that_reaches_the_share(engine, share, lag):
    assert run_out(lag_triangle(engine(claims())), share) == lag


def test_months_that_are_still_arriving_do_not_count():
    # half of what recent months will have is missing: the last twelve months would pull the run-out down
    late = with_claim(202411, 202510, number=900)  # 11 months old at the last receipt: not yet complete
    assert run_out(lag_triangle(late), 0.99) == 4
    late = with_claim(202410, 202510, number=900)  # 12 months old: complete
    assert run_out(lag_triangle(late), 0.99) == 12


def test_months_before_the_first_receipt_do_not_count():
    # of 2020 only very late arrivals are in the data, since its early ones were received before the data begin
    late = with_claim(202012, 202401, number=900)
    assert run_out(lag_triangle(late), 0.99) == 4


def test_returned_claims_count_when_they_come_back(engine):
    returned = with_claim(202402, 202403, status="returned", number=900)
    assert run_out(lag_triangle(engine(returned)), 0.99) == 4
    again = with_claim(202402, 202409, status="reclaimed", number=900)
    assert run_out(lag_triangle(engine(again)), 0.99) == 7


def test_the_mature_month(engine):
    found = mature_month(engine(claims()), definitions=define(), through=LAST)
    assert found == Maturity(
        run_out=4,
        complete_through=202506,
        through=202510,
        share=0.99,
        observed=0.99,
        months=9,
        claims=900,
        first=202402,  # nothing of 2024-01 but its own late arrivals is known to be there before 2024-02
        last=202410,
    )


def test_only_what_was_received_by_then_and_counts_as_a_visit():
    inpatient = six_inpatient_months()
    assert mature_month(inpatient, through=LAST).run_out == 4
    with pytest.raises(EstimateError, match="0か月、0件"):  # all of the inpatient claims are younger than a year
        mature_month(inpatient, definitions=define(overrides={"visit.kind": "入院"}), through=LAST)
    found = mature_month(claims(202301), through="2024-10")
    assert (found.through, found.complete_through, found.last) == (202410, 202406, 202310)
    strict = define(overrides={"runout.share": 0.995})
    assert mature_month(claims(), definitions=strict, through=LAST).complete_through == 202505


def test_data_that_end_earlier_are_complete_earlier():
    assert mature_month(claims(), through=202603).through == LAST
    assert mature_month(claims(), through=202603).complete_through == 202506


def test_too_little_data_is_said_not_guessed():
    with pytest.raises(EstimateError, match="診療月が5か月、500件しか"):
        mature_month(claims(202405), through=LAST)
    with pytest.raises(EstimateError, match="診療月が9か月、9件しか"):
        run_out(lag_triangle(claims(shares=(0, 1))), 0.99)
    with pytest.raises(EstimateError, match="診療月が0か月、0件しか"):
        mature_month(claims().clear(), through=LAST)
    with pytest.raises(EstimateError, match="到着割合"):
        run_out(lag_triangle(claims()), 1.01)


def test_impossible_claims_are_refused(engine):
    with pytest.raises(TableError, match="受領月が診療月より前のレセプトが3件"):
        lag_triangle(engine(with_claim(202405, 202404, number=3)))
    with pytest.raises(TableError, match="受領月のないレセプトが1件"):
        lag_triangle(engine(with_claim(202405, None)))
    with pytest.raises(TableError, match="必要な列がありません: kind"):
        lag_triangle(engine(claims().drop("kind")))


@pytest.mark.parametrize(
    ("through", "lag", "month"), [(202510, 6, 202504), ("2025-02", 4, 202410), (202501, 0, 202501)]
)
def test_the_last_complete_month(through, lag, month):
    assert last_complete_month(through, lag) == month


PLANTED = (0.72, 0.15, 0.08, 0.025, 0.012, 0.007, 0.004, 0.002)
"""What the sample world plants: the share of claims received 1, 2 ... 8 months after treatment (sample/params.py)."""


def test_the_planted_lags_of_the_sample_are_found(tmp_path):
    build(tmp_path, persons=4000)
    tables = load(tmp_path)
    normal = tables.claims.filter(pl.col("status") == "normal")
    old = lag_triangle(normal).filter(pl.col("treatment_month") <= add_months(tables.month, -12))
    shares = dict(old.group_by("lag").agg(pl.col("n").sum() / old["n"].sum()).iter_rows())
    assert [shares[lag] for lag in range(1, 9)] == pytest.approx(PLANTED, abs=0.01)
    # 0.987 have arrived after 5 months, 0.994 after 6; the few that come back from a return do not move that
    found = mature_month(tables.claims, definitions=tables.definitions, through=tables.month)
    assert (found.run_out, found.complete_through, found.through) == (6, 202504, 202510)
    assert found.observed == pytest.approx(0.992, abs=0.003)


def test_a_fiscal_year_is_used_only_when_all_its_months_are_complete():
    known = mature_month(claims(), through=LAST)
    assert known.complete_through == 202506
    assert known.complete_year(2024) == (202404, 202503)
    with pytest.raises(DateError, match="2025年度のレセプトはまだ到着が完了していません") as refused:
        known.complete_year(2025)
    assert refused.value.hint == "完了している最新の年度は2024年度です。"


@pytest.mark.parametrize(
    ("complete", "after", "year"),
    [
        (202503, 0, 2024),
        (202502, 0, 2023),
        (202504, 10, 2023),
        (202501, 10, 2023),
        (202412, 10, 2022),
        (202503, 18, 2022),
    ],
)
def test_the_latest_year_that_can_be_used(complete, after, year):
    known = Maturity(6, complete, 202510, 0.99, 0.99, 9, 900, 202402, 202410)
    assert known.latest_year(after) == year
    last = add_months((year + 1) * 100 + 3, after)
    assert last <= complete < add_months(last, 12)
