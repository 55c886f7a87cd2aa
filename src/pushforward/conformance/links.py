"""What any `Link` and any `Objective` must pass; each check raises `AssertionError` with the place where it fails.

    from pushforward.conformance import check_link
    check_link(my_link)

No check is statistical: expectations are quadratures between two Gaussians on a line, P = N(0, 1) and Q = N(.5, 1.2^2),
whose chi-squared distances are finite both ways.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.objectives import Objective
from pushforward.witness import Link

_GRID = torch.linspace(-24.0, 24.0, 20001, dtype=torch.float64)
_MEAN, _DEVIATION = 0.5, 1.2


def check_link(link: Link) -> None:
    """Every check below that the link's tags call for."""
    check_orientation(link)
    check_finite(link)
    if "certified" in link.tags:
        check_minorant(link)
        check_tight(link)
    if "log_ratio" in link.tags:
        check_law(link)
        if "differentiable" in link.tags:
            check_frozen_gradient(link)


def check_law(link: Link) -> None:
    """psi'(v) = e^v phi'(v) for v in [-6, 6] (a kink at 0 is stepped over)."""
    v = torch.linspace(-6.0, 6.0, 240, dtype=torch.float64)
    left, right = _slope(link.psi, v), v.exp() * _slope(link.phi, v)
    _close(left, right, v, f"{link.name}: psi'(v) = e^v phi'(v) fails")


def check_minorant(link: Link) -> None:
    """u phi(v) - psi(v) <= f(u) for every ratio u > 0 and every score v, right or wrong.

    Integrated against Q this is D_f >= E_P phi - E_Q psi. f is the link's own, or what its score implies.
    """
    u = torch.linspace(-5.0, 5.0, 101, dtype=torch.float64).exp()
    v = torch.linspace(-12.0, 12.0, 481, dtype=torch.float64)
    bound = u[:, None] * link.phi(v) - link.psi(v)
    f = _f(link, u)
    slack = f[:, None] - bound
    worst = int((slack / (1.0 + bound.abs())).min(1).values.argmin())
    assert bool((slack >= -1e-9 * (1.0 + bound.abs())).all()), (
        f"{link.name}: not a minorant at density ratio {float(u[worst]):.3g}: "
        f"the best score gives {float(bound[worst].max()):.6g}, above f = {float(f[worst]):.6g}"
    )


def check_tight(link: Link) -> None:
    """sup_v u phi(v) - psi(v) = f(u); a link of the log ratio attains it at v = ln u."""
    u = torch.linspace(-2.4, 2.4, 61, dtype=torch.float64).exp()
    f = _f(link, u)
    if "log_ratio" in link.tags:
        attained = u * link.phi(u.log()) - link.psi(u.log())
        _close(attained, f, u.log(), f"{link.name}: not tight at the log ratio")
        return
    v = torch.linspace(-25.0, 25.0, 20001, dtype=torch.float64)
    best = torch.stack([(ratio * link.phi(v) - link.psi(v)).max() for ratio in u])
    _close(best, f, u.log(), f"{link.name}: no score attains f", tolerance=1e-5)


def check_orientation(link: Link) -> None:
    """phi and psi rise with the score: x is data, and the score is high where the data exceed the model."""
    v = torch.linspace(-8.0, 8.0, 321, dtype=torch.float64)
    for half, values in (("phi", link.phi(v)), ("psi", link.psi(v))):
        assert values.shape == v.shape, f"{link.name}: {half} must be elementwise"
        falls = values.diff() < -1e-12
        assert not bool(falls.any()), f"{link.name}: {half} falls at v = {float(v[:-1][falls][0]):.3g}"
        assert float(values[-1] - values[0]) > 0.0, f"{link.name}: {half} is constant"


def check_finite(link: Link) -> None:
    """Values and gradients are finite for scores up to +-10^4 in float32."""
    v = torch.tensor([-1e4, -500.0, -90.0, -1.0, 0.0, 1.0, 90.0, 500.0, 1e4], requires_grad=True)
    for half, function in (("phi", link.phi), ("psi", link.psi)):
        values = function(v)
        (slope,) = torch.autograd.grad(values.sum(), v)
        assert bool(torch.isfinite(values).all()), f"{link.name}: {half} overflows in float32"
        assert bool(torch.isfinite(slope).all()), f"{link.name}: the gradient of {half} overflows in float32"


def check_frozen_gradient(link: Link) -> None:
    """d/dmu D(P, Q_mu) equals the gradient of -E psi through the samples with the witness held fixed (Danskin).

    The left side is a finite difference of the divergence, the witness refitted at each mu; the right side is what
    trains a generator.
    """
    step = 1e-4
    change = (_divergence(link, _MEAN + step) - _divergence(link, _MEAN - step)) / (2.0 * step)
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    psi = link.psi(_log_ratio(_GRID + shift, _MEAN))
    (frozen,) = torch.autograd.grad(-torch.trapezoid(_density(_GRID, _MEAN, _DEVIATION) * psi, _GRID), shift)
    message = f"{link.name}: the gradient with the witness frozen is not that of the divergence"
    _close(frozen[None], change[None], torch.tensor([_MEAN]), message, tolerance=1e-5)


def check_objective(objective: Objective) -> None:
    """Shapes, who gains from what, and what the loss may depend on.

    Scores: the critic is paid for a up and b down, the generator for b up. Embeddings, features and data: the generator
    is paid for moving its rows to the data's, the critic of an embedding for moving them apart. A loss that is not
    `joint` treats each row on its own, a joint one does not mind their order; a matters to paired losses only.
    """
    name, reads = objective.name, objective.reads
    assert (objective.critic is None) == (reads == "data"), f"{name}: reads {reads}, so the critic says otherwise"
    a, b = _rows((4,)), _rows((4,)).flip(0) - (0.5 if objective.joint else 0.0)
    far_a, far_b = _rows((4, max(2, objective.outputs))), _rows((4, max(2, objective.outputs))).flip(0) + 1.0
    nearer = far_a.mean(0) - far_b.mean(0)
    if objective.critic is not None:
        if reads == "embedding":
            _, push = _gain(objective, "critic", objective.critic, far_a, far_b)
            assert float(push.sum(0) @ nearer) > 0, f"{name}: the critic must gain from rows farther apart"
        else:
            up, down = _gain(objective, "critic", objective.critic, a, b)
            assert _falls(objective, up), f"{name}: the critic must gain from a higher score of data"
            assert _falls(objective, -down), f"{name}: the critic must gain from a lower score of the model"
    if reads == "scores":
        _, pull = _gain(objective, "generator", objective.generator, a, b)
        assert _falls(objective, pull), f"{name}: the generator must gain from a higher score of its samples"
    else:
        _, pull = _gain(objective, "generator", objective.generator, far_a, far_b)
        assert float(pull.sum(0) @ nearer) < 0, f"{name}: the generator must gain from rows nearer to the data's"


def _rows(shape: tuple[int, ...]) -> Tensor:
    """Numbers around .2, in no order."""
    return 0.2 + 0.25 * torch.sin(7.0 * torch.arange(1.0, math.prod(shape) + 1.0, dtype=torch.float64)).reshape(shape)


def _falls(objective: Objective, slope: Tensor) -> bool:
    """Whether every row's loss falls; of a joint loss, the loss when all scores rise by as much."""
    return bool((slope.sum() if objective.joint else slope).lt(0.0).all())


def _gain(
    objective: Objective, player: str, loss: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss's slopes in a and b, its shape and dependence checked on the way."""
    name = objective.name
    a, b = a.detach().requires_grad_(), b.detach().requires_grad_()
    value = loss(a, b)
    expected = "one value per sample" + (", or one for the batch" if objective.joint else "")
    fits = value.shape == a.shape[:1] or (objective.joint and value.dim() == 0)
    assert fits, f"{name}: the {player}'s loss must be {expected}"
    slope_a, slope_b = torch.autograd.grad(value.sum(), (a, b), allow_unused=True)
    reads_a = slope_a is not None and bool((slope_a != 0).any())
    if player == "generator":
        said = f"{name}: paired={objective.paired}, but the generator's loss says otherwise"
        assert reads_a == objective.paired, said
    order = torch.tensor([2, 0, 3, 1])
    if objective.joint:
        same = torch.allclose(value.mean(), loss(a[order], b[order]).mean())
        assert same, f"{name}: a loss must not depend on the order of the rows"
    else:
        alone = torch.cat([loss(a[i : i + 1], b[i : i + 1]) for i in range(len(a))])
        assert torch.allclose(value, alone), f"{name}: a loss must treat each sample on its own"
    zero = torch.zeros_like
    return zero(a) if slope_a is None else slope_a, zero(b) if slope_b is None else slope_b


def _f(link: Link, u: Tensor) -> Tensor:
    return link.f(u) if link.f is not None else u * link.phi(u.log()) - link.psi(u.log())


def _slope(function: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
    """The derivative by central differences at two step sizes (Richardson): no autograd needed, error about 1e-11."""

    def central(h: float) -> Tensor:
        return (function(v + h) - function(v - h)) / (2.0 * h)

    return (4.0 * central(5e-4) - central(1e-3)) / 3.0


def _density(t: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.exp(-0.5 * ((t - mean) / deviation) ** 2) / (deviation * math.sqrt(2.0 * math.pi))


def _log_ratio(t: Tensor, mean: float) -> Tensor:
    scaled = (t - mean) / _DEVIATION
    return 0.5 * scaled**2 - 0.5 * t**2 + math.log(_DEVIATION)


def _divergence(link: Link, mean: float) -> Tensor:
    """E_P phi - E_Q psi at the tight score, by quadrature."""
    v = _log_ratio(_GRID, mean)
    p, q = _density(_GRID, 0.0, 1.0), _density(_GRID, mean, _DEVIATION)
    return torch.trapezoid(p * link.phi(v) - q * link.psi(v), _GRID)


def _close(left: Tensor, right: Tensor, at: Tensor, message: str, *, tolerance: float = 1e-7) -> None:
    error = (left - right).abs() / (1.0 + right.abs())
    worst = int(error.argmax())
    assert float(error[worst]) <= tolerance, (
        f"{message} at {float(at[worst]):.4g}: {float(left[worst]):.8g} against {float(right[worst]):.8g}"
    )
