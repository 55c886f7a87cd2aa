"""Oscillation of a recorded loss: a peak of its spectrum that red noise does not explain.

The series is detrended by a straight line and turned into normal scores (which tames spikes). Its periodogram I_k,
smoothed by (1/4, 1/2, 1/4), is compared with the spectrum of an AR(1) process plus white noise,

    S(f) = s^2 [(1 - w)(1 - r^2)/(1 + r^2 - 2 r cos 2 pi f) + w],

fitted by Whittle's likelihood over a grid of (r, w). The statistic is the largest I_k/S_k at periods of at most a
quarter of the series; its null distribution is simulated from the fitted process, each draw being treated exactly as
the series was (detrended, scored, fitted), so that the p-value accounts for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

CYCLES = 4  # fewer in a series are a trend, not an oscillation
SHORTEST = 24
_RED = np.array([0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98])
_WHITE = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9])

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Peak:
    """The strongest peak: its `period` in records, its `ratio` to the red noise there, and the `pvalue` of that."""

    period: float
    ratio: float
    pvalue: float


def peak(series: Sequence[float], *, draws: int = 1999, seed: int = 0) -> Peak:
    """The strongest oscillation of `series` (at least `SHORTEST` values), with p = (1 + #)/(1 + draws)."""
    return _peak(tuple(series), draws, seed)


@lru_cache(maxsize=64)  # whoever watches a run asks for the same windows after every record
def _peak(series: tuple[float, ...], draws: int, seed: int) -> Peak:
    x = np.asarray(series, dtype=float)[None]
    if np.ptp(x) == 0 or not np.isfinite(x).all():
        return Peak(float(len(series)), 0.0, 1.0)
    red, white, ratio = _statistic(_prepared(x))
    place = int(ratio[0].argmax())
    null = _statistic(_prepared(_noise(red[0], white[0], x.shape[1], draws, seed)))[2].max(1)
    pvalue = (1 + int((null >= ratio[0, place]).sum())) / (1 + draws)
    return Peak(x.shape[1] / (CYCLES + place), float(ratio[0, place]), pvalue)


def _prepared(x: Array) -> Array:
    """Each row `(b, n)` less its line, as normal scores of its ranks."""
    from scipy.signal import detrend
    from scipy.stats import norm

    n = x.shape[1]
    scores = norm.ppf((np.arange(n) + 0.5) / n)
    return np.asarray(scores[detrend(x, axis=1).argsort(1).argsort(1)])


def _noise(red: float, white: float, n: int, draws: int, seed: int) -> Array:
    from scipy.signal import lfilter

    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((draws, n))
    shocks[:, 1:] *= np.sqrt(1 - red * red)  # the first value is stationary already
    slow = lfilter([1.0], [1.0, -red], shocks, axis=1)
    return np.asarray(np.sqrt(1 - white) * slow + np.sqrt(white) * rng.standard_normal((draws, n)))


@lru_cache(maxsize=16)
def _spectra(n: int) -> tuple[Array, Array, Array]:
    """(r, w, S) of the grid; S `(c, n // 2)` at the frequencies k/n, k >= 1."""
    red, white = (v.ravel() for v in np.meshgrid(_RED, _WHITE, indexing="ij"))
    cosine = np.cos(2 * np.pi * np.arange(1, n // 2 + 1) / n)
    slow = (1 - red**2)[:, None] / (1 + red[:, None] ** 2 - 2 * red[:, None] * cosine)
    return red, white, (1 - white)[:, None] * slow + white[:, None]


def _statistic(x: Array) -> tuple[Array, Array, Array]:
    """(r, w, I_k/S_k at k >= `CYCLES`) of each row of `x` `(b, n)`."""
    n = x.shape[1]
    power = np.abs(np.fft.rfft(x, axis=1)[:, 1 : n // 2 + 1]) ** 2 / n
    red, white, spectra = _spectra(n)
    scale = power @ (1 / spectra).T / power.shape[1]  # the profile of s^2
    best = (np.log(scale) + np.log(spectra).mean(1)).argmin(1)
    fitted = spectra[best] * scale[np.arange(len(x)), best][:, None]
    padded = np.pad(power, ((0, 0), (1, 1)), mode="edge")
    smooth = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    return red[best], white[best], (smooth / fitted)[:, CYCLES - 1 :]
