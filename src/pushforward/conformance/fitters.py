"""What any `Fitter` must pass; each check raises `AssertionError`.

    from pushforward.conformance import check_fitter
    check_fitter(MyFitter())

P = N((1, 0), I) is the data and Q = N(0, I) the model; the sizes differ, as they do in life. The statistical checks ask
for six standard errors: a fitter whose score separates fresh rows at an AUC of .6 or more (the best possible is .76)
fails one with probability below 1e-8, and one that takes x for the model passes with less.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pushforward.closed_form import Gaussian
from pushforward.readings import estimate, velocity
from pushforward.witness import Fitter, Witness

_P = Gaussian.isotropic(torch.tensor([1.0, 0.0], dtype=torch.float64), 1.0)
_Q = Gaussian.isotropic(torch.tensor([0.0, 0.0], dtype=torch.float64), 1.0)
_ERRORS = 6.0  # standard errors: one-sided 1e-9
_FRESH = 4000


def check_fitter(
    fitter: Fitter,
    *,
    n: int = 500,
    m: int = 400,
    seed: int = 0,
    divergence: Callable[[Gaussian, Gaussian], Tensor] | None = None,
) -> None:
    """Fit on n rows of data and m of the model, and run every check that the witness's tags call for.

    `divergence` is the closed form (P, Q) -> () of what a certified witness claims to bound, where there is one.
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = _P.sample(n, generator=generator), _Q.sample(m, generator=generator)
    fresh = _P.sample(_FRESH, generator=generator), _Q.sample(_FRESH, generator=generator)
    w = check_reproducible(fitter, x, y)
    check_rows(w, fresh[0][:40])
    check_orientation_of(fitter, w, x, y, fresh)
    if "differentiable" in w.tags:
        check_velocity(w, fresh[1][:20])
    if "certified" in w.tags:
        check_certified(w, fresh, None if divergence is None else float(divergence(_P, _Q)))


def check_reproducible(fitter: Fitter, x: Tensor, y: Tensor) -> Witness:
    """The generator's seed fixes the witness; global random state and the caller's rows are left alone."""
    before = torch.get_rng_state(), _numpy_state()
    rows = x.clone(), y.clone()
    first = fitter(x, y, generator=torch.Generator().manual_seed(1))
    second = fitter(x, y, generator=torch.Generator().manual_seed(1))
    after = torch.get_rng_state(), _numpy_state()
    assert torch.equal(before[0], after[0]), "the fitter used torch's global random state"
    assert before[1] == after[1], "the fitter used NumPy's global random state"
    assert all(torch.equal(was, now) for was, now in zip(rows, (x, y), strict=True)), (
        "the fitter changed the rows it was given"
    )
    with torch.no_grad():
        assert torch.allclose(first.psi(x), second.psi(x), rtol=1e-9), "one seed gave two different witnesses"
    return first


def _numpy_state() -> str:
    return str(np.random.get_state(legacy=False))  # noqa: NPY002


def check_rows(w: Witness, rows: Tensor) -> None:
    """phi and psi are `(n, d) -> (n,)`, finite, and score each row on its own."""
    for half, function in (("phi", w.phi), ("psi", w.psi)):
        with torch.no_grad():
            values, apart = function(rows), torch.cat([function(rows[:7]), function(rows[7:])])
            turned = function(rows.flip(0)).flip(0)
        assert values.shape == (len(rows),), f"{half} must give one value per row, not {tuple(values.shape)}"
        assert bool(torch.isfinite(values).all()), f"{half} is not finite"
        alone = torch.allclose(values, apart, rtol=1e-6, atol=1e-9) and torch.allclose(values, turned, 1e-6, 1e-9)
        assert alone, f"{half} must score each row on its own"


def check_orientation_of(fitter: Fitter, w: Witness, x: Tensor, y: Tensor, fresh: tuple[Tensor, Tensor]) -> None:
    """psi is higher on fresh data than on fresh model samples, and the other way round when the sides are exchanged."""
    assert _separation(w, *fresh) > _ERRORS, "the witness is not higher on data; x is data and y is the model"
    turned = fitter(y, x, generator=torch.Generator().manual_seed(1))
    assert _separation(turned, *fresh) < -_ERRORS, "exchanging the two sides must turn the witness round"


def check_velocity(w: Witness, rows: Tensor) -> None:
    """The gradient of psi agrees with central differences to 1e-4."""
    step = 1e-4
    field = velocity(w, rows)
    for j in range(rows.shape[1]):
        offset = torch.zeros_like(rows)
        offset[:, j] = step
        with torch.no_grad():
            change = (w.psi(rows + offset) - w.psi(rows - offset)) / (2.0 * step)
        error = float((field[:, j] - change).abs().max() / (1e-3 + change.abs().max()))
        assert error < 1e-4, f"the gradient of psi is off by {error:.1e} in coordinate {j}"


def check_certified(w: Witness, fresh: tuple[Tensor, Tensor], truth: float | None) -> None:
    """On fresh rows the gap does not exceed the divergence, nor is it positive between two halves of the model."""
    halves = fresh[1][: _FRESH // 2], fresh[1][_FRESH // 2 :]
    same = estimate(w, *halves)
    assert same.value <= _ERRORS * same.stderr, (
        f"certified, but the gap between equal distributions is {same.value:.4g}"
    )
    if truth is not None:
        gap = estimate(w, *fresh)
        text = f"certified, but the gap {gap.value:.4g} +- {gap.stderr:.2g} exceeds the divergence {truth:.4g}"
        assert gap.value - _ERRORS * gap.stderr <= truth, text


def _separation(w: Witness, x: Tensor, y: Tensor) -> float:
    """mean psi(x) - mean psi(y) in standard errors."""
    with torch.no_grad():
        a, b = w.psi(x).double(), w.psi(y).double()
    return float((a.mean() - b.mean()) / (a.var() / len(a) + b.var() / len(b)).sqrt())
