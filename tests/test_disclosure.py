"""May it leave the building? Authority: the NDB guideline (no 1-9; 1-19 below 25,000 inhabitants; 0 is shown)."""

from __future__ import annotations

import itertools

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.disclosure import (
    Checked,
    DisclosureRules,
    check,
    check_curve,
    check_flow,
    check_public,
    check_table_one,
    municipal_population,
)
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.evaluation.table_one import table_one

MASKED = {"masked", "masked_secondary"}


def column(checked: Checked, name: str) -> list:
    return checked.table[name].to_list()


# --- the guideline -------------------------------------------------------------------------------------------------


def test_ndb_one_to_nine_are_masked_zero_and_ten_are_shown():
    checked = check(pl.DataFrame({"n": [0, 1, 9, 10, 11]}), counts=["n"])
    assert column(checked, "n") == [0, None, None, 10, 11]
    assert checked.states["n"].to_list() == ["shown", "masked", "masked", "shown", "shown"]
    assert checked.log["primary"] == 2 and checked.log["secondary"] == 0


def test_ndb_municipality_below_25000_needs_twenty():
    # 尾鷲市 15,524 inhabitants, 東員町 25,737, 県外 is no municipality, 13101 is not on file
    table = pl.DataFrame({"m": ["24209", "24209", "24324", "県外", "13101"], "n": [19, 20, 19, 19, 19]})
    assert column(check(table, counts=["n"], municipality="m"), "n") == [None, 20, 19, 19, None]


def test_sixteen_of_the_29_municipalities_of_mie_are_below_25000():
    population = municipal_population()
    assert len(population) == 29
    assert sum(people < 25_000 for people in population.values()) == 16
    assert population["24324"] == 25_737
    assert min(population.values()) >= 2_000


def test_below_2000_inhabitants_no_people_count_at_all(monkeypatch):
    monkeypatch.setitem(municipal_population(), "24999", 1_999)
    table = pl.DataFrame({"m": ["24999", "24999", "24201"], "n": [0, 5000, 0]})
    assert column(check(table, counts=["n"], municipality="m"), "n") == [None, None, 0]


def test_threshold_is_on_people_not_on_visits():
    table = pl.DataFrame({"visits": [60, 3], "persons": [1, 12]})
    checked = check(table, counts=["persons"], events={"visits": "persons"})
    assert column(checked, "visits") == [None, 3]


# --- what totals, complements and rates give back --------------------------------------------------------------------


def test_total_180_does_not_give_177_back():
    # ddsjoberg/gtsummary#1691: 180 - 177
    table = pl.DataFrame({"sex": ["M", "F", "計"], "n": [177, 3, 180]})
    checked = check(table, counts=["n"], totals={"sex": "計"})
    assert column(checked, "n") == [None, None, 180]
    assert checked.states["n"].to_list() == ["masked_secondary", "masked", "shown"]


def test_total_known_from_elsewhere_counts_as_shown():
    table = pl.DataFrame({"sex": ["M", "F"], "n": [177, 3]})
    assert column(check(table, counts=["n"], totals={"sex": None}), "n") == [None, None]
    assert column(check(table, counts=["n"]), "n") == [177, None]


def test_smallest_other_cell_is_masked_second_and_zero_stays():
    table = pl.DataFrame({"age": ["a", "b", "c", "d", "計"], "n": [4, 50, 20, 0, 74]})
    assert column(check(table, counts=["n"], totals={"age": "計"}), "n") == [None, 50, None, 0, 74]


def test_masked_cells_together_are_no_small_count_either():
    table = pl.DataFrame({"age": ["a", "b", "c", "計"], "n": [3, 4, 60, 67]})
    assert column(check(table, counts=["n"], totals={"age": "計"}), "n") == [None, None, None, 67]


def test_two_way_margins_need_a_masked_rectangle():
    table = pl.DataFrame(
        {
            "sex": ["M", "M", "M", "F", "F", "F", "計", "計", "計"],
            "age": ["a", "b", "計"] * 3,
            "n": [5, 40, 45, 30, 50, 80, 35, 90, 125],
        }
    )
    checked = check(table, counts=["n"], totals={"sex": "計", "age": "計"})
    assert column(checked, "n") == [None, None, 45, None, None, 80, 35, 90, 125]


def test_small_complement_masks_k_of_n_and_its_rate():
    table = pl.DataFrame({"k": [97, 60], "n": [100, 100], "rate": [0.97, 0.6], "lower": [0.91, 0.5]})
    rates = {"rate": ("k", "n"), "lower": ("k", "n")}
    checked = check(table, counts=["k", "n"], rates=rates)
    assert column(checked, "k") == [None, 60]
    assert column(checked, "n") == [100, 100]
    assert column(checked, "rate") == [None, 0.6]
    assert column(checked, "lower") == [None, 0.5]
    assert check(table.drop("rate", "lower"), counts=["k", "n"], within={"k": "n"}).table["k"].to_list() == [None, 60]


def test_all_other_numbers_are_hidden_with_any_count_of_their_row():
    table = pl.DataFrame(
        {"events": [40, 30], "persons": [4, 25], "rate": [0.1, 0.2], "rank": [1, 2], "year": [2024, 2024]}
    )
    checked = check(table, counts=["persons"], events={"events": "persons"}, rates="all", plain=["year"])
    assert checked.table.rows() == [(None, None, None, None, 2024), (30, 25, 0.2, 2, 2024)]


def test_columns_that_add_up_protect_each_other_and_what_is_left():
    table = pl.DataFrame({"n": [100, 100], "up": [40, 50], "same": [57, 30], "down": [3, 20]})
    checked = check(table, counts=["n", "up", "same", "down"], splits={"n": ("up", "same", "down")})
    assert checked.table.rows() == [(100, None, 57, None), (100, 50, 30, 20)]
    assert checked.states["up"][0] == "masked_secondary"
    left = check(table.drop("down"), counts=["n", "up", "same"], splits={"n": ("up", "same")})
    assert left.table.rows()[0] == (100, None, 57)


def test_event_totals_do_not_give_masked_events_back():
    table = pl.DataFrame({"area": ["x", "y", "z", "計"], "visits": [9, 70, 40, 119], "persons": [2, 20, 30, 52]})
    checked = check(table, counts=["persons"], events={"visits": "persons"}, totals={"area": "計"})
    assert column(checked, "persons") == [None, None, 30, 52]
    assert column(checked, "visits") == [None, None, 40, 119]
    lone = check(
        table,
        counts=["persons"],
        events={"visits": "persons"},
        totals={"area": "計"},
        rules=DisclosureRules(min_cell=3),
    )
    assert column(lone, "persons") == [None, None, 30, 52]


def test_total_that_is_itself_masked_is_not_given_back():
    table = pl.DataFrame({"age": ["a", "b", "計"], "n": [0, 7, 7]})
    assert column(check(table, counts=["n"], totals={"age": "計"}), "n") == [0, None, None]


def test_all_ones_under_a_shown_total_hide_the_total():
    rows = 12
    table = pl.DataFrame({"age": [*map(str, range(rows)), "計"], "n": [1] * rows + [rows]})
    assert column(check(table, counts=["n"], totals={"age": "計"}), "n") == [None] * (rows + 1)
    with pytest.raises(DisclosureError, match="秘匿しきれません"):
        check(table.head(rows), counts=["n"], totals={"age": None})


def test_nine_and_nine_under_a_total_shown_elsewhere_do_not_tell_which_mask_is_first():
    checked = check(pl.DataFrame({"sex": ["M", "F"], "n": [9, 9]}), counts=["n"], totals={"sex": None})
    assert column(checked, "n") == [None, None]
    assert "primary" not in checked.log


# --- overlapping groups ----------------------------------------------------------------------------------------------


def windows(first: int, middle: int, last: int, only_first: int, persons: int = 630) -> pl.DataFrame:
    """The three windows of the 10-month KPI; `only_first`: seen in month 0 and in no month after."""
    events = [first + middle, first + middle + last, first + middle + last - only_first]
    rows = {"window": ["0-9", "0-10", "1-10"], "persons": [persons] * 3, "events": events, "month_0": [first] * 3}
    return pl.DataFrame(rows).with_columns(estimate=pl.col("events") / pl.col("persons"))


def check_windows(table: pl.DataFrame) -> Checked:
    people = ["persons", "events", "month_0"]
    return check(
        table,
        counts=people,
        within={"events": "persons", "month_0": "persons"},
        rates={"estimate": ("events", "persons")},
        by=["window"],
        nested={name: {"window": "0-10"} for name in people},
    )


def test_four_people_seen_in_the_first_month_only_do_not_come_out_of_nested_windows():
    checked = check_windows(windows(58, 172, 13, 4))  # 230, 243, 239 of 630
    assert column(checked, "events") == [230, 243, None]
    assert [value is None for value in column(checked, "estimate")] == [False, False, True]
    assert column(checked, "persons") == [630] * 3 and column(checked, "month_0") == [58] * 3
    assert column(check_windows(windows(58, 172, 5, 30)), "events") == [None, 235, 205]


def test_nested_rows_are_compared_within_the_same_other_keys_only():
    one = windows(58, 172, 13, 4)
    table = pl.concat(
        [one.with_columns(sex=pl.lit("M")), one.with_columns(sex=pl.lit("F"), events=pl.col("events") + 2)]
    )
    arguments = {"counts": ["events"], "by": ["sex", "window"], "plain": ["persons", "month_0", "estimate"]}
    checked = check(table, nested={"events": {"window": "0-10"}}, **arguments)
    assert column(checked, "events") == [230, 243, None, 232, 245, None]
    with pytest.raises(DisclosureError, match="windowに「0-12」の行がありません"):
        check(table, nested={"events": {"window": "0-12"}}, **arguments)
    with pytest.raises(DisclosureError, match="byに含めて"):
        check(one, counts=["events"], plain=["persons", "month_0", "estimate"], nested={"events": {"window": "0-10"}})


def differences(values: list[int | None]) -> set[int]:
    known = [value for value in values if value is not None]
    return {abs(a - b) for a, b in itertools.combinations(known, 2)}


def test_a_masked_month_does_not_come_back_as_the_step_between_its_neighbours():
    # months 0-10 of the sample: month 9 has 8 people, and the KPI says 0-9 = 230, 0-10 = 243 of 630
    events = [58, 25, 22, 20, 19, 17, 21, 24, 16, 8, 13]
    curve = pl.DataFrame({"month": range(11), "events": events}).with_columns(estimate=pl.col("events").cum_sum() / 630)
    checked = check_curve(curve, estimates=["estimate"], plain=[], beside=[630, 230, 243, None, 58])
    shown = [None if value is None else round(630 * value) for value in column(checked, "estimate")]
    assert shown == [58, 83, 105, 125, 144, 161, 182, 206, None, 230, 243]
    assert column(checked, "events") == [58, 25, 22, 20, 19, 17, 21, 24, None, None, 13]
    assert check_curve(checked) is checked
    for wrong in (curve.reverse(), pl.concat([curve, curve])):
        with pytest.raises(DisclosureError, match="月の順"):
            check_curve(wrong, estimates=["estimate"], plain=[])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 25), min_size=11, max_size=11), st.integers(0, 20), st.integers(0, 30))
def test_windows_and_curve_together_leave_no_small_group(events, only_first, never):
    first, middle, last = events[0], sum(events[1:10]), events[10]
    everybody = sum(events) + never
    if everybody < 10:
        return
    kpi = check_windows(windows(first, middle, last, min(only_first, first), everybody))
    beside = [*column(kpi, "events"), *column(kpi, "month_0"), *column(kpi, "persons")]
    curve = pl.DataFrame({"month": range(11), "events": events})
    curve = curve.with_columns(estimate=pl.col("events").cum_sum() / everybody)
    checked = check_curve(curve, estimates=["estimate"], plain=[], beside=beside)
    curve_shown = [None if value is None else round(everybody * value) for value in column(checked, "estimate")]
    of_windows = [*column(kpi, "events"), everybody]
    assert not differences([0, *of_windows]) & set(range(1, 10))
    month_0 = next((value for value in column(kpi, "month_0") if value is not None), None)
    assert not differences([0, *curve_shown]) & set(range(1, 10))
    for value in (*of_windows, month_0):
        gaps = {abs(value - one) for one in curve_shown if None not in (value, one)}
        assert not gaps & set(range(1, 10))
    for at, value in enumerate(column(checked, "events")):
        assert value is None or (value == events[at] and not 1 <= value < 10)
    behind = zip(column(kpi, "events"), column(kpi, "persons"), strict=True)
    assert [value is None for value in column(kpi, "estimate")] == [None in pair for pair in behind]


# --- table 1 ---------------------------------------------------------------------------------------------------------


def people(levels: dict[str | None, int], group: str = "a") -> pl.DataFrame:
    values = [level for level, n in levels.items() for _ in range(n)]
    return pl.DataFrame({"group": [group] * len(values), "smoking": values}, schema_overrides={"smoking": pl.String})


def test_few_without_an_answer_do_not_come_back_from_a_share():
    # 2017 of the sample: 220 people, 69 / 61 / 87 and 3 without an answer; 69 / 31.8 % = 217
    table = table_one(people({"yes": 69, "past": 61, "no": 87, None: 3}))
    rows = check_table_one(table.drop("group") if "group" in table.columns else table)
    smoking = rows.where(variable="smoking").table
    assert smoking.filter(level="missing").select("n", "share", "known").row(0) == (None, None, None)
    assert smoking["known"].to_list() == [None] * 4 and smoking["share"].to_list() == [None] * 4
    assert smoking["n"].to_list() == [69, None, 87, None]
    assert rows.where(variable="persons").table["n"].to_list() == [220]


def test_nobody_or_many_without_an_answer_hide_nothing():
    for missing in (0, 10, 30):
        table = check_table_one(table_one(people({"yes": 69, "past": 61, "no": 87, None: missing}))).table
        smoking = table.filter(variable="smoking")
        assert smoking["n"].null_count() == smoking["share"].null_count() == 0


def test_the_mean_goes_with_the_people_it_is_of():
    values = [110.0 + i % 7 for i in range(57)]
    both = pl.DataFrame({"group": ["a"] * 60 + ["b"] * 60, "fpg": [*values, None, None, None, *values, 110, 110, 110]})
    table = check_table_one(table_one(both, ["fpg"], by="group")).table.filter(variable="fpg")
    assert table.filter(level="mean").select("n_a", "known_a", "mean_a", "sd_a", "smd").row(0) == (None,) * 5
    assert table.filter(level="mean").select("n_b", "known_b").row(0) == (60, 60)
    assert table.filter(level="mean")["mean_b"][0] == pytest.approx((sum(values) + 330) / 60)
    assert table["n_b"].to_list() == [60, 0]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 18), min_size=2, max_size=3), st.integers(0, 13))
def test_no_count_of_table_one_can_be_solved_for(levels, missing):
    everybody = sum(levels) + missing
    if everybody < 10 or not sum(levels):
        return
    named = {name: n for name, n in zip("xyz", levels, strict=False) if n}
    checked = check_table_one(table_one(people(named | {None: missing}), ["smoking"])).table.filter(variable="smoking")
    seen = dict(checked.select("level", "n").rows())
    share = dict(checked.select("level", "share").rows())
    truth = named | {"missing": missing}
    known = checked["known"][0]
    for level, n in truth.items():
        assert seen[level] in (None, n) and not (seen[level] is not None and 1 <= n < 10)
        if share[level] is not None and level != "missing":
            known = n / share[level]  # what n and its share give back
    found: dict[str, set[int]] = {level: set() for level, n in truth.items() if seen[level] is None}
    ranges = [range(everybody + 1) if seen[level] is None else (seen[level],) for level in truth]
    for values in itertools.product(*ranges):
        if sum(values) == everybody and (known is None or abs(everybody - values[-1] - known) < 0.5):
            for level, value in zip(truth, values, strict=True):
                if seen[level] is None:
                    found[level].add(value)
    assert all(len(possible) >= 2 for possible in found.values()), (truth, found)
    hidden = [truth[level] for level in found]
    assert not hidden or sum(hidden) >= 10


def test_what_is_no_table_one_is_refused():
    table = table_one(people({"yes": 69, "no": 87}))
    with pytest.raises(DisclosureError, match="表1の列ではありません"):
        check_table_one(table.drop("known"))
    with pytest.raises(DisclosureError, match="欠測の行がありません"):
        check_table_one(table.filter(pl.col("level") != "missing"))
    with pytest.raises(DisclosureError, match="表1の人数が合いません"):
        check_table_one(table.with_columns(n=pl.col("n") + pl.int_range(pl.len())))


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_number_without_a_role_is_refused():
    with pytest.raises(DisclosureError, match=r"役割が示されていない.*: n"):
        check(pl.DataFrame({"year": [2024], "n": [3]}), plain=["year"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"counts": ["n", "m"], "rates": {"n": ("m",)}},
        {"counts": ["n", "m"], "events": {"n": "m"}},
        {"counts": ["n", "m"], "plain": ["n"]},
        {"counts": ["n", "m"], "by": ["n"]},
        {"counts": ["n", "m", "n"]},
    ],
)
def test_a_second_role_would_take_the_mask_of_the_people_away(arguments):
    with pytest.raises(DisclosureError, match=r"役割が2つ以上ある列です: n\n"):
        check(pl.DataFrame({"n": [5], "m": [100]}), **arguments)


def test_totals_by_another_name_are_refused_since_they_would_give_177_and_3_back():
    table = pl.DataFrame({"sex": ["M", "F", "計"], "n": [177, 3, 180]})
    with pytest.raises(DisclosureError, match="sexに「合計」の行がありません"):
        check(table, counts=["n"], totals={"sex": "合計"})
    for word in ("計", "合計", "全体", "総数"):
        named = table.with_columns(pl.col("sex").replace({"計": word}))
        for arguments in ({}, {"by": ["sex"]}, {"totals": {"sex": None}}):
            with pytest.raises(DisclosureError, match=f"合計と示されていない合計の行があります: {word}"):
                check(named, counts=["n"], **arguments)
        assert column(check(named, counts=["n"], totals={"sex": word}), "n") == [None, None, 180]


def test_a_name_beside_the_code_does_not_cut_the_total_off_its_parts():
    table = pl.DataFrame({"code": ["1", "2", "計"], "name": ["甲", "乙", "-"], "n": [177, 3, 180]})
    with pytest.raises(DisclosureError, match="対応する内訳の行がありません"):
        check(table, counts=["n"], totals={"code": "計"}, by=["code", "name"])
    assert column(check(table, counts=["n"], totals={"code": "計"}), "n") == [None, None, 180]


def test_all_is_refused_where_it_does_not_tell_which_people_are_behind_a_rate():
    # n - k = 5 from rate and n
    table = pl.DataFrame({"k": [95], "n": [100], "m": [100], "rate": [0.95]})
    with pytest.raises(DisclosureError, match=r"人数の列が3つある表では、rates=\"all\"を使えません"):
        check(table, counts=["k", "n", "m"], rates="all")
    named = check(table, counts=["k", "n", "m"], rates={"rate": ("k", "n")})
    assert named.table.select("k", "n", "m", "rate").rows() == [(None, 100, 100, None)]


def test_two_people_columns_of_a_rate_protect_n_minus_k_in_either_order():
    table = pl.DataFrame({"n": [100], "k": [95], "rate": [0.95]})
    for counts in (["n", "k"], ["k", "n"]):
        assert check(table, counts=counts, rates="all").table.rows() == [(100, None, None)]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[3, 4]], pl.List(pl.Int64)),
        ([{"n": 3}], pl.Struct({"n": pl.Int64})),
        ([[3, 4]], pl.Array(pl.Int64, 2)),
        ([3], pl.Duration("us")),
        ([b"3"], pl.Binary),
        ([object()], pl.Object),
    ],
)
def test_values_that_cannot_be_examined_are_refused(values, dtype):
    table = pl.DataFrame({"age": ["40-44"], "x": pl.Series(values, dtype=dtype)})
    with pytest.raises(DisclosureError, match=r"xは調べられない種類の列です"):
        check(table, by=["age"])


@pytest.mark.parametrize("text", ["3", "3人", "うち3人が該当", "５名", "1,234", "31.8%", "3 (1.4%)", "3/220", "-2"])
def test_numbers_written_as_text_are_refused_unless_declared_as_headings(text):
    table = pl.DataFrame({"age": ["40-44"], "x": [text]})
    with pytest.raises(DisclosureError, match=r"数値が文字で書かれている列があります: x"):
        check(table, by=["age"])
    assert check(table, by=["age"], labels=["x"]).table["x"].to_list() == [text]


def test_bands_months_units_and_area_codes_are_texts():
    table = pl.DataFrame(
        {"age": ["40-44"], "month": ["2024-10"], "rule": ["±3mg/dL"], "year": ["2024年度"], "branch": ["24"], "n": [50]}
    )
    assert check(table, counts=["n"]).table.equals(table)


def test_a_grouped_pandas_frame_keeps_its_keys_or_is_refused():
    people = pd.DataFrame({"sex": ["M"] * 177 + ["F"] * 3, "n": 1})
    grouped = people.groupby("sex").sum()
    with pytest.raises(DisclosureError, match=r"reset_index\(\)"):
        check(grouped, counts=["n"])
    checked = check(grouped.reset_index(), counts=["n"], totals={"sex": None})
    assert checked.table.rows() == [("F", None), ("M", None)]


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        ({"n": [1.5]}, {"counts": ["n"]}, "整数でない"),
        ({"n": [-1]}, {"counts": ["n"]}, "負の数"),
        ({"n": ["5人"]}, {"counts": ["n"]}, "数値ではありません"),
        ({"n": [5]}, {"counts": ["m"]}, "表にない列"),
        ({"s": ["M", "M"], "n": [50, 50]}, {"counts": ["n"], "totals": {"s": None}}, "重なって"),
        ({"s": ["M", "F", "計"], "n": [50, 50, 101]}, {"counts": ["n"], "totals": {"s": "計"}}, "一致しません"),
        ({"n": [50], "k": [51]}, {"counts": ["n", "k"], "within": {"k": "n"}}, "超える"),
        ({"n": [50], "r": [0.1]}, {"counts": ["n"], "rates": {"r": ()}}, "示されていません"),
        ({"n": [None], "w": ["shown"]}, {"counts": ["n"], "reasons": {"n": "w"}}, "使えない語"),
    ],
)
def test_wrong_declarations_are_refused_in_words(table, arguments, message):
    with pytest.raises(DisclosureError, match=message):
        check(pl.DataFrame(table), **arguments)


def test_checked_cannot_be_made_or_changed_by_hand():
    frame = pl.DataFrame({"n": [3]})
    with pytest.raises(DisclosureError, match="直接作れません"):
        Checked(frame, frame, log={}, rules=DisclosureRules())
    checked = check(pl.DataFrame({"n": [30]}), counts=["n"])
    with pytest.raises(DisclosureError):
        checked._table = frame
    checked.table[0, "n"] = 3
    checked.log["masked"] = 5
    assert column(checked, "n") == [30] and checked.log["masked"] == 0


def test_thresholds_cannot_be_set_so_low_that_a_mask_tells_the_value():
    with pytest.raises(DisclosureError):
        DisclosureRules(min_cell=2)


# --- states, kinds, public figures -----------------------------------------------------------------------------------


def test_reasons_for_empty_cells_stay_apart_from_masks_and_zero():
    table = pl.DataFrame({"n": [0, 3, None, None, None], "why": [None, None, None, "incomplete", "not_evaluated"]})
    checked = check(table, counts=["n"], reasons={"n": "why"})
    assert checked.states["n"].to_list() == ["shown", "masked", "missing", "incomplete", "not_evaluated"]
    assert checked.table.columns == ["n"]


def test_pandas_in_gives_the_same_answer_as_polars():
    data = {"sex": ["M", "F", "計"], "n": [177, 3, 180], "rate": [0.1, float("nan"), 0.3]}
    arguments = {"counts": ["n"], "rates": {"rate": "n"}, "totals": {"sex": "計"}}
    one, other = check(pd.DataFrame(data), **arguments), check(pl.DataFrame(data), **arguments)
    assert one.table.equals(other.table) and one.states.equals(other.states)
    assert one.states["rate"].to_list() == ["masked_secondary", "missing", "shown"]


def test_public_figures_are_exempt_and_name_their_source():
    checked = check_public(pl.DataFrame({"n": [3]}), source="NDBオープンデータ 第10回")
    assert column(checked, "n") == [3] and checked.public and checked.source == "NDBオープンデータ 第10回"
    with pytest.raises(DisclosureError, match="出典"):
        check_public(pl.DataFrame({"n": [3]}), source=" ")


def test_select_where_and_sort_only_take_away():
    checked = check(pl.DataFrame({"s": ["M", "F", "X"], "n": [30, 3, 20]}), counts=["n"])
    assert checked.sort("n").table.rows() == [("X", 20), ("M", 30), ("F", None)]
    assert checked.where(s="F").states.rows() == [("shown", "masked")]
    assert checked.select(["n"]).table.columns == ["n"]


def test_having_keeps_what_is_there_or_masked_and_drops_what_is_not():
    table = pl.DataFrame({"s": ["M", "F", "X"], "n": [30, 3, None], "x": [None, None, 1.5]})
    checked = check(table, counts=["n"], plain=["x"], by=["s"], reasons={"n": "not_applicable", "x": "not_applicable"})
    assert column(checked.having("n"), "s") == ["M", "F"]
    assert column(checked.having("n", "x"), "s") == ["M", "F", "X"]
    assert column(checked.having("x"), "s") == ["X"]
    with pytest.raises(DisclosureError, match="表にない列です: y"):
        checked.having("y")


# --- flow ------------------------------------------------------------------------------------------------------------


def flow(*steps: tuple[str, str, int | None, int]) -> pl.DataFrame:
    return pl.DataFrame(list(steps), schema=["label", "unit", "excluded", "remaining"], orient="row")


def test_small_flow_steps_are_merged_and_still_add_up():
    checked = check_flow(
        flow(
            ("健診", "件", 0, 1000),
            ("重複", "件", 100, 900),
            ("1人1件", "人", 0, 900),
            ("服薬あり", "人", 200, 700),
            ("判定不能", "人", 4, 696),
            ("未加入", "人", None, 696),
            ("年齢", "人", 0, 696),
            ("糖尿病型", "人", 96, 600),
        )
    )
    assert column(checked, "label") == [
        "健診", "重複", "1人1件", "服薬あり・判定不能(少数のため統合)", "未加入", "年齢", "糖尿病型"
    ]  # fmt: skip
    assert column(checked, "excluded") == [0, 100, 0, 204, None, 0, 96]
    assert column(checked, "remaining") == [1000, 900, 900, 696, 696, 696, 600]
    assert checked.states["excluded"].to_list()[4] == "not_evaluated"
    assert checked.log["merged_steps"] == 1 and column(checked, "merged").count(True) == 1


def test_a_lone_small_step_hides_itself_and_the_start():
    checked = check_flow(flow(("開始", "人", 0, 100), ("除外", "人", 3, 97), ("終わり", "人", 0, 97)))
    assert column(checked, "excluded") == [0, None, 0]
    assert column(checked, "remaining") == [None, 97, 97]


def test_few_people_left_hide_the_step_that_led_there():
    checked = check_flow(flow(("開始", "人", 0, 100), ("除外", "人", 95, 5)))
    assert checked.table.select("excluded", "remaining").rows() == [(0, 100), (None, None)]


def test_the_flow_of_a_cohort_passes_as_pandas_and_as_polars():
    steps = pl.DataFrame(
        {
            "step": pl.Series([0, 1, 2, 3], dtype=pl.Int32),
            "kind": ["start", "exclude", "exclude", "end"],
            "key": ["start", "a", "b", "end"],
            "label": ["読み込んだ行", "服薬中", "年齢", "対象者"],
            "unit": ["行", "人", "人", "人"],
            "excluded": [0, None, 60, 0],
            "remaining": [100, 100, 40, 40],
            "status": ["評価", "未評価", "評価", "評価"],
        }
    )
    frame = steps.to_pandas()
    frame["excluded"] = frame["excluded"].astype("Int64")
    for table in (steps, steps.to_pandas(), frame):
        checked = check_flow(table)
        assert column(checked, "excluded") == [0, None, 60, 0] and column(checked, "remaining") == [100, 100, 40, 40]
        assert checked.states["excluded"].to_list() == ["shown", "not_evaluated", "shown", "shown"]
        assert checked.log["merged_steps"] == 0 and "step" not in checked.table.columns


def test_a_small_step_at_the_change_of_unit_is_not_shown():
    checked = check_flow(
        flow(("読込", "行", 0, 500), ("重複", "行", 100, 400), ("服薬", "人", 5, 395), ("年齢", "人", 95, 300))
    )
    assert column(checked, "excluded") == [0, 100, 100]
    assert column(checked, "remaining") == [500, 400, 300]


def test_a_lone_small_step_of_a_unit_joins_the_unit_before_it():
    checked = check_flow(
        flow(("読込", "行", 0, 500), ("重複", "行", 100, 400), ("他支部", "件", 0, 400), ("未加入", "件", 2, 398))
    )
    assert checked.table["label"].to_list() == ["読込", "重複・他支部・未加入(少数のため統合)"]
    assert column(checked, "excluded") == [0, 102] and column(checked, "remaining") == [500, 398]
    assert checked.table["unit"].to_list() == ["行", "件"] and checked.log["masked"] == 0


def test_lines_below_the_end_are_masked_with_what_they_leave():
    steps = flow(
        ("読込", "人", 0, 1000),
        ("対象", "人", 0, 1000),
        ("うちa", "人", 0, 4),
        ("うちb", "人", 0, 300),
        ("参考c", "人", 0, 1000),
        ("参考d", "人", 0, 995),
    )
    kinds = pl.Series("kind", ["start", "end", "of_which", "of_which", "reference", "reference"])
    checked = check_flow(steps.with_columns(kinds, step=pl.int_range(6)))
    assert column(checked, "remaining") == [1000, 1000, None, 300, 1000, None]


def test_a_flow_that_does_not_add_up_is_refused():
    with pytest.raises(DisclosureError, match="合いません"):
        check_flow(flow(("開始", "人", 0, 100), ("除外", "人", 30, 60)))


@given(st.integers(0, 200), st.lists(st.integers(0, 30), min_size=1, max_size=7))
def test_no_flow_shows_a_small_number_nor_a_small_difference(last, taken):
    start = last + sum(taken)
    steps, left = [("開始", "人", 0, start)], start
    for i, step in enumerate(taken):
        left -= step
        steps.append((f"段{i}", "人", step, left))
    table = check_flow(flow(*steps)).table
    shown = [value for name in ("excluded", "remaining") for value in table[name] if value is not None]
    remaining = table["remaining"].drop_nulls().to_list()
    differences = [a - b for a, b in itertools.combinations(remaining, 2)]
    assert not [value for value in shown + differences if 1 <= value < 10]
    for before, row in itertools.pairwise(table.iter_rows(named=True)):
        if None not in (before["remaining"], row["excluded"]):
            assert row["remaining"] == before["remaining"] - row["excluded"]


# --- property: an attacker with all integer solutions ----------------------------------------------------------------


def two_way(values: list[list[int]]) -> pl.DataFrame:
    rows = [(f"r{i}", f"c{j}", value) for i, line in enumerate(values) for j, value in enumerate(line)]
    rows += [(f"r{i}", "計", sum(line)) for i, line in enumerate(values)]
    rows += [("計", f"c{j}", sum(line[j] for line in values)) for j in range(len(values[0]))]
    rows += [("計", "計", sum(map(sum, values)))]
    return pl.DataFrame(rows, schema=["row", "col", "n"], orient="row")


def attack(checked: Checked, height: int, width: int, least: int) -> dict[tuple[str, str], set[int]]:
    """Every value each masked cell takes in any table that fits all that is shown (and that 0 would be shown)."""
    seen = {(row, col): value for row, col, value in checked.table.rows()}
    state = {(row, col): mark for (row, col, _), mark in zip(checked.table.rows(), checked.states["n"], strict=True)}
    top, blurred = 3 * least + 4, "primary" not in checked.log
    inner = [(f"r{i}", f"c{j}") for i in range(height) for j in range(width)]
    found: dict[tuple[str, str], set[int]] = {key: set() for key, value in seen.items() if value is None}

    def choices(key):
        if seen[key] is not None:
            return (seen[key],)
        if blurred:
            return range(1, top)
        return range(1, least) if state[key] == "masked" else range(least, top)

    for values in itertools.product(*(choices(key) for key in inner)):
        table = dict(zip(inner, values, strict=True))
        for i in range(height):
            table[f"r{i}", "計"] = sum(table[f"r{i}", f"c{j}"] for j in range(width))
        for j in range(width):
            table["計", f"c{j}"] = sum(table[f"r{i}", f"c{j}"] for i in range(height))
        table["計", "計"] = sum(values)
        if all(seen[key] is None or seen[key] == value for key, value in table.items()) and all(
            blurred or (value < least) == (state[key] == "masked") for key, value in table.items() if seen[key] is None
        ):
            for key in found:
                found[key].add(table[key])
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 9]), min_size=2, max_size=2), min_size=2, max_size=2))
def test_no_masked_cell_of_a_two_way_table_can_be_solved_for(values):
    least = 4
    table = two_way(values)
    checked = check(table, counts=["n"], totals={"row": "計", "col": "計"}, rules=DisclosureRules(least, least))
    truth = dict(zip(table.select("row", "col").rows(), table["n"], strict=True))
    assert not [value for value in column(checked, "n") if value is not None and 1 <= value < least]
    assert all(mark == "shown" for mark, value in zip(checked.states["n"], table["n"], strict=True) if value == 0)
    for key, possible in attack(checked, len(values), 2, least).items():
        assert truth[key] in possible
        assert len(possible) >= 2, (key, possible)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.randoms())
def test_row_order_does_not_matter_and_masking_twice_changes_nothing(values, random):
    rows = [(f"a{i}", value) for i, value in enumerate(values)] + [("計", sum(values))]
    table = pl.DataFrame(rows, schema=["a", "n"], orient="row")
    arguments = {"counts": ["n"], "totals": {"a": "計"}}
    once = check(table, **arguments)
    random.shuffle(rows)
    other = check(pl.DataFrame(rows, schema=["a", "n"], orient="row"), **arguments)
    assert sorted(once.table.rows(), key=str) == sorted(other.table.rows(), key=str)
    assert check(once, **arguments) is once
    assert check(once.table, **arguments).table.equals(once.table)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=6))
def test_k_of_n_with_totals_gives_back_neither_k_nor_n_minus_k(pairs):
    rows = [(f"a{i}", k, k + rest) for i, (k, rest) in enumerate(pairs)]
    rows += [("計", sum(row[1] for row in rows), sum(row[2] for row in rows))]
    table = pl.DataFrame(rows, schema=["a", "k", "n"], orient="row").with_columns(rate=pl.col("k") / pl.col("n"))
    table = table.with_columns(pl.col("rate").fill_nan(None))
    checked = check(table, counts=["k", "n"], rates={"rate": ("k", "n")}, totals={"a": "計"})
    shown = checked.table
    for name in ("k", "n"):
        assert not [value for value in shown[name].drop_nulls() if 1 <= value < 10]
    both = shown.drop_nulls(["k", "n"])
    assert not [n - k for k, n in both.select("k", "n").rows() if 1 <= n - k < 10]
    for name in ("k", "n"):
        hidden = shown.filter(pl.col(name).is_null(), pl.col("a") != "計").height
        total = shown.filter(pl.col("a") == "計")[name][0]
        assert total is None or hidden != 1
        if total is not None and hidden:
            assert total - int(shown.filter(pl.col("a") != "計")[name].sum()) >= 10
    assert (
        shown.filter(pl.col("k").is_null() | pl.col("n").is_null())["rate"].null_count()
        == shown.filter(pl.col("k").is_null() | pl.col("n").is_null()).height
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=2, max_size=7))
def test_events_of_masked_people_cannot_be_solved_for(pairs):
    rows = [(f"a{i}", persons, persons + more if persons else 0) for i, (persons, more) in enumerate(pairs)]
    rows += [("計", sum(row[1] for row in rows), sum(row[2] for row in rows))]
    table = pl.DataFrame(rows, schema=["a", "persons", "events"], orient="row")
    checked = check(table, counts=["persons"], events={"events": "persons"}, totals={"a": "計"})
    shown, parts = checked.table, checked.table.filter(pl.col("a") != "計")
    assert shown.filter(pl.col("persons").is_null())["events"].null_count() == shown["persons"].null_count()
    if shown.filter(pl.col("a") == "計")["events"][0] is not None:
        assert parts["events"].null_count() != 1
