"""`Monitor`: the figures that tell how a game goes, for every record of a run.

Everything that needs the data is prepared once (coordinates, clusters, what real rows give against real rows); a call
then takes two passes of the generators over the same fixed noise and one of the critic. Each figure stands beside what
the data give for themselves:

critic_auc_train                        AUC of training rows over the generator's samples
critic_auc_held, _low, _high            the same of held-out rows, with a 95 % interval
holdout_gap                             mean score of training rows less that of held-out rows
holdout_auc, holdout_z                  AUC of training over held-out rows, and its z
divergence, _low, _high                 minus the critic's loss on held-out rows: what the objective `estimates`
calibration_slope, calibration_error    of sigma(score + c), on held-out rows and samples
saturation                              share of the generator's gradient that is lost
modes                                   clusters that are large enough to be judged missing
modes_effective, _data                  effective number of clusters that samples have, and data
modes_missing, modes_missing_share      clusters that samples hardly reach, and the share of the data in them
modes_missing_raw                       the same, of the generator itself, not its average
coverage, _data                         share of real neighbourhoods that samples reach; that other real rows reach
vendi                                   Vendi score of samples over that of data
ema_gap                                 JS divergence between generator and average at the same noise, less chance
ema_distance                            rms distance between their samples, in rms deviations of the data
hopping, hopping_share                  JS divergence from the record before at the same noise, less chance; share of
                                        the noise whose sample changed cluster
modes_lost, modes_found                 clusters given up, and taken up, since the record before

What is read of `average` is what `sample` will draw; hopping and the critic's figures are the generator's itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...objectives import Objective
from ..batches import derive
from ..draw import Draw
from ..step import data_rows, emitter
from . import collapse, hopping
from . import critic as scores
from .clusters import count, enough, fit_clusters, fit_space
from .duality import DualityGap, duality_gap

if TYPE_CHECKING:
    from ..step import Generator

MANY = 4000  # samples looked at, of points and table rows
BIG, FEWER, SCORED = 256, 500, 250  # images of more numbers are dear: fewer samples, and fewer for the critic
COVERED = 1000  # rows of each side for neighbours
VENDI = 256
_CHUNK = 512


class Monitor:
    """The diagnostics of one run: `monitor(step, generator, average, critic, objective)` gives the figures.

    train, held: encoded, expanded rows `(n, *event)` on the device; `held` ones were not trained on (None leaves the
        figures out that need them).
    modes: known centres of the data's modes `(k, *event)`, encoded too; by default clusters are fitted.
    samples: how many samples are looked at (default: by the event's size).

    The networks run where they are and in the precision they are in; all else is done on the CPU. All randomness is a
    function of `seed`; only the last clusters of the fixed noise are state (`tree`, `restore`).
    """

    def __init__(
        self,
        train: Tensor,
        held: Tensor | None = None,
        *,
        seed: int = 0,
        modes: Tensor | None = None,
        samples: int | None = None,
    ) -> None:
        if len(train) < 2:
            raise InputError(f"diagnostics need at least two training rows, not {len(train)}")
        if modes is not None and modes.shape[1:] != train.shape[1:]:
            raise InputError(
                f"modes must have the rows' shape {tuple(train.shape[1:])}, not {tuple(modes.shape[1:])}; "
                "give their centres as encoded rows"
            )
        self.seed = seed
        dear = math.prod(train.shape[1:]) > (BIG if train.dim() > 2 else 2 * BIG)  # joint rows of images are flat
        self.samples = samples or (FEWER if dear else MANY)
        self.scored = min(self.samples, SCORED) if dear else self.samples
        order = torch.randperm(len(train), generator=self._rng("rows")).to(train.device)
        self.train = train[order[: self.scored]].detach()
        self.held = None if held is None or len(held) < 2 else self._some(held).detach()
        rows = train[order[: enough(math.prod(train.shape[1:]))]].detach().float().cpu()  # in random order
        self.space = fit_space(rows, seed=derive(seed, "space"))
        x = self.space(rows)
        centres = None if modes is None else self.space(modes.float().cpu())
        known = x if self.held is None else torch.cat([x, self.space(self.held.float().cpu())])
        self.clusters = fit_clusters(known, samples=self.samples, seed=derive(seed, "clusters"), centres=centres)
        self.share = self.clusters.counts / self.clusters.counts.sum()
        self.at_most = collapse.missing_at_most(self.clusters.counts, self.samples)
        self._baselines(x)
        self.step = -1
        self.last: Tensor | None = None  # the clusters of the generator's samples at that step
        self.holding = torch.zeros_like(self.at_most, dtype=torch.bool)

    def _some(self, rows: Tensor) -> Tensor:
        return rows[torch.randperm(len(rows), generator=self._rng("holdout"))[: self.scored].to(rows.device)]

    def _rng(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, "diagnostics", purpose))

    def _baselines(self, x: Tensor) -> None:
        """What real rows give against other real rows, `x` being in random order."""
        self.spread = float((x - x.mean(0)).square().sum(1).mean().sqrt()) or 1.0
        other = x[len(x) // 2 :] if self.held is None else self.space(self.held.float().cpu())
        self.size = min(COVERED, len(x) // 2, len(other))
        self.real = x[: self.size]
        self.radius = collapse.radii(self.real)
        self.covered = float(collapse.coverage(self.real, self.radius, other[: self.size]))
        self.width = collapse.bandwidth(self.real[:VENDI])
        self.vendi = float(collapse.vendi(self.real[:VENDI], self.width))
        self.effective = float(collapse.effective_number(self.clusters.counts))

    @torch.no_grad()
    def __call__(
        self,
        step: int,
        generator: nn.Module,
        average: nn.Module,
        critic: nn.Module | None = None,
        objective: Objective | None = None,
    ) -> dict[str, float]:
        """The figures at `step`: plain numbers, all finite.

        A generator whose samples are not all finite has none (the run is diverging). How it hops is told from the
        second record on, and where the steps go up.
        """
        players = cast("Generator", generator), cast("Generator", average)
        noise = players[0].noise(self.samples, generator=self._rng("noise")).to(self.train.device)
        y, mean = (_by_chunks(emitter(player), noise) for player in players)
        raw, averaged = self.space(y.float().cpu()), self.space(mean.float().cpu())
        if not bool(raw.isfinite().all() and averaged.isfinite().all()):
            return {}
        figures = self._of_critic(critic, objective, players[0], noise) if critic is not None else {}
        cluster = self.clusters.assign(raw)
        return figures | self._of_average(cluster, raw, averaged) | self._of_hops(step, cluster)

    def _of_average(self, cluster: Tensor, raw: Tensor, averaged: Tensor) -> dict[str, float]:
        """Collapse of what will be sampled, and how far it is from the generator itself."""
        k = len(self.share)
        mean_cluster = self.clusters.assign(averaged)
        counts = count(mean_cluster, k)
        missing = counts <= self.at_most
        apart, _ = hopping.moved(mean_cluster, cluster, k)
        few = averaged[: self.size]
        return {
            "modes": float((self.at_most >= 0).sum()),
            "modes_effective": float(collapse.effective_number(counts)),
            "modes_effective_data": self.effective,
            "modes_missing": float(missing.sum()),
            "modes_missing_share": float(self.share[missing].sum()),
            "modes_missing_raw": float((count(cluster, k) <= self.at_most).sum()),
            "coverage": float(collapse.coverage(self.real, self.radius, few)),
            "coverage_data": self.covered,
            "vendi": float(collapse.vendi(few[:VENDI], self.width)) / self.vendi,
            "ema_gap": float(apart),
            "ema_distance": float((raw - averaged).square().sum(1).mean().sqrt()) / self.spread,
        }

    def _of_hops(self, step: int, cluster: Tensor) -> dict[str, float]:
        """How the generator's samples moved between clusters since the last record."""
        k = len(self.share)
        self.holding, lost, found = hopping.turn_over(self.holding, count(cluster, k), self.share, self.at_most)
        before, self.last = self.last, cluster
        since, self.step = self.step, step
        if before is None or since >= step:
            return {}
        divergence, share = hopping.moved(before, cluster, k)
        return {
            "hopping": float(divergence),
            "hopping_share": float(share),
            "modes_lost": float(lost.sum()),
            "modes_found": float(found.sum()),
        }

    def _of_critic(
        self, network: nn.Module, objective: Objective | None, generator: Generator, noise: Tensor
    ) -> dict[str, float]:
        """What the critic's scores say; nothing where it does not give one finite score per row."""

        def of_data(rows: Tensor) -> Tensor:
            draw = Draw(torch.Generator(rows.device).manual_seed(derive(self.seed, "diagnostics", "data")))
            parts = (data_rows(generator, part, draw) for part in rows.split(_CHUNK))
            return torch.cat([network(part) for part in parts]).float().cpu()

        noise = noise[: self.scored]
        a, b = of_data(self.train), _by_chunks(lambda z: network(generator(z)), noise).float().cpu()
        if b.shape != (len(noise),) or not bool(a.isfinite().all() and b.isfinite().all()):
            return {}
        figures = {"critic_auc_train": scores.auc(a, b).value}
        scored = objective is not None and objective.reads == "scores"
        if scored and objective is not None:
            figures["saturation"] = scores.saturation(objective, a, b)
        if self.held is None:
            return figures
        h = of_data(self.held)
        held, (over, z) = scores.auc(h, b), scores.mann_whitney(a, h)
        slope, error = scores.calibration(h, b)
        figures |= {
            "critic_auc_held": held.value,
            "critic_auc_held_low": held.low,
            "critic_auc_held_high": held.high,
            "holdout_gap": float(a.mean() - h.mean()),
            "holdout_auc": over,
            "holdout_z": z,
            "calibration_slope": slope,
            "calibration_error": error,
        }
        if scored and objective is not None and objective.critic is not None and len(h) >= scores.GROUPS:
            found = scores.divergence(objective, h, b)
            figures |= {"divergence": found.value, "divergence_low": found.low, "divergence_high": found.high}
        return figures

    def tree(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"step": self.step, "last": self.last, "holding": self.holding}

    def restore(self, tree: dict[str, Any]) -> None:
        """Go on from `tree()`."""
        self.step, self.last, self.holding = tree["step"], tree["last"], tree["holding"]

    def duality_gap(
        self,
        generator: nn.Module,
        critic: nn.Module,
        objective: Objective,
        *,
        steps: int = 200,
        learning_rate: float = 1e-3,
        penalty: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    ) -> DualityGap:
        """The duality gap on held-out rows (see `duality.duality_gap`); it trains copies of both players."""
        if self.held is None:
            raise InputError("a duality gap is measured on rows that neither side was trained on; give a holdout")
        return duality_gap(
            generator,
            critic,
            objective,
            self.train,
            self.held,
            steps=steps,
            learning_rate=learning_rate,
            penalty=penalty,
            seed=derive(self.seed, "duality"),
        )


def _by_chunks(network: Any, rows: Tensor) -> Tensor:
    return torch.cat([network(part) for part in rows.split(_CHUNK)])
