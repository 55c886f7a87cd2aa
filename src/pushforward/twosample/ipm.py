"""Integral probability metrics: the largest difference of means over a class of functions (Mueller 1997).

    IPM(P, Q) = sup over f in the class of |E_P f - E_Q f|

- `ipm`: over k given functions, by counting; every function gets its own p-value, adjusted for the others by the
  permutation distribution of the maximum (Westfall and Young 1993, single step);
- `dudley`: |f|_inf + Lip(f) <= 1, exactly (`pushforward.twosample.transport_dudley`);
- `lipschitz-critic`: 1-Lipschitz functions, by a neural critic trained on half of the rows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.fitters.lipschitz import LipschitzCriticFitter
from pushforward.readings.estimate import estimate
from pushforward.readings.significance import Gap, draw_members, permutation_pvalue
from pushforward.twosample import transport_dudley
from pushforward.twosample.method import Method
from pushforward.twosample.result import Part, TestResult
from pushforward.twosample.running import run_permutations
from pushforward.witness import Estimate, Fitter, Statistic, Tag, Witness

Functions: TypeAlias = Callable[[Tensor], Tensor] | Sequence[Callable[[Tensor], Tensor]]
"""One function `(n, d) -> (n, k)` or `(n,)`, or a sequence of functions `(n, d) -> (n,)`; each row on its own."""

_FEWEST_TRAINED = 8  # rows a side


@final
@dataclass(frozen=True, eq=False)
class IpmStatistic:
    """max_j |mean f_j(x) - mean f_j(y)|; with `standardised`, each over the pooled standard deviation of f_j.

    Without `functions` the class is every column and its square, columns centred and scaled by the pooled rows.
    """

    functions: Functions | None = None
    standardised: bool = False

    def __call__(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """The maximum, in float64; differentiable where the functions are."""
        values = self.values(x, y)
        return (values[: len(x)].mean(0) - values[len(x) :].mean(0)).abs().amax()

    def with_null(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], members: Bool[Tensor, "N B"]
    ) -> tuple[Tensor, Tensor]:
        """The maximum and its values under each column of `members`, by one matrix product."""
        values = self.values(x, y)
        return contrasts(values, len(x)).abs().amax(), contrasts(values, len(x), members).abs().amax(1)

    def values(self, x: Tensor, y: Tensor) -> Float[Tensor, "N k"]:
        """The functions at the pooled rows, in float64, over their standard deviations if asked."""
        values = evaluate(self.function_class(x, y), torch.cat([x, y])).double()
        return values / scales(values) if self.standardised else values

    def best(self, x: Tensor, y: Tensor) -> Witness:
        """The function with the largest difference, with its sign, as a witness."""
        functions, n = self.function_class(x, y), len(x)
        values = evaluate(functions, torch.cat([x, y])).double()
        scale = scales(values) if self.standardised else values.new_ones(values.shape[1])
        difference = contrasts(values / scale, n)[0]
        j = int(difference.abs().argmax())
        factor = float(torch.sign(difference[j]) / scale[j])

        def score(rows: Tensor) -> Tensor:
            flat = rows.flatten(1)
            return evaluate(functions, flat if flat.is_floating_point() else flat.double())[:, j] * factor

        with torch.enable_grad():
            smooth = score(x[:2].detach().requires_grad_()).requires_grad
        tags: tuple[Tag, ...] = ("certified", "tight", "differentiable") if smooth else ("certified", "tight")
        return Witness(phi=score, psi=score, tags=frozenset(tags))

    def estimate(self, x: Tensor, y: Tensor, level: float) -> Estimate:
        """The maximum with its interval: see `ipm_distance`."""
        values = self.values(x, y)
        n, m, k = len(x), len(y), values.shape[1]
        size = contrasts(values, n)[0].abs()
        stderr = (values[:n].var(0) / n + values[n:].var(0) / m).sqrt()
        z = Estimate.normal(0.0, 1.0, 1.0 - (1.0 - level) / k).high  # Bonferroni: all k intervals hold at once
        j = int(size.argmax())
        low, high = float((size - z * stderr).amax()), float((size + z * stderr).amax())
        return Estimate(float(size[j]), float(stderr[j]), max(0.0, low), high, level)

    def function_class(self, x: Tensor, y: Tensor) -> Functions:
        """The functions given, or the default ones of these pooled rows."""
        if self.functions is not None:
            return self.functions
        pooled = torch.cat([x, y]).detach()
        centre, spread = pooled.mean(0), pooled.std(0)
        return _Columns(centre, torch.where(spread > 0.0, spread, 1.0))


@final
@dataclass(frozen=True, eq=False)
class _Columns:
    """Standardised columns and their squares: `(n, d) -> (n, 2 d)`."""

    centre: Tensor
    scale: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """The values."""
        t = (rows - self.centre.to(rows)) / self.scale.to(rows)
        return torch.cat([t, t * t], 1)

    @property
    def names(self) -> list[str]:
        """One for each function."""
        d = len(self.centre)
        return [f"column {j}" for j in range(d)] + [f"column {j} squared" for j in range(d)]


def contrasts(values: Float[Tensor, "N k"], n: int, members: Bool[Tensor, "N B"] | None = None) -> Float[Tensor, "B k"]:
    """mean f(x) - mean f(y) for each function, for the first `n` rows as x or for each relabelling."""
    m = len(values) - n
    centred = values - values.mean(0)  # a constant in f changes nothing; what is rounded is the fluctuation alone
    sums = centred[:n].sum(0, keepdim=True) if members is None else members.T.to(centred) @ centred
    return sums * (1.0 / n + 1.0 / m)  # the centred values of x and of y add up to 0


def scales(values: Float[Tensor, "N k"]) -> Float[Tensor, " k"]:
    """The pooled standard deviation of each function, 1 where it is constant (which looks at no label)."""
    spread = values.detach().std(0)
    return torch.where(spread > 1e-12 * values.detach().abs().amax(0), spread, 1.0)


def evaluate(functions: Functions, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    """The functions at the rows. `InputError`, naming the function, for a wrong shape and for values not finite."""
    if isinstance(functions, Sequence):
        if not functions:
            raise InputError("an IPM needs at least one function; functions is empty")
        columns = [torch.as_tensor(function(rows)) for function in functions]
        for name, column in zip(names(functions, len(columns)), columns, strict=True):
            if column.shape != (len(rows),):
                raise InputError(f"{name} must give one value for each row, not shape {tuple(column.shape)}")
        values = torch.stack([column.to(rows) for column in columns], 1)
    else:
        values = torch.as_tensor(functions(rows)).to(rows)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(rows) or values.shape[1] == 0:
            raise InputError(f"the function must give (n, k) values for n rows, not shape {tuple(values.shape)}")
    bad = ~torch.isfinite(values).all(0)
    if bool(bad.any()):
        name = names(functions, values.shape[1])[int(bad.nonzero()[0])]
        raise InputError(f"{name} is not finite at some row; clip it, or leave it out")
    return values


def names(functions: Functions, count: int) -> list[str]:
    """A name for each function: its own, or its number."""
    if isinstance(functions, _Columns):
        return functions.names
    if not isinstance(functions, Sequence):
        return [f"function {j}" for j in range(count)]
    own = [getattr(function, "__name__", "<lambda>") for function in functions]
    return [f"function {j}" if name == "<lambda>" else name for j, name in enumerate(own)]


def ipm_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    functions: Functions | None = None,
    standardised: bool = False,
) -> TestResult:
    """Test by the largest difference of means over `functions` (default: standardised columns and their squares).

    `parts` holds one entry a function, largest first: its |difference|, its own p-value, and the one adjusted for all
    of them. The functions must not have been chosen by looking at which row is whose. Cost: N k B.
    """
    started = time.perf_counter()
    statistic = IpmStatistic(functions, standardised)
    members = draw_members(len(x), len(y), permutations, generator=generator).to(x.device)
    with torch.no_grad():
        values = statistic.values(x, y)
        size, null = contrasts(values, len(x))[0].abs(), contrasts(values, len(x), members).abs()
        worst = null.amax(1)
        labels = names(statistic.function_class(x, y), len(size))
    parts = [
        Part(label, float(t), permutation_pvalue(float(t), null[:, j]), permutation_pvalue(float(t), worst))
        for j, (label, t) in enumerate(zip(labels, size, strict=True))
    ]
    tested = time.perf_counter()
    effect, witness = statistic.estimate(x, y, 0.95), statistic.best(x, y)
    ended = time.perf_counter()
    return TestResult(
        method="ipm",
        statistic=float(size.amax()),
        pvalue=permutation_pvalue(float(size.amax()), worst),
        null=worst,
        effect=effect,
        n_x=len(x),
        n_y=len(y),
        permutations=permutations,
        witness=witness,
        seconds=ended - started,
        parts=tuple(sorted(parts, key=lambda part: -part.statistic)),
        timings={"test": tested - started, "effect": ended - tested},
    )


def ipm_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    functions: Functions | None = None,
    standardised: bool = False,
) -> Estimate:
    """The largest difference of means, and an interval for the largest difference of the two distributions themselves.

    The k normal intervals hold at once (Bonferroni), so their largest low and high ends bound the maximum; the value
    exceeds it in expectation. `stderr` is the best function's. Nothing is random, `generator` is not used.
    """
    return IpmStatistic(functions, standardised).estimate(x, y, level)


def ipm_statistic(functions: Functions | None = None, standardised: bool = False) -> Statistic:
    """The largest difference of means as a loss; centres and scales are constants."""
    return IpmStatistic(functions, standardised)


def lipschitz_critic_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    fitter: Fitter | None = None,
    train: float = 0.5,
) -> TestResult:
    """Test by the held-out gap of a Lipschitz critic trained on a share `train` of each side.

    On rows that the critic never saw, relabelling is exact whatever it learned. The effect is the held-out gap, an
    uncertified estimate of W_1 (usually from below), with its normal interval.
    """
    started = time.perf_counter()
    (fit_x, test_x), (fit_y, test_y) = _halves(x, train, generator), _halves(y, train, generator)
    witness = (fitter or LipschitzCriticFitter())(fit_x, fit_y, generator=generator)
    fitted = time.perf_counter()
    result = run_permutations(
        "lipschitz-critic",
        Gap(witness),
        test_x,
        test_y,
        permutations=permutations,
        generator=generator,
        effect=lambda: estimate(witness, test_x, test_y),
        witness=lambda: witness,
    )
    seconds = time.perf_counter() - started
    return replace(result, n_x=len(x), n_y=len(y), seconds=seconds, timings={"fit": fitted - started, **result.timings})


def lipschitz_critic_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    generator: Generator,
    level: float = 0.95,
    fitter: Fitter | None = None,
    train: float = 0.5,
) -> Estimate:
    """The held-out gap of a Lipschitz critic, an uncertified estimate of W_1, centred on this critic's expected gap."""
    (fit_x, test_x), (fit_y, test_y) = _halves(x, train, generator), _halves(y, train, generator)
    witness = (fitter or LipschitzCriticFitter())(fit_x, fit_y, generator=generator)
    return estimate(witness, test_x, test_y, level=level)


def _halves(rows: Tensor, train: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random share `train` of the rows, and the rest."""
    if not 0.0 < train < 1.0:
        raise InputError(f"the share to train on must lie between 0 and 1, not {train}")
    count = round(train * len(rows))
    if count < _FEWEST_TRAINED or len(rows) - count < 2:
        raise InputError(f"{len(rows)} rows are too few to train on a share {train:g} and test on the rest")
    order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
    return rows[order[:count]], rows[order[count:]]


METHODS = {
    "ipm": Method(
        family="moments",
        reads="the means of given functions (default: columns and squares), each with an adjusted p-value",
        convention="max_j |mean f_j(x) - mean f_j(y)|, over the pooled deviation if standardised",
        cost="(n+m) k B",
        effect="largest |difference of means|, in the function's units",
        assumes="functions chosen without looking at the labels",
        test=ipm_test,
        distance=ipm_distance,
        statistic=ipm_statistic,
    ),
    **transport_dudley.METHODS,
    "lipschitz-critic": Method(
        family="critics",
        reads="held-out gap of a critic of slope about 1: what a network can learn, in many dimensions",
        convention="held-out gap of a gradient-penalised critic: an uncertified estimate of W_1",
        cost="one training on half the rows",
        effect="held-out gap, in the data's units (W_1, uncertified)",
        assumes="finite means",
        test=lipschitz_critic_test,
        distance=lipschitz_critic_distance,
        at_least=16,
    ),
}
