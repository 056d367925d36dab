"""How do programme and pre-programme cohorts differ at the next checkup? The naive comparison (単純前後比較)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.shares import AMONG, Tally, tallies
from kenpo_analytics.stats.proportions import NOTHING, katz, newcombe

METHOD = "単純前後比較"
Among = Literal["judged", "seen", "closed"]


def before_after(
    programme: Any,
    reference: Any,
    *,
    among: Sequence[Among] = ("judged", "closed"),
    level: float = 0.95,
) -> Any:
    """How much more often did people improve, or worsen, than a cohort by the same rule before the programme?

    **The naive number (単純前後比較): not an effect of the programme.** Both cohorts were picked for high values and
    fall back by themselves (平均への回帰); a cohort by the same rule takes up that part, but not what changed with the
    calendar (laboratories, checkup takers, drugs, the result sheet). A design that takes up both has to stand beside
    it; those come into this room later.

    Parameters
    ----------
    programme, reference
        From `next_checkup`, by the same cohort rule; `reference` from the time before the programme. Give claims to
        both or to neither: treatment found in claims of one era alone would not compare.
    among
        Denominators as in `outcome_shares`: judged, seen, closed.

    Returns
    -------
    Small eager frame, one row per `measure` (category, fpg, hba1c), `among`, `outcome` (improved, worsened), `scale`:

    - scale pp (ポイント): share - share_reference as a proportion (0.059 is 5.9 points); limits Newcombe (1998)
      method 10.
    - scale relative (変化率): share / share_reference - 1 (0.33 is 33 % more); limits Katz log. Null where the
      reference share is 0; its limits also where either count is 0.
    - `estimate`, `lower`, `upper`, `level`, `method` (単純前後比較), `interval`; `events`, `denominator`, `share` and
      the same with `_reference`.

    Raises
    ------
    EstimateError
        The months for the next checkup are not over for anyone in a cohort, or it is empty. A measure that nobody has
        is no error: its shares are null.

    Notes
    -----
    People in both cohorts (years apart) are taken as independent. Sources: Newcombe RG (1998) Stat Med 17:873-890;
    Katz D et al. (1978) Biometrics 34:469-474. Points and relative change are kept apart (decision D2).
    """
    return frames.small(compared(programme, reference, among, level), frames.source_of(programme))


def compared(programme: Any, reference: Any, among: Sequence[Among], level: float) -> pl.DataFrame:
    """The rows of `before_after`, in polars whatever the kind of the cohorts."""
    if unknown := [name for name in among if name not in AMONG]:
        raise EstimateError(f"分母の名前が違います: {', '.join(unknown)}", hint="judged、seen、closed のいずれかです。")
    pairs = list(zip(tallies(programme), tallies(reference), strict=False))
    if not pairs:
        raise EstimateError("比べる群に対象者が1人もいません", hint="対象者のフローを確かめてください。")
    for tally, which in zip(pairs[0], ("事業の年度", "比較の年度"), strict=True):
        if not tally.events(AMONG["closed"]):
            raise EstimateError(
                f"{which}に、次回健診の期間が終わって分母になる人がいません", hint="もっと前の年度を選んでください。"
            )
    rows = [
        row
        for mine, theirs in pairs
        for name in among
        for outcome in ("improved", "worsened")
        for row in _compare(mine, theirs, name, outcome, level)
    ]
    floats = dict.fromkeys(("estimate", "lower", "upper", "share", "share_reference"), pl.Float64)
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=floats)


def _compare(mine: Tally, theirs: Tally, among: str, outcome: str, level: float) -> list[dict[str, Any]]:
    k1, k0 = (tally.events([outcome]) for tally in (mine, theirs))
    n1, n0 = (tally.events(AMONG[among]) for tally in (mine, theirs))
    shown = {"measure": mine.measure, "among": among, "outcome": outcome}
    behind = {
        "level": level,
        "method": METHOD,
        "events": k1,
        "denominator": n1,
        "share": k1 / n1 if n1 else None,
        "events_reference": k0,
        "denominator_reference": n0,
        "share_reference": k0 / n0 if n0 else None,
    }
    points, change = difference(k1, n1, k0, n0, level), relative(k1, n1, k0, n0, level)
    return [
        shown | {"scale": "pp"} | points | {"interval": "newcombe"} | behind,
        shown | {"scale": "relative"} | change | {"interval": "katz-log"} | behind,
    ]


def difference(k1: int, n1: int, k0: int, n0: int, level: float) -> dict[str, float | None]:
    """Difference of two shares, with Newcombe's hybrid score limits (method 10); null where a group is empty."""
    if not n1 or not n0:
        return NOTHING.copy()
    limits = newcombe(k1, n1, k0, n0, level=level)
    return {"estimate": k1 / n1 - k0 / n0, "lower": float(limits.lower[0]), "upper": float(limits.upper[0])}


def relative(k1: int, n1: int, k0: int, n0: int, level: float) -> dict[str, float | None]:
    """Relative change of a share, with Katz's log limits; null where it does not exist."""
    if not n1 or not k0:
        return NOTHING.copy()
    estimate = k1 / n1 / (k0 / n0) - 1
    if not k1:
        return {"estimate": estimate, "lower": None, "upper": None}
    limits = katz(k1, n1, k0, n0, level=level)
    return {"estimate": estimate, "lower": float(limits.lower[0]) - 1, "upper": float(limits.upper[0]) - 1}
