"""What is a number? The records in which every estimate travels; no bare tuples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """Lower and upper confidence limits, element by element (shape of the input, at least 1-d)."""

    lower: FloatArray
    upper: FloatArray

    def scaled(self, factor: Any) -> Limits:
        """Return the limits of `factor` times the quantity (factor > 0)."""
        return Limits(self.lower * factor, self.upper * factor)


@dataclass(frozen=True)
class Estimate:
    """One number that knows what it is: value, interval, how it was made, from what, and as of when.

    `lower` and `upper` are None when no interval was asked for or none can be given; `as_of` is YYYYMM.
    """

    value: float
    lower: float | None
    upper: float | None
    level: float
    method: str
    numerator: float | None = None
    denominator: float | None = None
    definition_version: str = ""
    as_of: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as one row of a table."""
        return asdict(self)
