"""Where do letter and guidance begin? The thresholds that designs cut at, derived once from the definitions."""

from __future__ import annotations

from dataclasses import dataclass

from kenpo_analytics.definitions import Definitions

STEP = 1.0
"""mg/dL: FPG is reported in whole numbers, so a threshold lies half a step below the first value that meets it."""
MARGIN = 5.0
"""mg/dL by which the band below is widened in a sensitivity analysis."""


@dataclass(frozen=True)
class Lines:
    """First values inside: letter by `fpg` (mg/dL) or `hba1c` (%), `guidance` (保健指導), `diabetes` (FPG)."""

    fpg: float = 110.0
    hba1c: float = 6.0
    guidance: float = 100.0
    diabetes: float = 126.0

    @classmethod
    def of(cls, used: Definitions) -> Lines:
        """The lines of these definitions, in their latest version."""
        names = ("prediabetes.fpg.lower", "prediabetes.hba1c.lower", "guidance.glucose.fpg", "diabetes.fpg")
        return cls(*(float(used.versions(name)[-1].value) for name in names))

    @property
    def cutoff(self) -> float:
        """Between the last value without a letter (109) and the first with one (110)."""
        return self.fpg - STEP / 2

    @property
    def kink(self) -> float:
        """Between the last value without guidance (99) and the first with it (100)."""
        return self.guidance - STEP / 2

    @property
    def end(self) -> float:
        """Above the last value that gets a letter (125)."""
        return self.diabetes - STEP / 2

    @property
    def high(self) -> tuple[float, float]:
        """The band that letters are meant for, both ends included."""
        return self.fpg, self.diabetes - STEP

    @property
    def low(self) -> tuple[float, float]:
        """The band below it, down to the guidance line."""
        return self.guidance, self.fpg - STEP

    @property
    def bandwidth(self) -> float:
        """The widest at the cutoff that keeps the guidance line outside."""
        return self.fpg - STEP - self.guidance


LINES = Lines()
"""Those of a letter at 110 mg/dL or 6.0 %, for analysis sets made without definitions (simulated worlds)."""
