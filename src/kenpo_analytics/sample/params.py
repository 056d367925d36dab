"""Which truths are planted? The generating parameters, and the named random streams that keep parts apart."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

Variant = Literal["full", "no_letter_effect", "no_pre_era"]


@dataclass(frozen=True)
class Planted:
    """What is true in this world? Effects in mg/dL, hazards per month, shares 0-1."""

    letter_effect: float = -2.0
    label_effect: float = -0.5
    label_line: float = 110.0
    effect_days: int = 548
    """A letter or a result sheet acts on checkups 1 to 548 days (18 months) after it, once, not cumulated."""
    calendar_shift: float = 0.8
    calendar_from_fy: int = 2019
    drift_per_year: float = 0.25
    treatment_effect: float = -12.0
    male: float = 5.4
    persistent_sd: float = 8.0
    persistent_shape: float = 1.6
    ar_sd: float = 4.0
    ar_phi: float = 0.6
    error_sd: float = 5.0
    worsened_attendance_logit: float = -0.6
    """Log odds of coming next year after FPG rose by 12 or reached 126: some stay away because they worsened."""
    visit_hazard_month0: float = 0.025
    visit_hazard: float = 0.0320
    visit_hazard_early: float = 1.25
    """Months 1-3 after the checkup, relative to the rest of months 1-11."""
    domain_multiplier: tuple[tuple[str, float], ...] = (("bp", 1.0), ("glucose", 1.3), ("lipid", 0.8), ("several", 1.5))
    letter_visit_multiplier: float = 1.35
    """Months 6-8 after the checkup for people sent the 一次勧奨 letter."""
    drug_visit_hazard: float = 0.85
    """Monthly contact of people on any drug, hence also of those on a drug of another domain than the one reached."""
    disease_visit_share: float = 0.70
    treatment_start_share: float = 0.60
    inpatient_hazard: float = 0.004
    lag_shares: tuple[float, ...] = (0.72, 0.15, 0.08, 0.025, 0.012, 0.007, 0.004, 0.002)
    """Share of claims received 1, 2, ... 8 months after the treatment month: 5 % come later than 3 months."""
    returned_share: float = 0.006
    reclaimed_share: float = 0.8
    after_loss_share: float = 0.04
    frailty_shape: float = 0.8
    """Gamma shape of the personal out-of-hours rate (mean 1): repeat visitors, hence compound Poisson counts."""
    dental_kept: float = 0.25
    dispensing_kept: float = 0.20
    two_addons_share: float = 0.03
    evening_early_ratio: float = 0.8

    def first_rate(self) -> np.ndarray:
        """How many out-of-hours first visits a year has a member of each age band, nation, at factor 1?"""
        return np.array([0.52, 0.26, 0.15, 0.11, 0.10, 0.09, 0.085, 0.07, 0.06, 0.055, 0.05, 0.05, 0.05, 0.05, 0.055])

    def return_rate(self) -> np.ndarray:
        """How many out-of-hours return visits a year has a member of each age band, nation, at factor 1?"""
        return np.array([0.24, 0.10, 0.05, 0.035, 0.03, 0.03, 0.03, 0.028, 0.028, 0.03, 0.032, 0.035, 0.04, 0.05, 0.06])


def planted(variant: Variant) -> Planted:
    """Which parameters rule this variant? `no_letter_effect` plants 0 for the letter, everything else stays."""
    return Planted(letter_effect=0.0) if variant == "no_letter_effect" else Planted()


def stream(seed: int, name: str) -> np.random.Generator:
    """Which random numbers belong to this part? One child stream per name, so a new part shifts no other."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
