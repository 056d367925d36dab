"""Did they see a doctor? First visit in the months after the checkup, from monthly claims (未治療者の受診)."""

from __future__ import annotations

from typing import Any, Literal

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.untreated import DOMAINS
from kenpo_analytics.cohorts.visits import visits
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DateError, DefinitionError, TableError
from kenpo_analytics.months import format_month, index_of_date, month_index, parse_month
from kenpo_analytics.outcomes.enrolment import enrolled_until
from kenpo_analytics.outcomes.people import enter_people
from kenpo_analytics.tables import CLAIMS

Visit = Literal["any", "disease"]
WINDOWS = ((0, 9), (0, 10), (1, 10))
"""(first, last) month after the checkup month. Which one the KPI means is not published: all are shown (D3)."""
RESULT = ("state", "months_to", "complete_months", "mature", "month_0")


def first_visit(
    people: Any,
    claims: Any,
    members: Any,
    *,
    data_through: int | str,
    months: tuple[int, int] | None = None,
    visit: Visit = "any",
    definitions: Definitions | None = None,
) -> Any:
    """Did each person see a doctor within the months after the checkup month, and if not, why is nothing seen?

    Parameters
    ----------
    people
        A cohort's people: person_id, checkup_date, and by_bp, by_glucose, by_lipid for `visit="disease"`.
    claims, members
        Canonical tables.
    data_through
        Last treatment month whose claims have arrived completely (YYYYMM or "2025-03"; see `mature_month`).
        Nothing after it is used, or a window would look closed while its claims are still on the way.
    months
        First and last month that count, from the checkup month (0); default from the definitions
        `followup.first_month` and `followup.months` (仮定).
    visit
        "any": any outpatient claim; "disease": one with a diagnosis or drug of a domain that brought the person in.

    Returns
    -------
    Frame of the kind of `people`: its columns and

    - `state`: visited; left (資格喪失, a competing event); turned_75 (administrative end); open (window not complete);
      not_visited (followed to the end).
    - `months_to`: month of the visit, of leaving, or to which nothing was seen (-1: nothing complete yet).
    - `complete_months`: how many months after the checkup month are known completely (negative: none).
    - `mature`: the window asked for is closed and complete. Only such people count in a KPI.
    - `month_0`: a visit in the checkup month, which may precede the checkup.
    - `visited_0_9`, `visited_0_10`, `visited_1_10` (as far as `months` reaches, and `months` itself): null where not
      visited and the window is not complete.

    Raises
    ------
    TableError, FrameKindError, DefinitionError, DateError

    Notes
    -----
    Visits after loss of eligibility, returned claims and (unless switched on) inpatient-only contact do not count: see
    `cohorts.visits`. A visit in the month of leaving, with a valid claim, counts.
    """
    frames.same_engine(people=people, claims=claims, members=members)
    used, source = definitions or define(), frames.source_of(people)
    first, last = followup_window(used) if months is None else _window_of(months)
    if visit not in ("any", "disease"):
        raise DefinitionError(f"受診の種類は any か disease です: 「{visit}」")
    through = month_index(_delivered(claims, parse_month(data_through)))
    base = _enter(people, visit)
    keys = base.select("person_id", "checkup_date", *(f"by_{domain}" for domain in DOMAINS if visit == "disease"))
    keys = keys.unique(["person_id", "checkup_date"]).with_columns(index_of_date(nw.col("checkup_date")).alias("index"))
    followed = enrolled_until(keys, members)
    offsets = _offsets(followed, claims, used, visit, through, first, last)
    result = _states(followed.join(offsets, on=["person_id", "checkup_date"], how="left"), first, last, through)
    return frames.leave(base.join(result, on=["person_id", "checkup_date"], how="left"), source)


def _delivered(claims: Any, through: int) -> int:
    """The month, refused when nothing was received as late as that: what is not delivered cannot be complete."""
    if "received_month" not in frames.columns_of(claims):
        return through
    receipts = frames.enter(claims, CLAIMS, ("received_month",)).select(nw.col("received_month").max())
    latest = frames.collect(receipts).item()
    if latest is not None and through > latest:
        raise DateError(
            f"レセプトは{format_month(latest)}受領分までしかありません: data_through={format_month(through)}",
            hint="mature_month(...).complete_through を渡してください。",
        )
    return through


def followup_window(definitions: Definitions) -> tuple[int, int]:
    """Which months after the checkup month (0) count? First and last, from the definitions `followup` (仮定)."""
    return int(definitions.number("followup.first_month")), int(definitions.number("followup.months"))


def _window_of(months: object) -> tuple[int, int]:
    """The months given: two whole ones, the first not after the last."""
    pair = isinstance(months, tuple | list) and len(months) == 2 and all(isinstance(month, int) for month in months)
    if not pair or not 0 <= months[0] <= months[1]:  # type: ignore[index]
        raise DefinitionError(f"追跡する月の範囲が違います: 「{months}」", hint="例: months=(0, 10)")
    return months[0], months[1]  # type: ignore[index]


def _enter(people: Any, visit: Visit) -> nw.LazyFrame:
    names = frames.columns_of(people)
    if visit == "disease" and (missing := [f"by_{d}" for d in DOMAINS if f"by_{d}" not in names]):
        raise TableError(
            f"peopleに必要な列がありません: {', '.join(missing)}",
            hint="疾患受診は untreated() の people について調べられます。",
        )
    return enter_people(people, ("person_id", "checkup_date"), RESULT)


def _offsets(
    followed: nw.LazyFrame,
    claims: Any,
    used: Definitions,
    visit: Visit,
    through: int,
    first: int,
    last: int,
) -> nw.LazyFrame:
    """One row per person seen: first visit month in each window, counted while enrolled and complete."""
    flags = [f"{group}_{domain}" for domain in DOMAINS for group in ("dx", "rx")] if visit == "disease" else []
    seen = visits(claims, used, *flags).filter(nw.col("visit") <= through)
    frames.same_key("person_id", people=followed, claims=seen)
    hit = followed.join(seen, on="person_id", how="inner").with_columns(
        (nw.col("visit") - nw.col("index")).alias("offset")
    )
    hit = hit.filter(
        (nw.col("offset") >= 0)
        & (nw.col("offset") <= last)
        & (nw.col("until").is_null() | (nw.col("visit") <= nw.col("until")))
    )
    if visit == "disease":
        fits = [
            frames.sure(nw.col(f"by_{d}")) & (frames.sure(nw.col(f"dx_{d}")) | frames.sure(nw.col(f"rx_{d}")))
            for d in DOMAINS
        ]
        hit = hit.filter(nw.any_horizontal(*fits, ignore_nulls=False))
    starts = sorted({0, first, *(low for low, _ in windows_of(first, last))})
    since = [nw.when(nw.col("offset") >= low).then(nw.col("offset")).alias(f"from_{low}") for low in starts]
    earliest = [nw.col(f"from_{low}").min() for low in starts]
    return hit.with_columns(*since).group_by("person_id", "checkup_date").agg(*earliest)


def windows_of(first: int, last: int) -> list[tuple[int, int]]:
    """Which windows can be told from a follow-up of these months? The usual ones that fit, and itself."""
    return sorted({(first, last), *(window for window in WINDOWS if window[1] <= last)})


def _states(people: nw.LazyFrame, first: int, last: int, through: int) -> nw.LazyFrame:
    complete = through - nw.col("index")  # months after the checkup month known completely
    gone = nw.col("until") - nw.col("index")
    visited = ~nw.col(f"from_{first}").is_null()
    ended = frames.sure((gone < last) & (gone <= complete)) & ~visited
    open_ = ~visited & ~ended & (complete < last)
    state: Any = nw.lit("not_visited")
    for condition, name in (
        (open_, "open"),
        (ended & ~nw.col("ends_at_75"), "left"),
        (ended & nw.col("ends_at_75"), "turned_75"),
        (visited, "visited"),
    ):
        state = nw.when(condition).then(nw.lit(name)).otherwise(state)
    months_to = (
        nw.when(visited)
        .then(nw.col(f"from_{first}"))
        .otherwise(nw.when(ended).then(gone).otherwise(nw.when(open_).then(complete).otherwise(nw.lit(last))))
    )
    at_least = nw.when(months_to < -1).then(nw.lit(-1)).otherwise(months_to)
    windows = [
        _window(nw.col(f"from_{low}"), high, complete).alias(f"visited_{low}_{high}")
        for low, high in windows_of(first, last)
    ]
    return people.select(
        "person_id",
        "checkup_date",
        state.alias("state"),
        at_least.cast(nw.Int32).alias("months_to"),
        complete.cast(nw.Int32).alias("complete_months"),
        (complete >= last).alias("mature"),
        frames.sure(nw.col("from_0") == 0).alias("month_0"),
        *windows,
    )


def _window(offset: nw.Expr, high: int, complete: nw.Expr) -> nw.Expr:
    """True when seen by then; False only when the window is complete; else null: not yet known."""
    seen = frames.sure(offset <= high)
    return nw.when(seen | (complete >= high)).then(seen)
