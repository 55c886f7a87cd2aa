"""Testing by betting on a kernel witness (Shekhar and Ramdas 2023, "Nonparametric two-sample testing by betting").

For the pairs (x_i, y_i) of a batch, the payoff is g_i = tanh((w(x_i) - w(y_i))/s), w the kernel mean difference of the
rows of earlier batches and s a scale known before the batch. Wealth is multiplied by 1 + lambda_i g_i, lambda_i in
[0, 3/4] known before pair i.

Proof: if x_i and y_i have one distribution and are independent, swapping them changes the sign of g_i and nothing else,
so E[g_i | past] = 0 and the expected factor is 1: see `pushforward.twosample.sequential` for what follows from it.
"""

import math
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pushforward.fitters.kernel import GaussianKernel, kernel_witness, median_distance
from pushforward.twosample.method import Method
from pushforward.twosample.result import TestResult
from pushforward.twosample.sequential import Evidence, Past, batch_of, run_stream
from pushforward.witness import Witness

_FEWEST = 4  # rows a side before the first bet
_BOLDEST = 0.75  # largest share of the wealth that is staked
_BATCHES = 20


@final
class KernelBetting:
    """Bets by a Gaussian kernel's witness of the rows before, stakes by aGRAPA.

    The stake is mean/(mean^2 + variance) of the payoffs so far, with one payoff of 0 and a variance of 1 counted in,
    kept within [0, 3/4] (Waudby-Smith and Ramdas 2024, section B.3): near the growth-optimal one, and never ruinous.
    `bandwidth` is the kernel's, or None for the median distance of the remembered rows. Rows that have no partner (n
    other than m) are learned from but not bet on. `remember` rows a side are kept; a batch costs
    4 pairs remember d.
    """

    def __init__(self, *, bandwidth: float | None = None, remember: int = 2000, seed: int = 0) -> None:
        self.bandwidth = bandwidth
        self._generator = torch.Generator().manual_seed(seed)
        self._past = Past(remember), Past(remember)
        self._width: int | None = None
        self._state = Evidence()
        self._bets, self._sum, self._squares = 0, 0.0, 0.0  # of payoffs
        self._widths = (1.0, 0)  # the median distance, and of how many rows it was
        self._scale = 0.0  # of the last batch's differences

    @property
    def state(self) -> Evidence:
        """Where the test stands."""
        return self._state

    def update(self, x: Any, y: Any) -> Evidence:
        """Bet on the pairs of `x` `(n, d)` and `y` `(m, d)`, settle, and learn from all rows."""
        a, b = batch_of(x, y, self._width)
        self._width = a.shape[1]
        pairs, log_wealth = min(len(a), len(b)), self._state.log_wealth
        if pairs and min(map(len, self._past)) >= _FEWEST:
            log_wealth += self._settle(self._payoffs(a[:pairs], b[:pairs]))
        for past, rows in zip(self._past, (a, b), strict=True):
            past.add(rows)
        self._state = self._state.after(log_wealth, len(a), len(b))
        return self._state

    def _payoffs(self, x: Tensor, y: Tensor) -> list[float]:
        """tanh of the witness's differences, in units of the last batch's (of the remembered rows', at first)."""
        data, fake = (past.rows() for past in self._past)
        pooled = torch.cat([data, fake])
        if self.bandwidth is None and self._widths[1] < 0.8 * len(pooled):  # a fifth of the rows is new
            self._widths = median_distance(pooled, generator=self._generator), len(pooled)
        kernel = GaussianKernel(self.bandwidth or self._widths[0])
        witness = kernel_witness(kernel, data, fake, squared_norm=0.0)
        difference = witness.psi(x) - witness.psi(y)
        scale = self._scale or float(witness.psi(pooled[:: max(1, len(pooled) // 512)]).std())
        self._scale = float(difference.square().mean().sqrt())
        return (difference / (scale or 1.0)).tanh().tolist()

    def _settle(self, payoffs: list[float]) -> float:
        """The change of log wealth over one batch; each stake is set by the payoffs before it."""
        gained = 0.0
        for payoff in payoffs:
            mean = self._sum / (self._bets + 1)
            square = (1.0 + self._squares) / (self._bets + 1)
            stake = min(max(mean / square, 0.0), _BOLDEST)
            gained += math.log1p(stake * payoff)
            self._bets += 1
            self._sum += payoff
            self._squares += payoff * payoff
        return gained

    def witness(self) -> Witness:
        """The kernel witness of the remembered rows."""
        data, fake = (past.rows() for past in self._past)
        width = self.bandwidth or median_distance(torch.cat([data, fake]), generator=self._generator)
        return kernel_witness(GaussianKernel(width), data, fake)


def betting_test(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    permutations: int,
    generator: Generator,
    bandwidth: float | None = None,
    batches: int = _BATCHES,
) -> TestResult:
    """Kernel betting on finite sets, dealt into `batches`; `permutations` is not used."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    test = KernelBetting(bandwidth=bandwidth, seed=seed)
    return run_stream("betting", test, x, y, generator=generator, batches=batches, witness=test.witness)


METHODS = {
    "betting": Method(
        family="sequential",
        reads="the kernel witness of earlier batches; valid at any stopping time",
        convention="largest log wealth, in nats; p = 1/wealth (Ville), no permutations",
        cost="(n+m) 4000 d",
        effect="log wealth per row, in nats (no interval)",
        test=betting_test,
    ),
}
