"""The likelihood of REAL under a kernel density of FAKE, for `compare`: an estimate, beside a real-vs-real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..comparison import Metric
from ..figures import Figure, LeftOut
from ..job import some
from .bits import LOG_LIKELIHOOD, mean_of
from .densities import fit_parzen

if TYPE_CHECKING:
    from ..job import Job

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
