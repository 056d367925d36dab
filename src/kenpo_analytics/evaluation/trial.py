"""How would next year's mailing become a trial, and what could it show? Power and assignment; results: `trial_arms`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import EstimateError, ParameterError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation.trial_arms import ARMS, DESIGN, arms_of, as_drawn, randomised
from kenpo_analytics.evaluation.trial_record import (
    KINDS,
    digest,
    read_assignment,
    read_draws,
    read_record,
    record,
)

__all__ = [
    "ARMS",
    "DESIGN",
    "KINDS",
    "Plan",
    "arms_of",
    "as_drawn",
    "assign",
    "detectable",
    "digest",
    "persons_needed",
    "randomised",
    "read_assignment",
    "read_draws",
    "read_record",
    "record",
]


@dataclass(frozen=True)
class Plan:
    """What a comparison of `persons` people (both arms) can show, with `power` and `level`."""

    persons: int
    detectable: float
    standard_error: float
    power: float
    level: float


def detectable(
    persons: int,
    *,
    sd: float,
    correlation: float = 0.0,
    seen: float = 1.0,
    share: float = 0.5,
    power: float = 0.8,
    level: float = 0.95,
) -> Plan:
    """Which difference of means would so many people show? The minimum detectable effect (検出できる最小の差).

    Parameters
    ----------
    persons
        Letters and controls together, before anybody is lost.
    sd
        Standard deviation of the outcome (mg/dL) among people who would be mailed.
    correlation
        Of outcome and baseline among them: adjusting for the baseline shrinks the variance to 1 - correlation².
    seen
        Share expected to come to the next checkup.
    share
        Share in the first arm.

    Notes
    -----
    Normal approximation, two-sided: (z_{1-a/2} + z_{power}) x standard error. ANCOVA variance: Borm et al. (2007)
    J Clin Epidemiol 60:1234.
    """
    if not (persons >= 2 and sd > 0 and abs(correlation) < 1 and 0 < seen <= 1 and 0 < share < 1):
        raise EstimateError("検出力を計算できない値です", hint="人数2以上、標準偏差>0、相関は-1～1、割合は0～1です。")
    from scipy.special import ndtri

    n = persons * seen
    error = sd * float(np.sqrt((1 - correlation**2) / (n * share * (1 - share))))
    wide = float(ndtri((1 + level) / 2) + ndtri(power))
    return Plan(persons, wide * error, error, power, level)


def persons_needed(effect: float, **options: Any) -> int:
    """How many people must be in the comparison to show `effect`? The smallest number by `detectable`."""
    if effect == 0:
        raise EstimateError("差が0では、必要な人数は決まりません")
    one = detectable(10_000, **options)
    return int(np.ceil(10_000 * (one.detectable / abs(effect)) ** 2))


@any_frame
def assign(
    people: pl.DataFrame,
    *,
    kind: str,
    seed: int,
    programme: str,
    strata: Sequence[str] = (),
    block: int = 4,
    unit: str | None = None,
) -> pl.DataFrame:
    """Who gets which arm? Stratified permuted blocks, the same for the same people and seed, whatever their order.

    Parameters
    ----------
    people
        person_id and the `strata` columns; with `unit` also that column.
    kind
        "delay" (now / later) or "leaflets" (A / B).
    seed, programme
        Together they make the random numbers: another programme gets another assignment.
    strata
        Columns within which the arms are balanced (sex, age group, institution …).
    block
        Even size of a permuted block.
    unit
        Assign whole groups (workplace_id) instead of people: colleagues talk. Groups are drawn as people are, without
        strata; who has no group is one of their own.

    Returns
    -------
    Frame: person_id, the strata, `stratum`, `arm`, `arm_label`; sorted by person_id. Arms differ by at most block / 2
    in each stratum.

    Raises
    ------
    ParameterError
        Unknown kind, odd block, missing columns, missing or repeated people, unit with strata.
    """
    if kind not in KINDS or block < 2 or block % 2:
        raise ParameterError("割付の種類は delay か leaflets、ブロックは2以上の偶数です。")
    needed = ["person_id", *([unit] if unit else strata)]
    if missing := [name for name in needed if name not in people.columns]:
        raise ParameterError(f"割付する表に列がありません: {', '.join(missing)}")
    if unit and strata:
        raise ParameterError("まとまり(unit)ごとの割付では、層を指定できません。", hint="どちらか一方にしてください。")
    if people["person_id"].null_count() or people["person_id"].n_unique() < people.height:
        raise ParameterError("個人IDの空の行か、同じ個人IDの行があります。", hint="1人1行にしてください。")
    who, within = ("_unit", []) if unit else ("person_id", list(strata))
    if unit:  # a person of no known workplace is a unit of their own, not one of a crowd
        own = pl.lit("?") + pl.col("person_id").cast(pl.String)
        people = people.with_columns(_unit=pl.col(unit).cast(pl.String).fill_null(own))
    units = people.select(who, *within).unique().with_columns(
        stratum=pl.concat_str([pl.col(name).cast(pl.String).fill_null("?") for name in within], separator="・")
        if within
        else pl.lit("全員")
    )  # fmt: skip
    order = _hashes(units[who].cast(pl.String).to_list(), f"{programme}|{kind}|{seed}")
    units = units.with_columns(order=pl.Series(order)).sort("stratum", "order")
    parts = [_blocks(part, kind, block, f"{programme}|{kind}|{seed}|{stratum}")
             for (stratum,), part in units.group_by("stratum", maintain_order=True)]  # fmt: skip
    drawn = pl.concat(parts).select(who, "stratum", "arm") if parts else units.select(who, "stratum").clear()
    shown = list(dict.fromkeys(["person_id", *strata, *([unit] if unit else [])]))
    joined = people.select(list(dict.fromkeys([*shown, who]))).join(drawn, on=who)
    joined = joined.with_columns(arm_label=pl.col("arm").replace_strict(ARMS, return_dtype=pl.String))
    return joined.select(*shown, "stratum", "arm", "arm_label").sort("person_id")


def _hashes(names: Sequence[str], salt: str) -> list[int]:
    """A random order that hangs on each name alone: adding people moves nobody else relative to one another."""
    return [int.from_bytes(hashlib.sha256(f"{salt}|{name}".encode()).digest()[:7], "big") for name in names]


def _blocks(part: pl.DataFrame, kind: str, block: int, salt: str) -> pl.DataFrame:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big"))
    arms = np.repeat(np.array(KINDS[kind]), block // 2)
    drawn = np.concatenate([rng.permutation(arms) for _ in range(-(-part.height // block))])
    return part.with_columns(arm=pl.Series(drawn[: part.height].tolist()))
