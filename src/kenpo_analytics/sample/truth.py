"""What is true in this world? Machine-readable truths, from generating parameters and simulated states alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import branch_risks, emergency, letters, national
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.cases import count_cases
from kenpo_analytics.sample.screening import MAIN
from kenpo_analytics.sample.state import World, column

Ints = NDArray[np.int64]
WINDOWS = {"0_9": (0, 9), "0_10": (0, 10), "1_10": (1, 10)}
DOMAIN_NAMES = ("bp", "glucose", "lipid")


def describe(world: World, tables: dict[str, pl.DataFrame], ids: pl.DataFrame, cases: dict[str, Any]) -> dict[str, Any]:
    """Which truths stand beside the data? Effects, hazards, indices, lags and the number of each planted case."""
    truth = world.truth
    return {
        "synthetic": True,
        "label": "合成データ",
        "seed": world.seed,
        "variant": world.variant,
        "persons": world.size,
        "snapshot_month": 202510,
        "claims_from": 202104,
        "rows": {name: table.height for name, table in tables.items()},
        "parameters": {key: value for key, value in asdict(truth).items() if not isinstance(value, tuple)},
        "prediabetes_letter": _letters(world),
        "untreated_visits": _visits(world),
        "out_of_hours": _out_of_hours(world),
        "risks": branch_risks.truths(national.members()),
        "claims_lag": {"shares_by_months_after_treatment": list(truth.lag_shares), "share_later_than_3_months": 0.05},
        "thinning": {"歯科": truth.dental_kept, "調剤": truth.dispensing_kept, "入院": 1.0, "入院外": 1.0},
        "edge_cases": count_cases(world, tables, cases),
    }


def _letters(world: World) -> dict[str, Any]:
    truth = world.truth
    return {
        "effect_on_fpg_mg_dl": truth.letter_effect,
        "acts_on": "checkups 1 to 548 days after sent_date of a letter with status sent; not cumulated; not HbA1c",
        "label_effect_mg_dl": truth.label_effect,
        "label_acts_on": "checkups 1 to 548 days after a fasting checkup with recorded FPG >= 110, both eras",
        "calendar_shift_mg_dl": truth.calendar_shift,
        "calendar_from_fiscal_year": truth.calendar_from_fy,
        "calendar_change_by_index_year": {
            str(fy): truth.calendar_shift * (fy == truth.calendar_from_fy - 1) for fy in range(2017, 2025)
        },
        "drift_mg_dl_per_year": truth.drift_per_year,
        "treatment_effect_mg_dl": truth.treatment_effect,
        "pre_era_checkups": "FY2017",
        "rule": {"FY2018-FY2024": "and", "FY2025-": "or"},
        "yearly_batches": [f"{month // 12}-01-20" for month in letters.YEARLY],
        "monthly_from": "2025-04-25",
        "opt_out": "by workplace, more often where large; independent of glucose given the workplace",
    }


def _visits(world: World) -> dict[str, Any]:
    """Planted hazards of a first outpatient contact, and the cumulative incidence that they imply."""
    truth = world.truth
    people = _followed(world)
    summary: dict[str, Any] = {
        "hazard_by_month": [
            truth.visit_hazard_month0,
            *[truth.visit_hazard * truth.visit_hazard_early] * 3,
            *[truth.visit_hazard] * 8,
        ],
        "domain_multiplier": dict(truth.domain_multiplier),
        "letter_multiplier_months_6_8": truth.letter_visit_multiplier,
        "disease_visit_share": truth.disease_visit_share,
        "people": "main checkup, 35-74, on no drug, value at the first line, no outpatient contact in month -1",
        "cumulative_incidence": {},
    }
    groups = {f"FY{fy}": people["fy"] == fy for fy in range(2021, 2025)}
    late = (people["fy"] >= 2021) & (people["fy"] <= 2024)
    groups["all"] = late
    for j, name in enumerate(DOMAIN_NAMES):
        groups[f"all_{name}"] = late & people["domains"][:, j]
    groups = {name: chosen & ~people["other_drug"] for name, chosen in groups.items()}
    # Wider cohort: on no drug for at least one reached domain, drugs for other domains allowed.
    groups["all_untreated_in_a_reached_domain"] = late
    for name, chosen in groups.items():
        at = np.flatnonzero(chosen & people["target"])
        summary["cumulative_incidence"][name] = _incidence(people, at, truth.disease_visit_share)
    wide = summary["cumulative_incidence"]["all_untreated_in_a_reached_domain"]
    # Visits of people on another drug are not split by disease, so no truth by disease here.
    summary["cumulative_incidence"]["all_untreated_in_a_reached_domain"] = {
        name: value for name, value in wide.items() if "disease" not in name
    }
    return summary


def _followed(world: World) -> dict[str, NDArray[Any]]:
    merged = {name: np.concatenate([part[name] for part in world.followed]) for name in world.followed[0]}
    merged["fy"] = d.fiscal_year(merged["month"])
    age = merged["fy"] - world.people.fy_age_base[merged["i"]]
    merged["target"] = (merged["kind"] == MAIN) & (age >= 35) & (age <= 74) & merged["silent_before"]
    months = np.minimum(merged["month"][:, None] - k.START + np.arange(12), k.MONTHS - 1)
    merged["enrolled"] = world.enrolled[merged["i"][:, None], months]
    return merged


def _incidence(people: dict[str, NDArray[Any]], at: Ints, disease_share: float) -> dict[str, float]:
    """Expected share visited: `net` if nobody left; `crude` with the enrolment that came about (leaving competes)."""
    result: dict[str, float] = {"people": len(at)}
    if not len(at):
        return result
    hazard = people["hazard"][at]
    here = np.minimum.accumulate(people["enrolled"][at], axis=1)
    for name, (low, high) in WINDOWS.items():
        for visit, share in (("any", 1.0), ("disease", disease_share)):
            part = hazard[:, low : high + 1] * share
            unvisited = np.cumprod(np.concatenate([np.ones((len(at), 1)), 1 - part], axis=1), axis=1)
            result[f"net_{visit}_{name}"] = round(float(1 - unvisited[:, -1].mean()), 6)
            result[f"crude_{visit}_{name}"] = round(
                float((unvisited[:, :-1] * part * here[:, low : high + 1]).sum(axis=1).mean()), 6
            )
    return result


def _out_of_hours(world: World) -> dict[str, Any]:
    """Planted rate ratios by town (FY2024, without the heavy visitor) and expected branch indices."""
    rows = k.rows("municipalities.csv")
    ratio = emergency.town_ratios()
    branch = {visit: _branch_mean(world, visit, ratio) for visit in national.VISITS}
    towns = {}
    for j, row in enumerate(rows):
        towns[row["municipality"]] = {"name": row["name"], "planted_ratio": round(float(ratio[j]), 6)}
        for visit in national.VISITS:
            towns[row["municipality"]][f"{visit}_o_over_e_branch_fy2024"] = round(float(ratio[j]) / branch[visit], 6)
            towns[row["municipality"]][f"{visit}_o_over_e_nation"] = round(
                float(ratio[j]) * emergency.branch_factor(visit), 6
            )
    return {
        "municipalities": towns,
        "mean_town_ratio_fy2024": {visit: round(value, 6) for visit, value in branch.items()},
        "national_yearly_rate_by_age_band": {
            "first": dict(zip(k.AGE_BANDS, world.truth.first_rate().tolist(), strict=True)),
            "return": dict(zip(k.AGE_BANDS, world.truth.return_rate().tolist(), strict=True)),
        },
        "branch_factor": {visit: emergency.branch_factor(visit) for visit in national.VISITS},
        "branches": national.expected_index(world.truth),
        "note": "o_over_e_nation is against base rates at factor 1; rates agree with `national`, counts do not",
    }


def _branch_mean(world: World, visit: str, ratio: NDArray[np.float64]) -> float:
    """Mean town ratio, weighted by the visits expected at ratio 1 over the member-months of FY2024."""
    rate = world.truth.first_rate() if visit == "first" else world.truth.return_rate()
    ratios = np.concatenate([ratio, [1.0, 1.0]])
    weight, total = 0.0, 0.0
    for month in range(2024 * 12 + 3, 2025 * 12 + 3):
        base = rate[emergency.age_band(world, month)] * world.enrolled[:, column(month)]
        weight += float(base.sum())
        total += float((base * ratios[world.town[:, column(month)]]).sum())
    return total / weight
