"""Fields between two samples: exact definitions, closed forms between Gaussians, antisymmetry, far and equal rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pushforward.closed_form import Gaussian
from pushforward.data import toys
from pushforward.errors import InputError
from pushforward.fitters.kernel import GaussianKernel, kernel_witness
from pushforward.fitters.sinkhorn import Entropic, solve
from pushforward.flow import Widths, tiles, widths
from pushforward.flow.kernel_fields import drifting_field, mean_shift_difference, mmd_field
from pushforward.flow.transport_field import entropic_displacement
from pushforward.readings.flow import velocity

TEMPERATURES = (0.1, 0.7)
FIELDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "score-difference": lambda y, x: mean_shift_difference(y, x, 0.3),
    "mmd": lambda y, x: mmd_field(y, x, 0.3),
    "drift": lambda y, x: drifting_field(y, x, TEMPERATURES),
    "wasserstein": lambda y, x: entropic_displacement(y, x, 0.3),
}


@pytest.fixture
def rows(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Model and data rows `(60, 2)`, `(80, 2)`, float64."""
    y = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    return y, 0.5 + 0.7 * torch.randn(80, 2, generator=generator, dtype=torch.float64)


def kernel_means(t: Tensor, y: Tensor, x: Tensor, s: float) -> tuple[Tensor, Tensor]:
    """p_s and q_s at t, which are the rows of y: each by itself, left out of its own mean."""
    k = torch.exp(-torch.cdist(t, x).square() / (2 * s**2)), torch.exp(-torch.cdist(t, y).square() / (2 * s**2))
    others = 1 - torch.eye(len(y), dtype=y.dtype)
    return k[0].mean(1), (k[1] * others).sum(1) / (len(y) - 1)


def test_the_score_difference_is_the_gradient_of_smoothed_log_densities(rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    t = y.clone().requires_grad_()
    p, q = kernel_means(t, y, x, 0.4)
    (slope,) = torch.autograd.grad((p.log() - q.log()).sum(), t)
    torch.testing.assert_close(mean_shift_difference(y, x, 0.4), 0.4**2 * slope, rtol=1e-9, atol=1e-11)


def test_the_mmd_field_is_the_gradient_of_the_kernel_witness(rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    t = y.clone().requires_grad_()
    p, q = kernel_means(t, y, x, 0.4)
    (slope,) = torch.autograd.grad((p - q).sum(), t)
    largest = torch.maximum(p, q).max()
    torch.testing.assert_close(mmd_field(y, x, 0.4), 0.4**2 * slope / largest, rtol=1e-9, atol=1e-11)
    elsewhere = x[:10] + 0.1
    read = velocity(kernel_witness(GaussianKernel(0.4), x, y), elsewhere)  # of psi = 2 (p - q)
    found = mmd_field(y, x, 0.4, at=elsewhere)
    torch.testing.assert_close(found / found.norm(), read / read.norm(), rtol=1e-9, atol=1e-11)


def paper_drift(at: Tensor, y: Tensor, x: Tensor, temperature: float, *, own: bool) -> Tensor:
    """Algorithm 2 of arXiv 2602.04770 as it is written there, with whole matrices."""
    logits = -torch.cdist(at, torch.cat([x, y])) / temperature
    if own:
        logits[:, len(x) :].fill_diagonal_(-math.inf)
    a = (logits.softmax(1) * logits.softmax(0)).sqrt()
    plus, minus = a[:, : len(x)], a[:, len(x) :]
    return minus.sum(1, keepdim=True) * (plus @ x) - plus.sum(1, keepdim=True) * (minus @ y)


def test_the_drifting_field_is_the_papers(rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    expected = sum(paper_drift(y, y, x, t, own=True) for t in TEMPERATURES)
    torch.testing.assert_close(drifting_field(y, x, TEMPERATURES), expected, rtol=1e-9, atol=1e-11)
    at = x[:30] + 0.01
    expected = sum(paper_drift(at, y, x, t, own=False) for t in TEMPERATURES)
    torch.testing.assert_close(drifting_field(y, x, TEMPERATURES, at=at), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("field", ["score-difference", "drift"])
def test_swapping_data_and_model_flips_the_sign(field: str, rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    at = torch.linspace(-1.5, 1.5, 40, dtype=torch.float64).reshape(20, 2)
    if field == "drift":
        there, back = drifting_field(y, x, TEMPERATURES, at=at), drifting_field(x, y, TEMPERATURES, at=at)
    else:
        there, back = mean_shift_difference(y, x, 0.3, at=at), mean_shift_difference(x, y, 0.3, at=at)
    assert there.abs().mean() > 0.01
    torch.testing.assert_close(there, -back, rtol=1e-10, atol=1e-12)


def test_the_score_difference_between_gaussians() -> None:
    """Within 6 standard errors at 60 rows of the closed form: -(y - m_p)/(S_p + s^2) + (y - m_q)/(S_q + s^2).

    False failures: at most 120 coordinates x 2e-9. A width off by a third, or scores not smoothed, are found.
    """
    g, s, n = torch.Generator().manual_seed(1), 0.5, 6000
    p = Gaussian(torch.tensor([1.0, 0.0]).double(), torch.tensor([[1.0, 0.4], [0.4, 0.8]]).double())
    q = Gaussian(torch.tensor([0.0, 0.5]).double(), torch.tensor([[0.5, 0.0], [0.0, 1.5]]).double())
    y, x = q.sample(n, generator=g), p.sample(n, generator=g)
    smooth = [Gaussian(d.mean, d.covariance + s**2 * torch.eye(2).double()) for d in (p, q)]
    at = q.sample(60, generator=g)

    def stderr(points: Tensor) -> Tensor:
        """Of a kernel-weighted mean, by the delta method."""
        weight = torch.softmax(-torch.cdist(at, points).square() / (2 * s**2), 1)
        off = points - (weight @ points)[:, None, :]
        return (weight[:, :, None] ** 2 * off**2).sum(1).sqrt()

    error = torch.hypot(stderr(x), stderr(y))

    def furthest(width: float, of: list[Gaussian]) -> float:
        truth = s**2 * (of[0].score(at) - of[1].score(at))
        return float(((mean_shift_difference(y, x, width, at=at) - truth) / error).abs().max())

    assert furthest(s, smooth) < 6.0
    assert furthest(4 / 3 * s, smooth) > 6.0
    assert furthest(s, [p, q]) > 6.0


@pytest.mark.parametrize("field", ["score-difference", "mmd", "drift"])
def test_where_both_are_one_distribution_the_mean_field_is_zero(field: str) -> None:
    """The mean displacement and its mean along y, over 80 pairs of samples of the ring: |t| < 6.5 with 79 degrees.

    False failures: 3 numbers x 7e-9 for each field. The contraction that a row's own kernel causes, when it is counted,
    is found (score difference). (The Sinkhorn divergence counts it, and its gradient contracts a little.)
    """
    g = torch.Generator().manual_seed(2)
    pairs = [(toys.toy("ring").sample(61, g), toys.toy("ring").sample(60, g)) for _ in range(80)]

    def largest_t(move: Callable[[Tensor, Tensor], Tensor]) -> float:
        found = []
        for y, x in pairs:
            v = move(y.double(), x.double())
            found.append(torch.cat([v.mean(0), (v * y).sum(1).mean()[None]]))
        table = torch.stack(found)
        return float((table.mean(0) / table.std(0) * math.sqrt(len(table))).abs().max())

    assert largest_t(FIELDS[field]) < 6.5
    if field == "score-difference":
        assert largest_t(lambda y, x: mean_shift_difference(y, x, 0.3, own=1.0)) > 6.5


@pytest.mark.parametrize("field", FIELDS)
def test_tiles_change_nothing(field: str, rows: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FIELDS[field](*rows)
    monkeypatch.setattr(tiles, "_CPU_TILE", 1)
    monkeypatch.setattr(tiles, "_LEAST_ROWS", 7)
    torch.testing.assert_close(FIELDS[field](*rows), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("width", [1e-4, 1e-2, 1.0])
def test_float32_stands_small_widths_far_rows_and_equal_rows(width: float, generator: torch.Generator) -> None:
    """Finite everywhere, and within a row's spread; a far row goes to the data and not beyond."""
    x = torch.randn(50, 2, generator=generator)
    y = torch.cat([torch.randn(30, 2, generator=generator), torch.tensor([[1e3, 1e3]]), x[:5], x[:5], torch.ones(4, 2)])
    found = {
        "score-difference": mean_shift_difference(y, x, width, own=0.1),
        "mmd": mmd_field(y, x, width),
        "drift": drifting_field(y, x, (width,), own=0.1),
        "wasserstein": entropic_displacement(y, x, width),
    }
    for name, v in found.items():
        assert torch.isfinite(v).all(), name
        assert v.norm(dim=1).max() < 2e3, name
    landed = (y + found["score-difference"])[30]
    assert landed.norm() < 10.0
    alone = mean_shift_difference(y[:1], x, width)
    assert torch.isfinite(alone).all()
    assert torch.cdist(y[:1] + alone, x).min() < 1.5


def test_float32_agrees_with_float64(rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    for name, field in FIELDS.items():
        exact, single = field(y, x), field(y.float(), x.float())
        assert float((single - exact).norm() / exact.norm()) < 1e-4, name


# the entropic map


def quantiles(mean: float, deviation: float, n: int = 300) -> Tensor:
    """The n mid quantiles of a normal distribution, `(n, 1)`."""
    levels = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return mean + deviation * torch.special.ndtri(levels)[:, None]


@pytest.mark.parametrize("blur", [0.25, 0.5, 1.0, 3.0])
def test_the_entropic_map_between_gaussians(blur: float) -> None:
    """T - S = a - b + (c(A, B) - c(B, B)) (y - b)/B, c(A, B) = (sqrt(4AB + eps^2) - eps)/2, root mean square
    error .02.

    Nothing is random: what is left is that of 300 quantiles, whose variance is .6 % too small.
    """
    x, y = quantiles(2.0, 0.5), quantiles(-1.0, 1.5)
    eps, var_x, var_y = blur**2, 0.25, 2.25

    def cross(a: float, b: float) -> float:
        return (math.sqrt(4 * a * b + eps**2) - eps) / 2

    truth = 3.0 + (cross(var_x, var_y) - cross(var_y, var_y)) / var_y * (y + 1.0)
    found = entropic_displacement(y, x, blur, last=100)
    assert float((found - truth).square().mean().sqrt()) < 0.02
    if blur == 0.25:  # near the unregularised map, (1/3)(y + 1) + 2
        assert float((y + found - (2.0 + (y + 1.0) / 3.0)).square().mean().sqrt()) < 0.05


def test_the_entropic_displacement_is_the_sinkhorn_gradient(rows: tuple[Tensor, Tensor]) -> None:
    y, x = rows
    masses = [torch.full((len(r),), 1 / len(r), dtype=torch.float64) for r in (x, y)]
    solved, _ = solve(x, y, *masses, Entropic(0.4, tolerance=1e-10, iterations=2000), debiased=True)
    exact = -len(y) * solved.gradients()[1]
    torch.testing.assert_close(entropic_displacement(y, x, 0.4, last=500), exact, rtol=1e-6, atol=1e-7)
    quick = entropic_displacement(y, x, 0.4)
    assert float((quick - exact).norm() / exact.norm()) < 0.05


# widths


def test_the_fine_width_sees_so_many_neighbours(generator: torch.Generator) -> None:
    x = 3.0 * torch.randn(200, 5, generator=generator)
    found = widths(x, neighbours=6.0)
    squares = torch.cdist(x.double(), x.double()).square().fill_diagonal_(math.inf)
    k = torch.exp(-squares / (2 * found.fine**2))
    assert float((k.sum(1) ** 2 / (k**2).sum(1)).median()) == pytest.approx(6.0, rel=0.02)
    assert found.coarse == pytest.approx(3.0 * math.sqrt(5), rel=0.1)
    assert found.at(0.0) == pytest.approx(found.coarse)
    assert found.at(1.0) == pytest.approx(found.fine)
    assert found.at(0.5) == pytest.approx(math.sqrt(found.coarse * found.fine))
    scaled = widths(7.0 * x, neighbours=6.0)
    assert (scaled.coarse, scaled.fine) == pytest.approx((7 * found.coarse, 7 * found.fine), rel=2e-3)


def test_widths_refuse_what_has_none() -> None:
    with pytest.raises(InputError, match="at least 2 rows"):
        widths(torch.zeros(1, 2))
    with pytest.raises(InputError, match="all equal"):
        widths(torch.ones(10, 2))
    with pytest.raises(InputError, match="coarse to a fine"):
        Widths(1.0, 2.0)
