"""Likelihoods as figures: of REAL under a kernel density of FAKE, for `compare`, which is given samples and no model;
and of rows kept out under a fitted model (`of_model`), for `contest`, which has the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from ...data.dataset import Dataset
from ...errors import InputError
from ...witness import Estimate
from ..comparison import Metric
from ..figures import Figure, LeftOut
from ..job import some
from .bits import LOG_LIKELIHOOD, NLL, Likelihood, bits_per_dim, generalisation_gap, mean_of
from .densities import fit_parzen

if TYPE_CHECKING:
    from ..job import Job

KIND_IN_WORDS = {
    "exact": "exact",
    "lower_bound": "a lower bound, so the truth is higher",
    "importance": "an importance-sampling estimate, low in expectation",
    "estimate": "an estimate",
}
MODEL_ROWS = 2_000  # of each set, whose likelihood is taken
WIDEST = 16
MOST_ROWS = 5_000
LEVEL = 0.95


def parzen(job: Job) -> list[Metric]:
    """Mean log density of REAL under FAKE's kernel density; the baseline is one real set under the other's, and all
    four sets have the same number of rows, since a kernel density of more rows is a better one."""
    width = job.space.rows["real"].shape[1]
    if width > WIDEST:
        raise LeftOut(f"a kernel density in {width} dimensions says little; give at most {WIDEST}, such as by PCA")
    if job.frame.categorical:
        name = job.frame.names[job.frame.categorical[0]]
        raise LeftOut(f"column {name!r} is a category, and categories have no density; give numeric columns only")
    (a, i), (b, k) = job.baseline[0]
    size = min(MOST_ROWS, *(len(rows) for rows in (i, k, job.data["real"], job.data["fake"])))
    pairs = [("real", job.sample("real", size, 290), "fake", job.sample("fake", size, 291))]
    rng = np.random.default_rng([job.seed, 292])
    pairs += [(a, some(i, size, rng), b, some(k, size, rng))]
    values = []
    for judged, rows, model, samples in pairs:
        x, y = (torch.from_numpy(job.space.rows[r][s]) for r, s in ((judged, rows), (model, samples)))
        density = fit_parzen(y, generator=torch.Generator().manual_seed(job.seed))
        if density.unbounded:
            raise LeftOut(f"the rows of {model} repeat values so often that they have no density; none is estimated")
        values.append(mean_of(density(x), kind="estimate", units=LOG_LIKELIHOOD, level=LEVEL).estimate)
    reads = (
        f"estimate: mean log density (nats) of real rows under a kernel density of {size:,} fakes, {job.space.reads}; "
        "interval over the real rows, given the fakes"
    )
    found, base = values
    return [Metric("parzen", "likelihood", found.value, found.low, found.high, base.value, "higher", reads)]


@final
@dataclass(frozen=True)
class Held:
    """How probable a model finds rows that it never saw.

    `likelihood`: nats of log-likelihood a row (more is better), or of images bits per dimension (less is better), with
    the kind that says which way it errs; `gap`: nats by which training rows fare better (0: nothing is remembered).
    """

    likelihood: Likelihood
    gap: Estimate

    def metrics(self) -> list[Metric]:
        """For a comparison."""
        e, gap, bits = self.likelihood.estimate, self.gap, self.likelihood.units != LOG_LIKELIHOOD
        told = f"of {self.likelihood.rows:,} rows that the model never saw, {KIND_IN_WORDS[self.likelihood.kind]}"
        name, way, unit = ("log_likelihood", "higher", "nats")
        if bits:
            name, way, unit = ("bits_per_dim", "lower", "bits per dimension")
        return [
            Metric(name, "likelihood", e.value, e.low, e.high, None, way, f"mean log-likelihood in {unit} {told}"),
            Metric(
                "likelihood_gap", "likelihood", gap.value, gap.low, gap.high, 0.0, "baseline",
                "nats of log-likelihood by which training rows fare better than rows the model never saw; above 0 it "
                "remembers rows",
            ),
        ]  # fmt: skip


def of_model(model: Any, *, train: Dataset, holdout: Dataset, seed: int = 0) -> Held:
    """The likelihood of `holdout` under a fitted `model`, and by how much that of its `train` rows is higher.

    Images: bits per dimension of the discrete picture, -log2 P / d. Raises `LeftOut` for a model without
    `log_prob`, and where it rules rows out, for then the mean is infinite and says nothing of the other rows.
    """
    if not hasattr(model, "log_prob"):
        raise LeftOut(f"{type(model).__name__} has no likelihood")
    rng = np.random.default_rng([seed, 293])
    values = {}
    for what, rows in (("training rows", train), ("rows kept out", holdout)):
        index = some(np.arange(len(rows)), MODEL_ROWS, rng)
        try:
            found = model.log_prob(rows.take(torch.from_numpy(index)))
        except InputError as error:
            raise LeftOut(str(error)) from error
        ruled_out = float(torch.isinf(found).double().mean())
        if ruled_out > 0:
            rest = float(found[torch.isfinite(found)].mean()) if ruled_out < 1 else float("nan")
            raise LeftOut(
                f"{ruled_out:.1%} of {len(index):,} {what} are impossible under the model, so that the mean is minus "
                f"infinity; over the others it is {rest:.4g} nats"
            )
        values[what] = found.double()
    kind, held = model.likelihood, values["rows kept out"]
    gap = generalisation_gap(_itself, train=values["training rows"], holdout=held, level=LEVEL)
    if holdout.kind != "images":
        return Held(mean_of(held, kind=kind, units=LOG_LIKELIHOOD, level=LEVEL), gap)
    nll = mean_of(-held, kind=kind, units=NLL, level=LEVEL)
    dims = int(np.prod(holdout.values.shape[1:]))
    return Held(bits_per_dim(nll, dims, bins=1), gap)  # of whole shades already


def _itself(log_densities: torch.Tensor) -> torch.Tensor:
    return log_densities


FIGURES: tuple[Figure, ...] = (
    Figure(
        name="parzen",
        group="likelihood",
        compute=parzen,
        reads="log density of real rows under a kernel density of the fakes: an estimate, low dimensions only",
        source="Parzen 1962; Theis, van den Oord and Bethge 2016 on its limits",
        suites=("full",),
        kinds=("points", "table"),
    ),
)
