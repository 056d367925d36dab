"""Out-of-hours visits (時間外受診): people by hand, the oracle, the account, every kind of frame."""

import datetime as dt
import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DateError, DefinitionError, FrameKindError, TableError
from kenpo_analytics.outcomes.out_of_hours import out_of_hours
from tests import oracle_out_of_hours as oracle

NUMBERS = ("events", "events_sq", "persons", "members", "denominator")
FIRST, FIRST_HOLIDAY, RETURN, LATE_RETURN = "111000570", "111000670", "112001110", "112001310"
BASE = "111000110"
INPATIENT = next(code for code, row in oracle.CODES.items() if row["inpatient"] == "1")
EVENING = next(code for code, row in oracle.CODES.items() if row["out_of_hours"] == "evening_early_in_hours")
FY2024 = (202404, 202503)


def stretch(person, since, until=None, *, base=1980, sex="M", branch="24", town="24201"):
    day = dt.date.fromisoformat
    return {
        "person_id": person,
        "valid_from": day(since),
        "valid_to": day(until) if until else None,
        "sex": sex,
        "fy_age_base": base,
        "relationship": "insured",
        "branch": branch,
        "municipality": town,
    }


def line(person, month, day, code=FIRST, *, at="a", status="normal", received=None, claim=1):
    return {
        "claim_id": claim,
        "person_id": person,
        "institution": at,
        "treatment_month": month,
        "received_month": received or month + 1,
        "status": status,
        "code": code,
        "day": day,
        "count": 1,
    }


def members_frame(rows: list[dict]) -> pl.DataFrame:
    schema = dict.fromkeys(("sex", "relationship", "branch", "municipality"), pl.String)
    dates = {"valid_from": pl.Date, "valid_to": pl.Date, "fy_age_base": pl.Int64}
    return pl.DataFrame(rows, schema_overrides={**schema, **dates})


def lines_frame(rows: list[dict]) -> pl.DataFrame:
    texts = dict.fromkeys(("institution", "status", "code"), pl.String)
    months = {"treatment_month": pl.Int32, "received_month": pl.Int32, "day": pl.Int32}
    return pl.DataFrame(rows, schema_overrides={**texts, **months})


def cells_of(engine, result, by=("area", "sex", "age_band")) -> dict:
    rows = engine.frame(result.cells).select("visit_type", *by, *NUMBERS).rows()
    cells = {row[: len(by) + 1]: row[len(by) + 1 :] for row in rows}
    assert len(cells) == len(rows)
    return cells


def account_of(engine, result) -> dict:
    table = engine.frame(result.account)
    return {
        row["key"]: row["excluded"] if row["kind"] == "exclude" else row["remaining"]
        for row in table.iter_rows(named=True)
    }


def count(engine, lines, stretches, months=FY2024, by=(), **options) -> dict:
    result = out_of_hours(engine(lines_frame(lines)), engine(members_frame(stretches)), months=months, by=by, **options)
    return cells_of(engine, result, by)


ONE = [stretch(1, "2020-04-01")]


def test_the_packaged_list_counts_130_codes():
    """支払基金 医科診療行為マスター s_ALL20240531: 156 add-ons, 130 of them outpatient and outside opening hours."""
    codes = ka.define().fee_codes
    counted = {row.code for row in codes if not row.inpatient and row.out_of_hours != "evening_early_in_hours"}
    assert len(codes) == 156
    assert counted == {code for code, row in oracle.CODES.items() if row["counted"] == "1"}
    assert len(counted) == 130


@pytest.mark.parametrize(
    ("lines", "first", "returned"),
    [
        ([line(1, 202406, 2), line(1, 202406, 2, FIRST_HOLIDAY, claim=2)], 1, 0),  # twice the same day, one place
        ([line(1, 202406, 2), line(1, 202406, 2, at="b")], 2, 0),  # two institutions
        ([line(1, 202406, 2), line(1, 202406, 3)], 2, 0),  # two days
        ([line(1, 202406, 2), line(1, 202407, 2)], 2, 0),  # the same day of another month
        ([line(1, 202406, 2), line(1, 202406, 2, RETURN)], 1, 1),  # first and return on one day
        ([line(1, 202406, 2, BASE), line(1, 202406, 3, RETURN), line(1, 202406, 3, LATE_RETURN)], 0, 1),
        ([line(1, 202406, 2, status="returned"), line(1, 202406, 2, status="reclaimed", claim=2)], 1, 0),
        ([line(1, 202406, 2, status="returned")], 0, 0),
        ([line(1, 202406, 2, status="after_loss")], 0, 0),
        ([line(1, 202406, 2, INPATIENT), line(1, 202406, 3, EVENING), line(1, 202406, 4, "999")], 0, 0),
        ([line(1, 202403, 31), line(1, 202404, 1), line(1, 202503, 31), line(1, 202504, 1)], 2, 0),  # the window's ends
        ([line(1, 202406, 2), line(1, 202406, 2, at=None), line(1, 202406, 2, at=None)], 2, 0),  # unknown institution
    ],
)
def test_what_is_one_visit(engine, lines, first, returned):
    cells = count(engine, lines, ONE)
    assert cells["first",] == (first, first**2, min(first, 1), 1, 12)
    assert cells["return",] == (returned, returned**2, min(returned, 1), 1, 12)


def test_sixty_visits_of_one_person(engine):
    lines = [line(1, 202404 + n // 5 if n < 45 else 202501 + (n - 45) // 5, 1 + n % 5 * 6, RETURN) for n in range(60)]
    cells = count(engine, [*lines, line(2, 202405, 1, RETURN)], [*ONE, stretch(2, "2020-04-01")])
    assert cells["return",] == (61, 3601, 2, 2, 24)
    assert cells["first",] == (0, 0, 0, 2, 24)


def test_a_visit_counts_when_enrolled_on_the_last_day_of_its_month(engine):
    stretches = [
        stretch(1, "2020-04-01", "2024-06-15"),
        stretch(2, "2024-06-30"),
        stretch(3, "2020-04-01", "2024-07-01"),
    ]
    lines = [
        line(person, month, day) for person in (1, 2, 3) for month, day in ((202405, 3), (202406, 3), (202406, 20))
    ]
    cells = count(engine, [*lines, line(3, 202407, 1)], stretches)
    # 1 left in June: May only. 2 joined on 30 June: June's two visits, though before joining. 3 left on 1 July.
    assert cells["first",] == (1 + 2 + 3, 1 + 4 + 9, 3, 3, 2 + 10 + 3)


def test_leaving_and_joining_within_one_month_leaves_no_member_month(engine):
    cells = count(engine, [line(1, 202406, 20)], [stretch(1, "2024-06-10", "2024-06-25"), stretch(2, "2020-04-01")])
    assert cells["first",] == (0, 0, 0, 1, 12)


def test_born_on_1_april_is_a_year_older(engine):
    birthdays = [dt.date(1985, 3, 31), dt.date(1985, 4, 1), dt.date(1985, 4, 2)]
    bases = [birth.year - ((birth.month, birth.day) <= (4, 1)) for birth in birthdays]
    stretches = [stretch(n, "2020-04-01", base=base) for n, base in enumerate(bases)]
    lines = [line(n, 202504, 1) for n in range(3)]
    cells = count(engine, lines, stretches, months=("2024-04", "2024-04"), by=("age_band",))
    assert {key[1]: value[3] for key, value in cells.items() if key[0] == "first"} == {"40-44": 2, "35-39": 1}
    assert count(engine, lines, stretches, months=(202504, 202504), by=("age_band",))["first", "40-44"][0] == 3


def test_age_changes_with_the_fiscal_year_inside_the_window(engine):
    stretches = [stretch(1, "2020-04-01", base=1980), stretch(2, "2020-04-01", base=1949)]
    lines = [line(1, 202412, 1), line(1, 202503, 31), line(1, 202504, 1), line(2, 202504, 1)]
    cells = count(engine, lines, stretches, months=(202402, 202505), by=("age_band",))
    # 43 and 74 in February 2024; 44 and 75 at the end of FY2024 (74 till the birthday); 45 and 76 from April 2025
    assert cells["first", "40-44"] == (2, 4, 1, 1, 14)
    assert cells["first", "45-49"] == (1, 1, 1, 1, 2)
    assert cells["first", "70-74"] == (0, 0, 0, 1, 14)
    assert cells["first", "75+"] == (1, 1, 1, 1, 2)


def test_who_moves_counts_in_both_towns(engine):
    stretches = [
        stretch(1, "2020-04-01", "2024-08-10", town="24201"),
        stretch(1, "2024-08-10", town="24208"),
        stretch(2, "2020-04-01", town="県外"),
        stretch(3, "2020-04-01", town=None),
        stretch(4, "2020-04-01", branch="23"),
        stretch(5, "2020-04-01", "2024-10-01", branch="23", town="24208"),
        stretch(5, "2024-10-01", branch="24", town="24208"),
    ]
    lines = [line(1, 202407, 1), line(1, 202408, 2), line(1, 202409, 1), line(4, 202405, 1), line(5, 202405, 1)]
    lines += [line(2, 202405, 1), line(5, 202411, 1), line(9, 202405, 1)]
    result = out_of_hours(
        engine(lines_frame(lines)), engine(members_frame(stretches)), months=FY2024, by=("area",), area="municipality"
    )
    cells = cells_of(engine, result, ("area",))
    assert {key[1]: value for key, value in cells.items() if key[0] == "first"} == {
        "24201": (1, 1, 1, 1, 4),
        "24208": (2 + 1, 4 + 1, 2, 2, 8 + 6),
        "県外": (1, 1, 1, 1, 12),
        "不明": (0, 0, 0, 1, 12),
    }
    account = account_of(engine, result)
    assert (account["other_branch"], account["not_enrolled"], account["end"]) == (2, 1, 5)
    branches = count(engine, lines, stretches, by=("area",))
    assert branches["first", "23"] == (2, 2, 2, 2, 12 + 6)
    assert branches["first", "24"] == (5, 9 + 1 + 1, 3, 4, 36 + 6)
    assert set(count(engine, lines, stretches, by=("area",), branch="23")) == {("first", "23"), ("return", "23")}


def test_the_account_says_where_each_line_went(engine):
    lines = [
        line(1, 202406, 1), line(1, 202406, 1), line(1, 202406, 1, FIRST_HOLIDAY), line(1, 202406, 2, RETURN),
        line(None, 202406, 1), line(1, 202406, None), line(1, 202413, 1), line(1, 202406, 1, None),
        line(1, 202406, 32), line(1, 202406, 1, status="?"), line(1, 202406, 1, status=None),
        line(1, 202303, 1), line(1, 202406, 3, status="returned"), line(1, 202406, 3, status="after_loss"),
        line(1, 202406, 3, BASE), line(1, 202406, 3, "nonsense"), line(1, 202406, 3, INPATIENT),
        line(1, 202406, 3, EVENING), line(9, 202406, 3), line(1, 202404, 3),
    ]  # fmt: skip
    result = out_of_hours(engine(lines_frame(lines)), engine(members_frame(ONE)), months=FY2024, by=())
    assert account_of(engine, result) == {
        "start": 20, "unreadable": 7, "other_month": 1, "not_received": None, "returned": 1, "after_loss": 1,
        "inpatient": 1, "evening_early": 1, "not_addon": 2, "not_in_force": 0, "same_visit": 2,
        "other_branch": None, "not_enrolled": 1, "end": 3, "extrapolated": 1,
    }  # fmt: skip
    assert cells_of(engine, result, ())["first",][0] + cells_of(engine, result, ())["return",][0] == 3
    assert (
        engine.kind(result.cells) == engine.kind(result.account) == ("pandas" if engine.name == "pandas" else "polars")
    )


def test_switches_of_the_definitions(engine):
    lines = [line(1, 202406, 1, EVENING), line(1, 202405, 2), line(1, 202406, 3), line(1, 202503, 3, received=202507)]
    kind = oracle.CODES[EVENING]["visit_type"]
    assert count(engine, lines, ONE)["first",][0] == 3
    assert count(engine, lines, ONE, evening_early=True)[kind,][0] == (4 if kind == "first" else 1)
    on = ka.define(overrides={"out_of_hours.evening_early": 1})
    assert count(engine, lines, ONE, definitions=on)[kind,][0] == (4 if kind == "first" else 1)
    assert count(engine, lines, ONE, definitions=on, evening_early=False)["first",][0] == 3
    strict = ka.define(overrides={"out_of_hours.extrapolate_codes": 0})
    result = out_of_hours(
        engine(lines_frame(lines)), engine(members_frame(ONE)), months=FY2024, by=(), definitions=strict
    )
    assert cells_of(engine, result, ())["first",][0] == 2
    assert account_of(engine, result)["not_in_force"] == 1
    labels = engine.frame(result.account)["label"].to_list()
    assert "コードの有効期間外の診療月(数えない設定)" in labels and "夜間・早朝等加算(数えない設定)" in labels
    lines_of = out_of_hours(
        engine(lines_frame(lines)), engine(members_frame(ONE)), months=FY2024, by=(), definitions=on
    )
    labels = engine.frame(lines_of.account)["label"].to_list()
    assert "コードの有効期間外の診療月(同じコードを当てる設定のため除かない)" in labels
    assert "夜間・早朝等加算(数える設定のため除かない)" in labels
    assert count(engine, lines, ONE, data_through="2025-06")["first",][0] == 2


def test_ids_may_be_text(engine):
    lines = lines_frame([line(1, 202406, 2), line(2, 202406, 2, RETURN)])
    members = members_frame([stretch(1, "2020-04-01"), stretch(2, "2020-04-01", sex="F")])
    named = [frame.with_columns(pl.format("p{}", "person_id").alias("person_id")) for frame in (lines, members)]
    result = out_of_hours(*(engine(frame) for frame in named), months=FY2024, by=("sex",))
    assert cells_of(engine, result, ("sex",)) == count(engine, lines.to_dicts(), members.to_dicts(), by=("sex",))


def random_world(seed: int, people: int = 60, rows: int = 900) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Movers, gaps, joiners and leavers on every day of the month; lines with every defect at once."""
    rng = np.random.default_rng(seed)

    def some(values, missing=0.0):
        return None if rng.random() < missing else values[int(rng.integers(len(values)))]

    stretches = []
    for person in range(people):
        day = dt.date(2022, 1, 1) + dt.timedelta(days=int(rng.integers(0, 900)))
        base, sex = some(range(1945, 2026), 0.05), some("MF", 0.05)
        for _ in range(int(rng.integers(1, 4))):
            until = day + dt.timedelta(days=int(rng.integers(1, 500)))
            place = {"branch": some(("24", "24", "23"), 0.05), "town": some(("24201", "24208", "県外"), 0.1)}
            stretches.append(stretch(person, str(day), str(until), base=base, sex=sex, **place))
            day = until + dt.timedelta(days=int(some((0, 0, 20, 100))))
        if rng.random() < 0.5:
            stretches[-1]["valid_to"] = None
    codes = (FIRST, FIRST, FIRST_HOLIDAY, RETURN, RETURN, LATE_RETURN, BASE, EVENING, INPATIENT, "x")
    months = (202312, 202403, 202404, 202405, 202406, 202412, 202501, 202503, 202504, 202509, 202606, 202413)
    lines = [
        line(
            some(range(people + 5), 0.02), some(months, 0.02), some((1, 2, 15, 31, 0), 0.02), some(codes, 0.02),
            at=some("abc", 0.05), status=some(("normal",) * 6 + ("reclaimed", "returned", "after_loss", "?"), 0.02),
            received=some((202404, 202504, 202510)),
        )
        for _ in range(rows)
    ]  # fmt: skip
    lines, members = lines_frame(lines), members_frame(stretches)
    return pl.concat([lines, lines.sample(40, seed=seed)]), pl.concat([members, members.sample(10, seed=seed)])


OPTIONS = [
    {"first": 202404, "last": 202503},
    {"first": 202401, "last": 202606},
    {"first": 202402, "last": 202504, "area": "municipality", "branch": "24"},
    {"first": 202401, "last": 202503, "by": ("sex",), "evening": True, "through": 202504},
    {"first": 202401, "last": 202606, "by": (), "extrapolate": False},
    {"first": 202404, "last": 202404, "by": ("relationship", "age_band"), "branch": "24"},
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_the_oracle_agrees_cell_by_cell(engine, number, seed):
    options = OPTIONS[number]
    lines, members = random_world(10 * number + seed)
    cells, reasons = oracle.out_of_hours(lines.to_dicts(), members.to_dicts(), **options)
    by = options.get("by", ("area", "sex", "age_band"))
    result = out_of_hours(
        engine(lines),
        engine(members),
        months=(options["first"], options["last"]),
        by=by,
        area=options.get("area", "branch"),
        branch=options.get("branch"),
        evening_early=options.get("evening"),
        definitions=ka.define(overrides={"out_of_hours.extrapolate_codes": int(options.get("extrapolate", True))}),
        data_through=options.get("through"),
    )
    assert cells_of(engine, result, by) == cells
    account = account_of(engine, result)
    for key, value in account.items():
        if value is not None and key != "extrapolated":
            assert (key, value) == (key, reasons[key])
    assert reasons["end"] > 3
    assert account["start"] == len(lines)


def test_the_account_adds_up_and_meets_the_cells(engine):
    lines, members = random_world(7)
    result = out_of_hours(engine(lines), engine(members), months=(202401, 202606), area="municipality")
    table = engine.frame(result.account)
    steps = table.filter(pl.col("kind") == "exclude")
    end = table.filter(pl.col("kind") == "end")["remaining"].item()
    assert len(lines) - steps["excluded"].sum() == end == engine.frame(result.cells)["events"].sum()
    assert steps["remaining"].to_list() == (len(lines) - steps["excluded"].fill_null(0).cum_sum()).to_list()


def test_row_order_duplicates_and_splitting_by_person_do_not_matter():
    lines, members = random_world(8)
    whole = out_of_hours(lines, members, months=(202401, 202606))
    mixed = out_of_hours(
        pl.concat([lines, lines]).sample(fraction=1, shuffle=True, seed=1),
        pl.concat([members, members]).sample(fraction=1, shuffle=True, seed=2),
        months=(202401, 202606),
    )
    assert mixed.cells.equals(whole.cells)
    assert mixed.account.filter(pl.col("unit") == "件").equals(whole.account.filter(pl.col("unit") == "件"))
    odd = pl.col("person_id") % 2 == 1
    parts = [out_of_hours(*(f.filter(p) for f in (lines, members)), months=(202401, 202606)) for p in (odd, ~odd)]
    keys = ["visit_type", "area", "sex", "age_band"]
    added = pl.concat([part.cells for part in parts]).group_by(keys).agg(pl.col(NUMBERS).sum()).sort(keys)
    assert added.equals(whole.cells.select(*keys, *NUMBERS).sort(keys))


def test_both_visit_types_of_a_stratum_have_one_denominator_and_the_index_takes_them(engine):
    from kenpo_analytics.regional.cells import align, total_of

    lines, members = random_world(9)
    cells = out_of_hours(engine(lines), engine(members), months=FY2024, by=("area", "age_band")).cells
    frame = engine.frame(cells)
    assert frame.group_by("area", "age_band").agg(pl.col("denominator").n_unique(), n=pl.len()).select(
        pl.col("denominator").max(), pl.col("n").min()
    ).row(0) == (1, 2)
    common = frame.group_by("age_band").agg(pl.col("area").n_unique()).filter(pl.col("area") == 3)["age_band"]
    kept = frame.filter(pl.col("age_band").is_in(common.to_list()))
    aligned = align(kept, total_of(kept), area="area", strata=("age_band",), visit_type=None)
    assert aligned.standard.events.sum() == kept["events"].sum()


def test_no_lines_give_zeros_and_no_members_no_cells(engine):
    lines, members = random_world(1)
    cells = cells_of(engine, out_of_hours(engine(lines.clear()), engine(members), months=FY2024, by=()), ())
    assert cells["first",][:3] == (0, 0, 0)
    assert cells["first",][4] > 100
    empty = out_of_hours(engine(lines), engine(members.clear()), months=FY2024)
    assert len(engine.frame(empty.cells)) == 0
    assert account_of(engine, empty)["end"] == 0


def test_what_is_wrong_is_said_in_the_readers_words():
    lines, members = random_world(1)
    with pytest.raises(TableError, match="claim_feesに必要な列がありません: code"):
        out_of_hours(lines.drop("code"), members, months=FY2024)
    with pytest.raises(TableError, match="membersに必要な列がありません: municipality"):
        out_of_hours(lines, members.drop("municipality"), months=FY2024, area="municipality")
    with pytest.raises(TableError, match=r"加入期間が同じ人の中で重なっています\(1人\)"):
        out_of_hours(lines, members_frame([*ONE, stretch(1, "2024-06-01"), stretch(2, "2024-01-01")]), months=FY2024)
    with pytest.raises(TableError, match="person_idの型が表によって違います"):
        out_of_hours(lines, members.with_columns(pl.col("person_id").cast(pl.String)), months=FY2024)
    with pytest.raises(DateError, match="期間の終わりが始めより前"):
        out_of_hours(lines, members, months=(202503, 202404))
    with pytest.raises(DateError, match="2つの月"):
        out_of_hours(lines, members, months="2024-04")  # type: ignore[arg-type]
    with pytest.raises(DateError, match="最終受領月"):
        out_of_hours(lines, members, months=FY2024, data_through=202412)
    with pytest.raises(DateError, match="2024-13"):
        out_of_hours(lines, members, months=("2024-13", "2025-03"))
    with pytest.raises(DefinitionError, match=r"使える値: fiscal_year_end"):
        ka.define(overrides={"out_of_hours.age": "at_visit"})
    with pytest.raises(DefinitionError, match="区分にない名前です: town"):
        out_of_hours(lines, members, months=FY2024, by=("town",))
    with pytest.raises(DefinitionError, match="branch か municipality"):
        out_of_hours(lines, members, months=FY2024, area="prefecture")  # type: ignore[arg-type]
    with pytest.raises(FrameKindError, match="種類の違う表は結合できません"):
        out_of_hours(lines, duckdb.connect().from_arrow(members.to_arrow()), months=FY2024)


SAMPLE = Path(__file__).parents[1] / "data/sample"


def test_the_planted_rates_and_the_heavy_visitor_of_the_sample_come_back(engine):
    """Planted: national rates by age band x branch factor x town ratio (mean 1), and 60 visits of one person."""
    truth = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))
    fees, members = (pl.read_parquet(SAMPLE / f"{name}.parquet") for name in ("claim_fees", "members"))
    heavy = truth["edge_cases"]["heavy_visitor"]
    him = pl.col("person_id") == int(heavy["person_id"])
    alone = out_of_hours(
        engine(fees.filter(him)), engine(members.filter(him)), months=FY2024, by=("area",), area="municipality"
    )
    one = cells_of(engine, alone, ("area",))
    town = heavy["municipality"]
    assert one["first", town][:3] == (heavy["first"], heavy["first"] ** 2, 1)
    assert one["return", town][:3] == (heavy["return"], heavy["return"] ** 2, 1)
    cells = engine.frame(
        out_of_hours(
            engine(fees.filter(~him)), engine(members.filter(~him)),
            months=("2022-04", "2025-03"), by=("area", "age_band"), area="municipality",
        ).cells
    )  # fmt: skip
    planted = truth["out_of_hours"]
    rates = planted["national_yearly_rate_by_age_band"]
    for visit, factor in planted["branch_factor"].items():
        part = cells.filter(pl.col("visit_type") == visit).with_columns(
            expected=pl.col("age_band").replace_strict(rates[visit]) * pl.col("denominator") / 12 * factor
        )
        for name, ratio in (("24", 1.0), ("24208", planted["municipalities"]["24208"]["planted_ratio"])):
            rows = part.filter(pl.col("area").str.starts_with(name) | (pl.col("area") == "県外") & (name == "24"))
            distance = rows["events"].sum() - ratio * rows["expected"].sum()
            assert rows["events"].sum() > 150
            assert abs(distance) < 3 * rows["events_sq"].sum() ** 0.5
