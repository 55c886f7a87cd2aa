"""Adjusted p-values for several tests at once. NumPy only: a few numbers, once per result.

An adjusted p-value at most alpha is a finding under the rule's guarantee at level alpha:

- Holm (1979): the probability of any false finding is at most alpha, whatever the dependence;
- Benjamini and Hochberg (1995): the expected share of false findings is at most alpha, for independent or positively
  dependent p-values.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pushforward.errors import InputError


def holm(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment, `(k,) -> (k,)`: p_(i) -> max_{j <= i} min(1, (k - j + 1) p_(j))."""
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))), 1.0)
    return adjusted


def benjamini_hochberg(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Benjamini and Hochberg's step-up adjustment, `(k,) -> (k,)`: p_(i) -> min_{j >= i} min(1, k p_(j) / j)."""
    p = np.asarray(pvalues, dtype=float)
    order = np.argsort(p, kind="stable")[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def adjust_pvalues(pvalues: ArrayLike, rule: str) -> NDArray[np.float64]:
    """By the rule's name: "holm" or "bh". `InputError` for another."""
    if rule == "holm":
        return holm(pvalues)
    if rule == "bh":
        return benjamini_hochberg(pvalues)
    raise InputError(f'adjust must be "holm" or "bh", not {rule!r}')
