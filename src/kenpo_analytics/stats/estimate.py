"""What is an interval? Two limits in one record; no bare tuples."""

from __future__ import annotations

from dataclasses import dataclass
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
