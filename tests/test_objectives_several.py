"""Several objectives: directions in closed form, the concave front that weighting cannot reach, hypervolumes."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from pushforward.errors import InputError
from pushforward.objectives import several


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fonseca(x: Tensor) -> Tensor:
    """f = 1 - exp(-sum (x_i -+ 1/sqrt n)^2); its front is x_i = t / sqrt n, |t| <= 1, and concave."""
    c = 1 / math.sqrt(len(x))
    return torch.stack([1 - torch.exp(-(x - c).square().sum()), 1 - torch.exp(-(x + c).square().sum())])


@pytest.mark.parametrize("seed", range(20))
def test_two_gradients_in_closed_form(seed: int) -> None:
    g = torch.randn(2, 5, generator=rng(seed), dtype=torch.float64)
    if seed % 4 == 0:
        g[1] = 3 * g[0] + 0.1 * g[1]  # one inside the other's shadow: an end of the hull
    share = float((((g[1] - g[0]) @ g[1]) / (g[0] - g[1]).square().sum()).clamp(0, 1))
    torch.testing.assert_close(several.least_norm(g @ g.T), torch.tensor([share, 1 - share], dtype=torch.float64))


@pytest.mark.parametrize("k", [3, 5, 8])
def test_the_shortest_vector_of_a_hull(k: int) -> None:
    """Against a general solver, and by its optimality: <g_i, x> >= |x|^2 for all i, with equality where a_i > 0."""
    for seed in range(10):
        g = torch.randn(k, 4, generator=rng(seed), dtype=torch.float64) + 0.8
        gram = g @ g.T
        a = several.least_norm(gram)
        assert float(a.min()) >= 0
        assert float(a.sum()) == pytest.approx(1)
        along, size = gram @ a, float(a @ gram @ a)
        assert float(along.min()) >= size - 1e-9
        assert float((a * (along - size)).abs().max()) < 1e-9
        peer = minimize(
            lambda w, m: w @ m @ w,
            np.full(k, 1 / k),
            args=(gram.numpy(),),
            bounds=[(0, 1)] * k,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert size <= peer.fun + 1e-8


def test_equal_and_vanishing_gradients() -> None:
    torch.testing.assert_close(several.least_norm(torch.ones(3, 3)).sum(), torch.tensor(1.0, dtype=torch.float64))
    a = several.least_norm(torch.diag(torch.tensor([1.0, 0.0])))
    torch.testing.assert_close(a, torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("how", ["weighted", "tchebycheff", "smooth-tchebycheff", "mgda"])
def test_the_gradient_is_that_of_what_is_said(how: str) -> None:
    x = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([0.7, 0.3], dtype=torch.float64)
    rows = torch.stack([torch.autograd.grad(fonseca(x)[i], x)[0] for i in range(2)])
    (found,) = torch.autograd.grad(several.combined(fonseca(x), [x], how, preference=w), x)
    f = fonseca(x).detach()
    share = {
        "weighted": w,
        "tchebycheff": w * (w * f == (w * f).max()),
        "smooth-tchebycheff": w * torch.softmax(w * f / 0.01, 0),
        "mgda": w * several.least_norm((w[:, None] * rows) @ (w[:, None] * rows).T),
    }[how]
    torch.testing.assert_close(found, share @ rows)
    if how == "mgda":
        assert bool((rows @ found > 0).all())  # against it, both losses fall


def test_the_smooth_maximum_is_near_the_maximum() -> None:
    f, w = torch.tensor([0.2, 0.9, 0.4]), torch.tensor([1.0, 0.5, 2.0])
    for mu in (1.0, 0.1, 0.001):
        gap = float(several.smooth_tchebycheff(f, w, mu=mu) - several.tchebycheff(f, w))
        assert -1e-6 <= gap <= mu * math.log(3) + 1e-6


def test_weights_stick_to_the_ends_of_a_concave_front_and_others_do_not() -> None:
    """Weighted sums end at |t| >= .95; the smooth maximum spreads over the front, at (.622, .642) for nearly even
    preferences, and mgda stays where it first meets the front."""
    starts = 0.1 * torch.randn(9, 2, generator=rng(1), dtype=torch.float64)
    front = several.pareto(fonseca, starts, "weighted", steps=600)
    t = front.points.sum(1) / math.sqrt(2)
    assert float(t.abs().min()) > 0.95
    spread = several.pareto(fonseca, starts, steps=600)
    assert not bool(spread.dominated.any())
    middle = spread.losses[4]
    torch.testing.assert_close(middle, torch.full_like(middle, 1 - math.exp(-1)), rtol=0, atol=0.01)
    truth = 1 - torch.exp(-torch.stack([t, -t], 1).sub(1).square())
    assert spread.hypervolume([1.0, 1.0]) > front.hypervolume([1.0, 1.0]) + 0.1
    assert truth.shape == (9, 2)
    far = torch.tensor([[0.9, -0.4]], dtype=torch.float64)
    met = several.pareto(fonseca, far, "mgda", preferences=torch.ones(1, 2), steps=600)
    place = float(met.points.sum() / math.sqrt(2))
    assert abs(place) < 0.6
    assert abs(float(met.points[0, 0] - met.points[0, 1])) < 0.02  # on the front


def test_uneven_preferences_of_the_smooth_maximum() -> None:
    """mu = .01 and preferences (.507, .493) give the losses (.622, .642)."""
    start = torch.tensor([[0.1, 0.2]], dtype=torch.float64)
    w = torch.tensor([[0.642, 0.622]], dtype=torch.float64)
    found = several.pareto(fonseca, start, preferences=w / w.sum(), steps=800).losses[0]
    torch.testing.assert_close(found, torch.tensor([0.622, 0.642], dtype=torch.float64), rtol=0, atol=2e-3)


def test_hypervolumes() -> None:
    t = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    front = torch.stack([1 - torch.exp(-((t - 1) ** 2)), 1 - torch.exp(-((t + 1) ** 2))], 1)
    assert several.hypervolume(front, [1.0, 1.0]) == pytest.approx(0.3421, abs=2e-4)
    angle = torch.linspace(0, math.pi / 2, 20_001, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    assert several.hypervolume(circle, [1.0, 1.0]) == pytest.approx(1 - math.pi / 4, abs=2e-4)
    assert several.hypervolume(torch.tensor([[2.0, 0.5]]), [1.0, 1.0]) == 0
    boxes = torch.tensor([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.6, 0.6, 0.6]])
    rows = torch.rand(200_000, 3, generator=rng(), dtype=torch.float64)
    inside = (rows[:, None] >= boxes[None]).all(2).any(1).double().mean()  # 6 standard errors
    assert several.hypervolume(boxes, [1.0, 1.0, 1.0]) == pytest.approx(float(inside), abs=6 * 0.5 / math.sqrt(200_000))


def test_domination() -> None:
    points = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    assert several.dominated(points).tolist() == [False, False, True, False, False]


def test_torchjds_aggregators() -> None:
    pytest.importorskip("torchjd")
    x = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    rows = torch.stack([torch.autograd.grad(fonseca(x)[i], x)[0] for i in range(2)])
    (mean,) = torch.autograd.grad(several.combined(fonseca(x), [x], "mean"), x)
    torch.testing.assert_close(mean, rows.mean(0) / 2)
    with pytest.raises(InputError, match="unknown way 'best'"):
        several.combined(fonseca(x), [x], "best")


def test_what_cannot_be_used() -> None:
    x = torch.zeros(2, requires_grad=True)
    with pytest.raises(InputError, match="2 positive weights"):
        several.combined(fonseca(x), [x], preference=torch.tensor([1.0, 0.0]))
    with pytest.raises(InputError, match="one for each"):
        several.pareto(fonseca, torch.zeros(3, 2), preferences=torch.ones(2, 2))
    with pytest.raises(InputError, match="reference of 3"):
        several.hypervolume(torch.zeros(4, 2), [1.0, 1.0, 1.0])
