"""Who was sent a letter, in time to matter, and by which rule? Exposure (通知) of a cohort, as counts."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.words import RULES
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.shares import SEEN
from kenpo_analytics.months import day_number, fiscal_year_of_date, parse_fiscal_year
from kenpo_analytics.tables import CHECKUPS, MAILINGS

LEAFLET = "prediabetes_leaflet"
LETTERS = ("in_time", "late", "sent_unseen", "not_delivered", "no_record")


def letters(
    next_checkups: Any, mailings: Any, *, programme: str = LEAFLET, definitions: Definitions | None = None
) -> Any:
    """How many of a cohort were sent a letter, and did their next checkup follow it?

    Parameters
    ----------
    next_checkups
        From `next_checkup`, with `record_id`: a letter belongs to the checkup it was sent for.
    mailings
        Canonical mailings; of several letters for one checkup the first that was sent counts.
    programme
        Which programme's letters.

    Returns
    -------
    Small eager frame: `letter`, `n`, `denominator` (the cohort), `estimate` (share). Letters: in_time (next checkup in
    time and at least `next_checkup.letter_days` after the letter), late (the next checkup came sooner, or before it),
    sent_unseen (sent; no next checkup in time), not_delivered (undelivered, or not mailed for a reason), no_record (no
    letter on file). They add up.

    Raises
    ------
    TableError, FrameKindError
    """
    used = definitions or define()
    frames.same_engine(next_checkups=next_checkups, mailings=mailings)
    needed = ["record_id", "outcome", "next_date"]
    base = frames.enter(next_checkups, CHECKUPS, needed)
    sent = _sent(mailings, programme, "sent_date", "status")
    frames.same_key("record_id", next_checkups=base, mailings=sent)
    rank = nw.when(nw.col("status") == "sent").then(nw.lit(0)).otherwise(nw.lit(1))
    sent = sent.with_columns(rank.alias("rank"), day_number(nw.col("sent_date")).alias("day"))
    best = sent.group_by("record_id").agg(nw.col("rank").min())
    first = sent.join(best, on=["record_id", "rank"], how="inner").group_by("record_id", "rank")
    joined = base.join(first.agg(nw.col("day").min()), on="record_id", how="left")
    gap = day_number(nw.col("next_date")) - nw.col("day")
    cells = joined.with_columns(gap.alias("gap"), nw.col("outcome").is_in(SEEN).alias("seen"))
    days = int(used.number("next_checkup.letter_days"))
    cells = cells.with_columns(frames.sure(nw.col("gap") >= days).alias("after"))
    counted = frames.collect(cells.group_by("rank", "seen", "after").agg(nw.len().alias("n")))
    return frames.small(_letter_rows(counted), frames.source_of(next_checkups))


def _letter_rows(counted: pl.DataFrame) -> pl.DataFrame:
    rank, seen, after = pl.col("rank"), pl.col("seen"), pl.col("after")
    which = {
        "in_time": (rank == 0) & seen & after,
        "late": (rank == 0) & seen & ~after,
        "sent_unseen": (rank == 0) & ~seen,
        "not_delivered": rank == 1,
        "no_record": rank.is_null(),
    }
    total = int(counted["n"].sum())
    if not total:
        raise EstimateError("対象者が1人もいません", hint="対象者のフローを確かめてください。")
    numbers = [int(counted.filter(which[name])["n"].sum()) for name in LETTERS]
    shares = [n / total for n in numbers]
    return pl.DataFrame({"letter": LETTERS, "n": numbers, "denominator": total, "estimate": shares})


def rule_in_force(mailings: Any, checkups: Any, *, fiscal_year: int, programme: str = LEAFLET) -> str:
    """By which rule (and / or) were the letters for the checkups of a fiscal year drawn?

    The one rule of the letters that were sent, as the column `rule` of mailings has it: an evaluation follows the rule
    of its time, never today's default (decision D1). See `rules_sent`.

    Raises
    ------
    EstimateError
        No letter with a rule was sent for checkups of that year, or letters of two rules.
    """
    fiscal_year = parse_fiscal_year(fiscal_year)
    of_year = rules_sent(mailings, checkups, programme=programme).filter(pl.col("fiscal_year") == fiscal_year)
    rules = of_year["rule"].drop_nulls().to_list()
    if not rules:
        raise EstimateError(
            f"{fiscal_year}年度の健診にもとづく通知の記録がありません",
            hint="通知を始めた年度より後を選ぶか、mailings の rule を確かめてください。",
        )
    if len(rules) > 1:
        raise EstimateError(
            f"{fiscal_year}年度の健診にもとづく通知は、1つの基準で送られていません({mixture(of_year)})",
            hint="基準が1つの年度を選ぶか、mailings の rule を確かめてください。",
        )
    return str(rules[0])


def rules_sent(mailings: Any, checkups: Any, *, programme: str = LEAFLET) -> pl.DataFrame:
    """For how many checkups of each fiscal year was a letter sent, by each rule?

    A checkup counts once, by the first letter that was sent for it: its people were drawn by that rule.

    Returns
    -------
    polars: `fiscal_year`, `rule` (null where the letter does not say it), `letters`; sorted.
    """
    frames.same_engine(mailings=mailings, checkups=checkups)
    sent = _sent(mailings, programme, "planned_date", "sent_date", "status", "rule").filter(nw.col("status") == "sent")
    rows = frames.enter(checkups, CHECKUPS, ["record_id", "checkup_date"])
    frames.same_key("record_id", mailings=sent, checkups=rows)
    year = fiscal_year_of_date(nw.col("checkup_date")).alias("fiscal_year")
    joined = sent.join(rows.select("record_id", year).unique("record_id"), on="record_id", how="inner")
    held = frames.collect(joined).with_columns(day=pl.coalesce("sent_date", "planned_date"))
    first = held.sort("day", "rule", nulls_last=True).unique("record_id", keep="first", maintain_order=True)
    counted = first.group_by("fiscal_year", "rule").agg(letters=pl.len().cast(pl.Int64))
    return counted.sort("fiscal_year", "rule", nulls_last=True)


def mixture(of_year: pl.DataFrame) -> str:
    """How many letters of a year were sent by each rule, in Japanese? Without counts where one may not be shown (1-9).

    `of_year`: the rows of one year of `rules_sent`. They add up to its letters: "及び(154通)・または(241通)".
    """
    rows = [(RULES.get(rule, rule or "記録なし"), n) for rule, n in of_year.select("rule", "letters").iter_rows()]
    shown = all(n >= DisclosureRules().min_cell for _, n in rows)
    return "・".join(f"{word}({n:,}通)" if shown else word for word, n in rows)


def programmes_of(mailings: Any, *, ruled: bool = False) -> list[str]:
    """Of which programmes is there a letter on file? `ruled`: one that says by which rule its people were drawn."""
    lazy = frames.enter(mailings, MAILINGS, ["programme", "rule"] if ruled else ["programme"])
    rows = frames.collect((lazy.filter(~nw.col("rule").is_null()) if ruled else lazy).select("programme").unique())
    return sorted(rows["programme"].drop_nulls())


def _sent(mailings: Any, programme: str, *columns: str) -> nw.LazyFrame:
    lazy = frames.enter(mailings, MAILINGS, ["record_id", "programme", *columns])
    return lazy.filter(nw.col("programme") == programme, ~nw.col("record_id").is_null()).select("record_id", *columns)
