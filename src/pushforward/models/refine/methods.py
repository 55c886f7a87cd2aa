"""The methods of refinement by name."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import InputError
from . import chains, gradient_flow, rejection, transport, weights
from .job import Method

ALWAYS = ("tune",)
CALIBRATED = ("calibration", *ALWAYS)
FLOW = (*ALWAYS, "steps", "rate", "divergence", "noise")

METHODS: Mapping[str, Method] = {
    one.name: one
    for one in (
        Method(
            "drs",
            "keeps a row with a chance that grows with how much likelier it is among data",
            "discriminator rejection sampling, Azadi et al. 2019",
            rejection.rejection,
            (*CALIBRATED, "most_tries", "percentile"),
        ),
        Method(
            "mh",
            "runs a chain for every row, whose proposals are the generator's rows and whose law becomes the data's",
            "Metropolis-Hastings GAN, Turner et al. 2019",
            chains.chains,
            (*CALIBRATED, "most_tries", "chain"),
        ),
        Method(
            "dot",
            "moves each row's noise up the critic, as far as the critic's slope pays for the way",
            "discriminator optimal transport, Tanaka 2019",
            transport.latent,
            (*ALWAYS, "steps", "rate", "lipschitz"),
            calibrated=False,
        ),
        Method(
            "dot-data",
            "as dot, moving the encoded rows themselves (of tables, their numbers)",
            "discriminator optimal transport, Tanaka 2019",
            transport.data,
            (*ALWAYS, "steps", "rate", "lipschitz"),
            calibrated=False,
        ),
        Method(
            "dgflow",
            "moves each row's noise along the gradient of the calibrated log ratio, until rows score as data do",
            "discriminator gradient flow, Ansari et al. 2021",
            gradient_flow.latent,
            FLOW,
        ),
        Method(
            "dgflow-data",
            "as dgflow, moving the encoded rows themselves (of tables, their numbers)",
            "discriminator gradient flow, Ansari et al. 2021",
            gradient_flow.data,
            FLOW,
        ),
        Method(
            "importance",
            "leaves the rows as they are and gives each a weight, by which means are taken",
            "self-normalised importance sampling, Kong 1992",
            weights.weighted,
            CALIBRATED,
            weighted=True,
        ),
        Method(
            "resample",
            "draws rows from a larger pool by their weights; good rows may come more than once",
            "sampling importance resampling, Rubin 1988",
            weights.resampled,
            (*CALIBRATED, "pool"),
        ),
    )
}


def method(name: str) -> Method:
    """The method called `name`; an unknown one raises `InputError` with the known."""
    if name not in METHODS:
        raise InputError(f"unknown refinement {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]
