"""Prediabetes (糖尿病予備群): edge people, the oracle, the flow, every kind of frame."""

import datetime as dt
from collections import Counter

import duckdb
import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DefinitionError, FrameKindError, TableError
from tests import edge_people, oracle

CHECKUPS, MEMBERS = edge_people.frames()


def members_of(engine, cohort) -> set:
    return set(engine.frame(cohort.people)["person_id"].to_list())


@pytest.mark.parametrize("rule", ["or", "and"])
def test_edge_people_on_every_kind_of_frame(engine, rule):
    cohort = ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, rule=rule)
    place = 5 if rule == "or" else 6
    expected = {number for number, person in enumerate(edge_people.PEOPLE, start=1) if person[place] == "in"}
    assert engine.kind(cohort.people) == engine.name
    assert members_of(engine, cohort) == expected


@pytest.mark.parametrize("rule", ["or", "and"])
def test_the_flow_counts_each_reason_and_adds_up(engine, rule):
    flow = engine.frame(ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, rule=rule).flow)
    place = 5 if rule == "or" else 6
    expected = Counter(person[place] for person in edge_people.PEOPLE)
    expected["not_picked"] = 2  # the earlier of two checkups, and one duplicate row
    expected["not_enrolled"] += 1  # the second checkup of the one who had left by then
    excluded = dict(flow.filter(pl.col("kind") == "exclude").select("key", "excluded").iter_rows())
    assert excluded == {key: expected.get(key, 0) for key in excluded}
    start = flow.row(0, named=True)["remaining"]
    end = flow.filter(pl.col("kind") == "end").row(0, named=True)["remaining"]
    assert start == len(CHECKUPS)
    assert start - sum(excluded.values()) == end == expected["in"]
    assert flow["status"].unique().to_list() == ["評価"]


def test_both_rules_are_always_counted(engine):
    for rule in ("or", "and"):
        flow = engine.frame(ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, rule=rule).flow)
        counts = dict(flow.select("key", "remaining").iter_rows())
        assert counts["in_or"] == sum(person[5] == "in" for person in edge_people.PEOPLE)
        assert counts["in_and"] == sum(person[6] == "in" for person in edge_people.PEOPLE)


def test_the_markers_that_brought_people_in_are_told(engine):
    people = engine.frame(ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024).people)
    row = {
        person: people.filter(pl.col("person_id") == number)
        for number, (person, *_) in enumerate(edge_people.PEOPLE, 1)
    }
    assert row["both markers"].select("by_fpg", "by_hba1c", "one_marker").row(0) == (True, True, False)
    assert row["FPG not measured, HbA1c in"].select("by_fpg", "by_hba1c", "one_marker").row(0) == (False, True, True)
    assert row["casual sample, HbA1c in"]["fpg"].to_list() == [None]
    assert row["sampling time missing"]["fasting_unconfirmed"].to_list() == [True]
    assert row["both markers"].select("index_month", "age", "age_band", "sex", "branch").row(0) == (
        202406,
        50,
        "50-54",
        "M",
        "24",
    )


def test_another_branch_is_a_step_of_its_own(engine):
    cohort = ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, branch="23")
    flow = dict(engine.frame(cohort.flow).select("key", "excluded").iter_rows())
    everyone = ka.prediabetes(CHECKUPS, MEMBERS, fiscal_year=2024).flow
    assert flow["other_branch"] == everyone.filter(pl.col("key") == "age")["remaining"].item()
    assert len(members_of(engine, cohort)) == 0
    here = ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, branch="24")
    assert members_of(engine, here) == set(ka.prediabetes(CHECKUPS, MEMBERS, fiscal_year=2024).people["person_id"])


def test_sampling_time_missing_can_be_left_out(engine):
    drop = ka.define(overrides={"fasting.unconfirmed": "drop"})
    people = ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, definitions=drop)
    number = [person[0] for person in edge_people.PEOPLE].index("sampling time missing") + 1
    assert number not in members_of(engine, people)


def test_a_threshold_of_the_branch_is_used(engine):
    lower = ka.define(overrides={"prediabetes.fpg.lower": 109.5})
    people = members_of(engine, ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024, definitions=lower))
    assert [person[0] for person in edge_people.PEOPLE].index("FPG just below") + 1 in people


def test_without_members_the_flow_says_not_judged(engine):
    cohort = ka.prediabetes(engine(CHECKUPS), fiscal_year=2024)
    flow = engine.frame(cohort.flow)
    unjudged = flow.filter(pl.col("status") == "未評価")
    assert unjudged["key"].to_list() == ["not_enrolled", "other_relationship", "age"]
    assert unjudged["excluded"].null_count() == 3
    assert engine.frame(cohort.people)["age"].null_count() == len(engine.frame(cohort.people))


def test_an_analysts_frame_may_lack_record_id_kind_and_received_month(engine):
    bare = CHECKUPS.drop("record_id", "kind", "received_month")
    cohort = ka.prediabetes(engine(bare), engine(MEMBERS), fiscal_year=2024)
    assert (
        len(members_of(engine, cohort)) == sum(person[5] == "in" for person in edge_people.PEOPLE) + 1
    )  # employer data
    kinds = engine.frame(cohort.flow).filter(pl.col("key") == "other_kind")
    assert kinds["status"].to_list() == ["未評価"]


def test_string_ids_are_as_good_as_integers(engine):
    named = CHECKUPS.with_columns(
        pl.format("p{}", "person_id").alias("person_id"),
        pl.format("r{}", pl.col("record_id").cast(pl.String).str.zfill(3)).alias("record_id"),
    )
    who = MEMBERS.with_columns(pl.format("p{}", "person_id").alias("person_id"))
    cohort = ka.prediabetes(engine(named), engine(who), fiscal_year=2024)
    expected = {f"p{number}" for number, person in enumerate(edge_people.PEOPLE, start=1) if person[5] == "in"}
    assert members_of(engine, cohort) == expected


def test_implausible_values_are_counted_not_used(engine):
    flow = engine.frame(ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024).flow)
    assert dict(flow.select("key", "remaining").iter_rows())["implausible"] == 2


def test_a_missing_column_is_said_in_the_flow(engine):
    cohort = ka.prediabetes(engine(CHECKUPS.drop("hba1c")), engine(MEMBERS), fiscal_year=2024)
    flow = dict(engine.frame(cohort.flow).select("key", "status").iter_rows())
    assert flow["no_column_hba1c"] == "未評価"
    with pytest.raises(TableError, match="空腹時血糖"):
        ka.prediabetes(engine(CHECKUPS.drop("hba1c", "fpg")), engine(MEMBERS), fiscal_year=2024)


def test_a_cohort_tells_its_size_when_it_is_printed():
    assert repr(ka.prediabetes(CHECKUPS, MEMBERS, fiscal_year=2024)).startswith("Cohort(糖尿病予備群 ")
    assert "未実行" in repr(ka.prediabetes(CHECKUPS.lazy(), MEMBERS, fiscal_year=2024))


def test_row_order_and_splitting_do_not_matter():
    whole = ka.prediabetes(CHECKUPS, MEMBERS, fiscal_year=2024)
    shuffled = ka.prediabetes(
        CHECKUPS.sample(fraction=1, shuffle=True, seed=3),
        MEMBERS.sample(fraction=1, shuffle=True, seed=4),
        fiscal_year=2024,
    )
    assert shuffled.people.sort("person_id").equals(whole.people.sort("person_id"))
    assert shuffled.flow.equals(whole.flow)
    odd = pl.col("person_id") % 2 == 1
    parts = [ka.prediabetes(CHECKUPS.filter(part), MEMBERS, fiscal_year=2024) for part in (odd, ~odd)]
    assert sum(len(part.people) for part in parts) == len(whole.people)


def test_pandas_gets_its_own_types_back():
    pandas = CHECKUPS.to_pandas()
    pandas["checkup_date"] = pandas["checkup_date"].astype("datetime64[ns]")
    people = ka.prediabetes(pandas, MEMBERS.to_pandas(), fiscal_year=2024).people
    assert people["checkup_date"].dtype == pandas["checkup_date"].dtype
    assert people["person_id"].dtype == "int64"
    assert list(people.index) == list(range(len(people)))


def random_world(seed: int, people: int = 400) -> tuple[pl.DataFrame, pl.DataFrame]:
    """People with every defect at once, many of them on the bounds."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, people, people * 4)

    def holes(values, share=0.2):
        return [
            None if hole else value
            for value, hole in zip(values.tolist(), rng.random(len(values)) < share, strict=True)
        ]

    days = np.datetime64("2023-03-01") + rng.integers(0, 800, len(rows))
    checkups = pl.DataFrame(
        {
            "record_id": rng.permutation(len(rows)),
            "person_id": holes(rows, 0.01),
            "checkup_date": days,
            "received_month": rng.choice([202404, 202405], len(rows)).astype(np.int32),
            "kind": rng.choice(["生活習慣病予防健診", "事業者健診"], len(rows), p=[0.9, 0.1]),
            "fasting": holes(rng.choice(["fasting", "casual", "post_meal"], len(rows), p=[0.8, 0.1, 0.1])),
            "fpg": holes(rng.choice([5.6, 95.0, 109.9, 110.0, 118.0, 125.6, 126.0, np.nan], len(rows))),
            "hba1c": holes(rng.choice([5.5, 5.9, 6.0, 6.45, 6.5, 62.0, np.nan], len(rows))),
            "medication_glucose": holes(rng.random(len(rows)) < 0.1, 0.1),
        },
        strict=False,
    ).with_columns(pl.col("checkup_date").cast(pl.Date))
    starts = np.datetime64("2022-01-01") + rng.integers(0, 900, people)
    ends = starts + rng.integers(100, 1500, people)
    members = pl.DataFrame(
        {
            "person_id": np.arange(people),
            "valid_from": starts,
            "valid_to": holes(ends, 0.4),
            "sex": rng.choice(["M", "F"], people),
            "birth_month": np.full(people, 197001, dtype=np.int32),
            "fy_age_base": rng.integers(1945, 1995, people),
            "relationship": rng.choice(["insured", "dependent"], people, p=[0.8, 0.2]),
        }
    ).with_columns(pl.col("valid_from", "valid_to").cast(pl.Date))
    return pl.concat([checkups, checkups.sample(30, seed=seed)]), members


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["or", "and"])
def test_the_oracle_agrees_person_by_person(engine, rule, seed):
    checkups, members = random_world(seed)
    expected = oracle.prediabetes(checkups.to_dicts(), members.to_dicts(), 2024, rule)
    cohort = ka.prediabetes(engine(checkups), engine(members), fiscal_year=2024, rule=rule)
    assert members_of(engine, cohort) == {person for person, place in expected.items() if place == "in"}
    flow = engine.frame(cohort.flow)
    counts = dict(
        flow.filter(pl.col("unit") == "人", pl.col("kind") == "exclude").select("key", "excluded").iter_rows()
    )
    wanted = Counter(expected.values())
    assert {key: wanted.get(key, 0) for key in counts} == counts
    assert wanted["in"] >= 5


def test_repeated_member_rows_change_nothing_and_overlaps_are_refused(engine):
    once = engine.frame(ka.prediabetes(engine(CHECKUPS), engine(MEMBERS), fiscal_year=2024).flow)
    twice = ka.prediabetes(engine(CHECKUPS), engine(pl.concat([MEMBERS, MEMBERS])), fiscal_year=2024)
    assert engine.frame(twice.flow).equals(once)
    assert len(engine.frame(twice.people)) == len(members_of(engine, twice))
    moved = MEMBERS.filter(pl.col("person_id") == 1).with_columns(
        pl.lit(dt.date(2024, 1, 1)).alias("valid_from"), pl.lit("23").alias("branch")
    )
    with pytest.raises(TableError, match=r"加入期間が同じ人の中で重なっています\(1人\)"):
        _ = ka.prediabetes(engine(CHECKUPS), engine(pl.concat([MEMBERS, moved])), fiscal_year=2024).flow


def test_ties_without_record_ids_do_not_depend_on_row_order(engine):
    two = CHECKUPS.filter(pl.col("person_id") == 1).drop("record_id", "received_month")
    two = pl.concat([two, two.with_columns(pl.lit(95.0).alias("fpg"))])
    found = [
        engine.frame(ka.prediabetes(engine(frame), engine(MEMBERS), fiscal_year=2024).flow)
        for frame in (two, two.reverse())
    ]
    assert found[0].equals(found[1])


def test_a_branch_that_cannot_be_judged_is_said(engine):
    flow = engine.frame(ka.prediabetes(engine(CHECKUPS), fiscal_year=2024, branch="47").flow)
    assert flow.filter(pl.col("key") == "other_branch")["status"].to_list() == ["未評価"]
    with pytest.raises(TableError, match="membersに必要な列がありません: branch"):
        ka.prediabetes(engine(CHECKUPS), engine(MEMBERS.drop("branch")), fiscal_year=2024, branch="24")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": 24}, "2桁の文字列"),
        ({"age": 35}, "下限, 上限"),
        ({"age": (74, 35)}, "下限, 上限"),
        ({"population": "all"}, "対象集団"),
        ({"pick": "best"}, "last か first"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(DefinitionError, match=message):
        ka.prediabetes(CHECKUPS, MEMBERS, fiscal_year=2024, **options)


def test_what_is_wrong_is_said_in_the_readers_words():
    with pytest.raises(TableError, match="checkupsに必要な列がありません: checkup_date"):
        ka.prediabetes(CHECKUPS.drop("checkup_date"), fiscal_year=2024)
    with pytest.raises(TableError, match="checkup_date の型が違います"):
        ka.prediabetes(CHECKUPS.with_columns(pl.col("checkup_date").cast(pl.String)), fiscal_year=2024)
    with pytest.raises(TableError, match="person_idの型が表によって違います"):
        ka.prediabetes(CHECKUPS.with_columns(pl.col("person_id").cast(pl.String)), MEMBERS, fiscal_year=2024)
    with pytest.raises(FrameKindError, match="種類の違う表は結合できません"):
        ka.prediabetes(CHECKUPS, duckdb.connect().from_arrow(MEMBERS.to_arrow()), fiscal_year=2024)
    lossy = CHECKUPS.to_pandas().astype({"person_id": float})
    lossy.loc[0, "person_id"] = float(2**60)
    with pytest.raises(TableError, match="桁が失われています"):
        ka.prediabetes(lossy, fiscal_year=2024)
    with pytest.raises(FrameKindError, match=r"builtins\.list"):
        ka.prediabetes([], fiscal_year=2024)
    with pytest.raises(DefinitionError, match="or か and"):
        ka.prediabetes(CHECKUPS, fiscal_year=2024, rule="xor")  # type: ignore[arg-type]


def test_no_rows_give_no_people_and_a_flow_of_zeros(engine):
    cohort = ka.prediabetes(engine(CHECKUPS.clear()), engine(MEMBERS), fiscal_year=2024)
    assert len(engine.frame(cohort.people)) == 0
    flow = engine.frame(cohort.flow)
    assert flow["remaining"].sum() == 0
    assert len(flow) == 21
