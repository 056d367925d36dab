"""What is the true share of a small group? Beta-binomial shrinkage, the uncertainty about the groups' spread included.

Counts are k_i ~ Binomial(n_i, p_i), the groups' shares p_i ~ Beta with a mean and an intra-class correlation (how much
groups truly differ) that nobody knows. Both are integrated out on a grid (full Bayes), as in `small_areas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.small_areas import MIN_AREAS, _finer

_POINTS, _PASSES, _DEPTH = 24, 6, 12.0


@dataclass(frozen=True)
class SharePosterior:
    """The posterior of the groups' shares: a mixture of beta distributions over the grid of (mean, correlation)."""

    events: FloatArray
    total: FloatArray
    mean: FloatArray
    correlation: FloatArray
    weight: FloatArray

    @property
    def estimate(self) -> FloatArray:
        """The posterior mean share of each group."""
        a, b = self._beta()
        return np.asarray(self.weight @ (a / (a + b)), dtype=np.float64)

    @property
    def spread(self) -> float:
        """The posterior mean of the standard deviation of the true shares between groups."""
        return float(self.weight @ np.sqrt(self.mean * (1 - self.mean) * self.correlation))

    def draws(self, size: int, *, seed: int) -> FloatArray:
        """`size` joint draws of all groups' shares, one row each, with a fixed seed."""
        rng = np.random.default_rng(seed)
        a, b = self._beta()
        point = rng.choice(len(self.weight), size=size, p=self.weight)
        return np.asarray(rng.beta(a[point], b[point]), dtype=np.float64)

    def _beta(self) -> tuple[FloatArray, FloatArray]:
        size = 1 / self.correlation - 1
        a, b = (self.mean * size)[:, None], ((1 - self.mean) * size)[:, None]
        return a + self.events, b + (self.total - self.events)


def shrink_shares(events: Any, total: Any) -> SharePosterior:
    """What are the true shares of groups of one kind, `events` of `total` each?

    Parameters
    ----------
    events, total
        One element per group; 0 <= events <= total, total > 0.

    Notes
    -----
    Priors: flat for the mean, and for the square root of the intra-class correlation (which is proportional to the
    standard deviation between groups: Gelman A (2006) Bayesian Analysis 1:515-533). The likelihood is beta-binomial
    (Williams DA (1975) Biometrics 31:949-952).

    Raises
    ------
    EstimateError
        Fewer than 5 groups, or more events than people in one.
    """
    k, n = _checks.counts(events, "分子"), _checks.positive(total, "分母")
    _checks.same_length(分子=k, 分母=n)
    if above := int((k > n).sum()):
        raise EstimateError(f"分子が分母を超える要素が{above}個あります。")
    if len(k) < MIN_AREAS:
        raise EstimateError(f"縮小推定には{MIN_AREAS}以上の集団が要ります({len(k)})。")
    middle = float(np.log((k.sum() + 0.5) / (n.sum() - k.sum() + 0.5)))
    offsets = np.geomspace(1e-3, 3, _POINTS)
    logits, roots = np.r_[middle - offsets[::-1], middle, middle + offsets], np.geomspace(1e-4, 0.99, _POINTS)
    for _ in range(_PASSES):
        logit, root = (axis.ravel() for axis in np.meshgrid(logits, roots))
        mean = 1 / (1 + np.exp(-logit))
        depth = _log_likelihood(k, n, mean, root**2) + np.log(mean * (1 - mean))  # flat in the mean, not in its logit
        kept = depth > depth.max() - _DEPTH
        grid = kept.reshape(len(roots), len(logits))
        logits = _finer(logits, grid.any(axis=0), logits[0])
        roots = _finer(roots, grid.any(axis=1), 1e-5)
    weight = np.exp(depth[kept] - depth.max())
    return SharePosterior(k, n, mean[kept], root[kept] ** 2, weight / weight.sum())


def _log_likelihood(k: FloatArray, n: FloatArray, mean: FloatArray, correlation: FloatArray) -> FloatArray:
    """Log-likelihood of each grid point (beta-binomial, without the constant of the counts)."""
    from scipy.special import betaln

    size = 1 / correlation - 1
    a, b = (mean * size)[:, None], ((1 - mean) * size)[:, None]
    return np.asarray((betaln(a + k, b + n - k) - betaln(a, b)).sum(axis=1), dtype=np.float64)
