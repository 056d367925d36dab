"""Stretches become people: job changes bridged, twins and namesakes kept apart, in whatever order lists come."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import Key, seal_frame
from kenpo_analytics.ingest.records import MEMBERS
from kenpo_analytics.ingest.store import people
from kenpo_analytics.ingest.store.listed import listed
from kenpo_analytics.ingest.store.staged import sealed
from tests.staged_world import KEY, member, who


def d(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def staged(*lists: list[dict[str, Any]], made: list[int] | None = None, key: Key = KEY) -> pl.DataFrame:
    """Member lists as staged, the first delivered first; by default made in successive months of 2025."""
    frames = []
    for at, rows in enumerate(lists):
        frame = pl.DataFrame([{"line": i, **row} for i, row in enumerate(rows, 2)], schema=MEMBERS)
        day = made[at] if made else 20250100 + 100 * at
        frame = seal_frame(frame.rename({"filed": "made"}).with_columns(made=pl.lit(day, pl.Int32)), key)
        frames.append(frame.with_columns(seq=pl.lit(at + 1, pl.Int32)).select(list(sealed("members"))))
    return pl.concat(frames)


def resolve(*lists: list[dict[str, Any]], made: list[int] | None = None) -> people.People:
    rows, repeated = listed(staged(*lists, made=made).lazy())
    assert rows.height + repeated["rows"].sum() == sum(map(len, lists))
    return people.resolve(rows, KEY)


def stretches(found: people.People) -> list[tuple]:
    """(person by first appearance, from, to, rule), in order of the first day."""
    rows = found.members.sort("valid_from", "workplace_id", "person_id")
    number = {person: at for at, person in enumerate(rows["person_id"].unique(maintain_order=True))}
    return [
        (number[p], a, z, rule)
        for p, a, z, rule in rows.select("person_id", "valid_from", "valid_to", "link_rule").rows()
    ]


def rules(found: people.People) -> list[str]:
    return sorted(found.said["rule"].to_list())


START, CHANGE, BACK = d("2019-04-01"), d("2022-07-01"), d("2023-01-16")
NEW = who(symbol="99000001", number="7")


def test_the_id_is_that_of_the_earliest_spell():
    found = resolve([member(NEW, CHANGE), member(who(), START, CHANGE)])
    family, birth = KEY.seal("family|01240019|24010203|15"), KEY.seal("birth|1970-05-17|M")
    expected = KEY.seal(f"person|{family}|{birth}|{KEY.seal('kana|カクウタロウ')}")
    assert found.members["person_id"].to_list() == [expected, expected]


def test_without_a_name_the_branch_number_is_in_the_id():
    found = resolve([member(who(kana=None), START)])
    family, birth = KEY.seal("family|01240019|24010203|15"), KEY.seal("birth|1970-05-17|M")
    number = KEY.seal("number|01240019|24010203|15|0")
    assert found.members["person_id"].item() == KEY.seal(f"person|{family}|{birth}||{number}")


def test_an_adjoining_spell_under_another_number_is_the_same_person():
    found = resolve([member(who(), START, CHANGE), member(NEW, CHANGE, workplace_id="W2")])
    assert stretches(found) == [(0, START, CHANGE, "exact"), (0, CHANGE, None, "number_change")]
    assert found.said.is_empty()


def test_voluntary_continuation_and_a_return_after_a_gap():
    voluntary = member(NEW, CHANGE, BACK, insured_kind="任継", workplace_id=None)
    again = member(who(symbol="5", number="6"), BACK + dt.timedelta(days=30), workplace_id="W9")
    found = resolve([member(who(), START, CHANGE), voluntary], [again])
    gap = BACK + dt.timedelta(days=30)
    assert stretches(found) == [
        (0, START, CHANGE, "exact"),
        (0, CHANGE, BACK, "number_change"),
        (0, gap, None, "rejoined"),
    ]


def test_a_move_keeps_the_rule_of_its_number():
    moved = member(NEW, BACK, municipality="24202")
    found = resolve([member(who(), START, CHANGE), member(NEW, CHANGE, BACK), moved])
    assert [rule for *_, rule in stretches(found)] == ["exact", "number_change", "number_change"]


def test_stretches_that_change_nothing_are_one():
    found = resolve(
        [member(who(), START, CHANGE), member(who(), CHANGE, BACK), member(who(), BACK, municipality="24202")]
    )
    assert stretches(found) == [(0, START, BACK, "exact"), (0, BACK, None, "exact")]
    assert found.fates["fate"].to_list() == ["accepted"] * 3


def test_another_birthday_or_sex_or_name_is_another_person():
    others = [
        who(**change, number=n)
        for n, change in (("2", {"sex": "F"}), ("3", {"birth": d("1970-05-18")}), ("4", {"kana": "ベツ"}))
    ]
    found = resolve([member(who(), START, CHANGE), *(member(other, CHANGE) for other in others)])
    assert found.members["person_id"].n_unique() == 4


def test_twins_without_branch_numbers_are_kept_apart_and_listed():
    a, b = who(branch_number=None), who(branch_number=None, kana="カクウ ジロウ")
    found = resolve([member(a, START), member(b, START)])
    assert [rule for *_, rule in stretches(found)] == ["twin_unresolved"] * 2
    assert found.members["person_id"].n_unique() == 2
    assert rules(found) == ["twin_unresolved"] * 2
    assert found.said["level"].to_list() == ["note"] * 2


def test_twins_with_branch_numbers_are_two_people_without_a_doubt():
    a, b = who(branch_number="01"), who(branch_number="02", kana="カクウ ジロウ")
    found = resolve([member(a, START), member(b, START)])
    assert [rule for *_, rule in stretches(found)] == ["exact"] * 2
    assert found.said.is_empty()
    nameless = resolve(
        [member(who(branch_number="01", kana=None), START), member(who(branch_number="02", kana=None), START)]
    )
    assert nameless.members["person_id"].n_unique() == 2


def test_a_branch_number_in_any_list_settles_who_the_twins_are():
    pairs = [
        [who(branch_number=n, kana=k) for n, k in zip(ns, ("ア", "イ"), strict=True)]
        for ns in ((None, None), ("1", "2"))
    ]
    old, new = ([member(p, START) for p in pair] for pair in pairs)
    for lists in ([old, new], [new, old]):
        found = resolve(*lists)
        assert [rule for *_, rule in stretches(found)] == ["exact"] * 2
        assert found.fates["fate"].to_list().count("duplicate") == 2


def test_twins_that_nobody_can_tell_apart_are_quarantined():
    bare = who(branch_number=None, kana=None)
    found = resolve([member(bare, START), member(bare, START)])
    assert found.members.is_empty()
    assert rules(found) == ["twin_ambiguous"] * 2
    named = [member(who(branch_number=None, kana=k), START) for k in ("ア", "イ")]
    mixed = resolve(named, [member(bare, CHANGE)])
    assert rules(mixed) == ["twin_ambiguous", "twin_unresolved", "twin_unresolved"]
    assert mixed.fates["fate"].to_list() == ["accepted", "accepted", "quarantined"]
    repeated = resolve([member(bare, START), member(bare, START)], [member(bare, START)])
    assert rules(repeated) == ["twin_ambiguous"] * 3


def test_a_row_without_name_and_branch_number_is_the_one_person_of_that_number():
    found = resolve(
        [member(who(), START, CHANGE)], [member(who(branch_number=None, kana=None), CHANGE, workplace_id="W2")]
    )
    assert found.members["person_id"].n_unique() == 1


def test_a_new_name_under_the_same_number_is_the_same_person():
    married = who(sex="F", kana="サンプル ハナコ")
    maiden = who(sex="F", kana="ミホン ハナコ")
    later = who(sex="F", kana="サンプル ハナコ", symbol="8", number="8")
    found = resolve(
        [member(maiden, START, CHANGE), member(married, CHANGE, BACK), member(later, BACK, workplace_id="W3")]
    )
    assert found.members["person_id"].n_unique() == 1
    assert [rule for *_, rule in stretches(found)] == ["exact", "number_change"]


def test_namesakes_enrolled_at_the_same_time_are_two_people_and_listed():
    found = resolve([member(who(), START, BACK), member(NEW, CHANGE, workplace_id="W2")])
    assert stretches(found) == [(0, START, BACK, "exact"), (1, CHANGE, None, "exact")]
    assert rules(found) == ["same_name_and_birth"] * 2


def test_a_job_change_is_bridged_even_where_there_is_a_namesake():
    namesake = who(symbol="7", number="7")
    found = resolve(
        [
            member(who(), START, CHANGE),
            member(NEW, CHANGE, workplace_id="W2"),
            member(namesake, BACK, workplace_id="W3"),
        ]
    )
    assert [(p, rule) for p, _, _, rule in stretches(found)] == [(0, "exact"), (0, "number_change"), (1, "exact")]
    assert rules(found) == ["same_name_and_birth"] * 2
    both = resolve([member(who(), START, CHANGE), member(NEW, CHANGE), member(namesake, CHANGE)])
    assert both.members["person_id"].n_unique() == 3, "two begin on that day: nobody knows which goes on"


def test_a_list_repeated_month_by_month_changes_nothing():
    rows = [member(who(), START), member(who(number="2", kana="ベツ"), CHANGE)]
    once, often = resolve(rows), resolve(*[rows] * 12)
    assert once.members.equals(often.members)
    assert often.fates["fate"].value_counts().sort("fate").rows() == [("accepted", 2), ("duplicate", 2)]
    assert listed(staged(*[rows] * 12).lazy())[1].rows() == [(seq, 2) for seq in range(2, 12)]
    assert often.said.is_empty()


def test_a_loss_filled_in_later_ends_the_stretch():
    early, late = [member(who(), START)], [member(who(), START, CHANGE)]
    for lists, made in (([early, late], [20220600, 20220810]), ([late, early], [20220810, 20220600])):
        assert stretches(resolve(*lists, made=made)) == [(0, START, CHANGE, "exact")]
    cancelled = resolve(early, [member(who(), START, START)], made=[20220600, 20220800])
    assert cancelled.members.is_empty()
    assert rules(cancelled) == ["no_days"]


def test_lists_of_those_enrolled_only_show_a_job_change():
    found = resolve([member(who(), START)], [member(NEW, CHANGE, workplace_id="W2")], made=[20220531, 20220731])
    assert stretches(found) == [(0, START, CHANGE, "exact"), (0, CHANGE, None, "number_change")]
    assert (found.clipped, rules(found)) == (1, [])
    in_one = resolve([member(who(), START), member(NEW, CHANGE, workplace_id="W2")], made=[20190501])
    assert in_one.members["person_id"].n_unique() == 2, "one list shows both at once: namesakes"


def test_a_stretch_that_runs_into_the_next_is_ended_there():
    found = resolve([member(who(), START, BACK), member(who(), CHANGE, municipality="24202")])
    assert stretches(found) == [(0, START, CHANGE, "exact"), (0, CHANGE, None, "exact")]
    assert found.clipped == 1
    assert found.said.select("rule", "level", "item", "line").rows() == [("overlap", "note", "valid_to", 2)]


def test_a_corrected_birthday_replaces_the_wrong_one():
    found = resolve([member(who(birth=d("1907-05-17")), START)], [member(who(), START)])
    assert found.members["person_id"].to_list() == resolve([member(who(), START)]).members["person_id"].to_list()
    assert found.fates["fate"].to_list() == ["duplicate", "accepted"]


def test_one_number_for_people_of_different_birthdays_is_listed():
    found = resolve([member(who(), START), member(who(birth=d("2001-01-01"), kana="ベツ"), START)])
    assert found.members["person_id"].n_unique() == 2
    assert rules(found) == ["number_shared"] * 2


def test_a_row_that_says_too_little_is_quarantined():
    found = resolve(
        [member(who(symbol=None, kana=None), START), member(who(birth=None), START), member(who(symbol=None), START)]
    )
    assert rules(found) == ["no_identity"] * 2
    assert found.members.height == 1


def test_two_people_of_one_id_are_refused(monkeypatch):
    monkeypatch.setattr(
        Key, "seal", lambda self, text: 5 if text.startswith("person") else hash(text) >> 1 & (1 << 62) - 1
    )
    with pytest.raises(IngestError, match="同じ個人ID"):
        resolve([member(who(), START), member(who(number="2", kana="ベツ"), START)])


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Up to six true people: each a list of member rows under successive numbers, names unique among them."""
    found = []
    for at in range(draw(st.integers(1, 6))):
        day, rows = d("2018-01-01") + dt.timedelta(days=draw(st.integers(0, 900))), []
        twin = draw(st.integers(0, 3)) == 0
        spells = draw(st.integers(1, 4))
        for spell in range(spells):
            number = "1" if twin else str(100 * at + spell)
            person = who(number=number, branch_number=None if twin else "00", kana=f"ナマエ{'アイウエオカ'[at]}")
            end = day + dt.timedelta(days=draw(st.integers(1, 500)))
            last = spell == spells - 1 and draw(st.booleans())
            rows.append(
                member(person, day, None if last else end, municipality=draw(st.sampled_from(["24201", "24202"])))
            )
            day = end + dt.timedelta(days=draw(st.sampled_from([0, 0, 40])))
        found.append(rows)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.data())
def test_neither_order_nor_splitting_nor_repetition_matters(world, data):
    rows = [row for person in world for row in person]
    whole = resolve(rows, made=[20250101])
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    again = data.draw(st.lists(st.sampled_from(rows), max_size=4))
    lists = [part for part in (shuffled[:cut], shuffled[cut:], again) if part]
    split = resolve(*lists, made=[20250101] * len(lists))
    assert split.members.equals(whole.members)
    assert split.fates["fate"].to_list().count("accepted") == len(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_the_true_people_are_found_again_without_overlaps(world):
    found = resolve([row for person in world for row in person])
    m = found.members
    assert m["person_id"].n_unique() == len(world)
    later = pl.col("valid_from").shift(-1).over("person_id")
    assert m.filter(pl.col("valid_to").fill_null(d("2999-01-01")) > later).is_empty()
    days = [sum(((row["valid_to"] or d("2030-01-01")) - row["valid_from"]).days for row in person) for person in world]
    kept = m.with_columns(days=(pl.col("valid_to").fill_null(d("2030-01-01")) - pl.col("valid_from")).dt.total_days())
    assert sorted(kept.group_by("person_id").agg(pl.col("days").sum())["days"]) == sorted(days)
