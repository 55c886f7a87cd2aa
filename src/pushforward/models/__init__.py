"""Estimators: `fit`, `sample`, `save`, `load`. One file per family."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autoencoders import VAE, VQVAE, WAE, Autoencoder
    from .autoregressive import MADE
    from .bigan import BiGAN
    from .choosing import Auto
    from .classical import KDE, PPCA, Bootstrap, Copula, Gaussian, Independent, Mixture, Trees
    from .contrastive import CLIP, SimCLR
    from .cyclegan import CycleGAN
    from .diffusion import Diffusion, Distilled, FlowMatching, Guided, distill, guide
    from .folder import describe_run
    from .gan import GAN
    from .imputing import Imputer
    from .infogan import InfoGAN
    from .maps import InverseTransform, Pushforward
    from .normalising import Flow
    from .paired import Pix2Pix
    from .semi_supervised import SemiSupervised
    from .several import trade_off
    from .velocity import Drifting, ScoreDifference

__all__ = [
    "CLIP",
    "GAN",
    "KDE",
    "MADE",
    "PPCA",
    "VAE",
    "VQVAE",
    "WAE",
    "Auto",
    "Autoencoder",
    "BiGAN",
    "Bootstrap",
    "Copula",
    "CycleGAN",
    "Diffusion",
    "Distilled",
    "Drifting",
    "Flow",
    "FlowMatching",
    "Gaussian",
    "Guided",
    "Imputer",
    "Independent",
    "InfoGAN",
    "InverseTransform",
    "Mixture",
    "Pix2Pix",
    "Pushforward",
    "ScoreDifference",
    "SemiSupervised",
    "SimCLR",
    "Trees",
    "describe_run",
    "distill",
    "guide",
    "load",
    "trade_off",
]

CLASSES = {  # and the file of each
    "Auto": "choosing",
    "GAN": "gan",
    "ScoreDifference": "velocity",
    "Drifting": "velocity",
    "BiGAN": "bigan",
    "InfoGAN": "infogan",
    "CycleGAN": "cyclegan",
    "Pix2Pix": "paired",
    "SemiSupervised": "semi_supervised",
    "Imputer": "imputing",
    **dict.fromkeys(("Autoencoder", "VAE", "WAE", "VQVAE"), "autoencoders"),
    "Flow": "normalising",
    "MADE": "autoregressive",
    **dict.fromkeys(("Diffusion", "FlowMatching", "Guided", "Distilled"), "diffusion"),
    **dict.fromkeys(("SimCLR", "CLIP"), "contrastive"),
    **dict.fromkeys(("Gaussian", "PPCA", "Mixture", "KDE", "Independent", "Copula", "Trees", "Bootstrap"), "classical"),
}

ALSO = {  # what no folder holds, and the file of each
    "Pushforward": "maps",
    "InverseTransform": "maps",
    "guide": "diffusion",
    "distill": "diffusion",
    "trade_off": "several",
}

NAMES = {  # of the command line
    "auto": "Auto",
    "gan": "GAN",
    "score-difference": "ScoreDifference",
    "drifting": "Drifting",
    "bigan": "BiGAN",
    "infogan": "InfoGAN",
    "cyclegan": "CycleGAN",
    "pix2pix": "Pix2Pix",
    "imputer": "Imputer",
    "autoencoder": "Autoencoder",
    "vae": "VAE",
    "wae": "WAE",
    "vqvae": "VQVAE",
    "flow": "Flow",
    "made": "MADE",
    "diffusion": "Diffusion",
    "flow-matching": "FlowMatching",
    "simclr": "SimCLR",
    "clip": "CLIP",
    "gaussian": "Gaussian",
    "ppca": "PPCA",
    "mixture": "Mixture",
    "kde": "KDE",
    "independent": "Independent",
    "copula": "Copula",
    "trees": "Trees",
    "bootstrap": "Bootstrap",
}

WHAT = {
    "auto": "the best of several models, by rows that none of them saw; the default for tables",
    "gan": "a generator that plays against a critic; conditional with --given; the default for images",
    "score-difference": "a generator whose samples follow the score difference; no critic",
    "drifting": "a generator whose samples follow the drifting field; no critic",
    "bigan": "a generator and an encoder, judged together",
    "infogan": "a generator with codes that a reader finds in its samples",
    "cyclegan": "two translators between domains of which no rows correspond",
    "pix2pix": "a translator learned from rows that correspond",
    "imputer": "draws whatever is missing of a row, given the rest",
    "autoencoder": "rows into a few numbers and back; it generates only by a law fitted to its codes",
    "vae": "a variational autoencoder: latents, samples and a bound of the likelihood",
    "wae": "an autoencoder whose codes are drawn to a normal law by one of our own distances",
    "vqvae": "an autoencoder of discrete codes, with a law of them",
    "flow": "an invertible network: exact density, samples and latents",
    "made": "one column or pixel after the other, by a masked network: exact likelihood",
    "diffusion": "a denoiser at every noise level; samples by the probability flow",
    "flow-matching": "a velocity from noise to data; samples and likelihood by its flow; the default for points",
    "simclr": "features in which two views of one row agree; draws nothing",
    "clip": "two encoders of rows that correspond; draws nothing",
    "gaussian": "one Gaussian",
    "ppca": "probabilistic principal components: a Gaussian of few directions and noise",
    "mixture": "a mixture of Gaussians",
    "kde": "a kernel on every training row",
    "independent": "every column by its own law, without relations",
    "copula": "every column by its own law, joined by a Gaussian copula: the baseline of mixed tables",
    "trees": "column by column from decision trees on the columns before",
    "bootstrap": "training rows, drawn again: to be caught copying",
}


def by_name(name: str) -> Any:
    """The class of the model `name` of `NAMES`; `InputError` lists the known ones."""
    from ..errors import InputError

    if name not in NAMES:
        raise InputError(f"unknown model {name!r}; known: {', '.join(sorted(NAMES))}")
    return __getattr__(NAMES[name])


def __getattr__(name: str) -> Any:
    place = CLASSES.get(name) or ALSO.get(name)
    if place is not None:
        return getattr(import_module(f".{place}", __name__), name)
    if name == "describe_run":
        from .folder import describe_run

        return describe_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(folder: str | os.PathLike[str], *, device: str | None = None) -> Any:
    """The fitted model that was saved in `folder`, of whatever class it is; on its own device, or on `device`.

    Raises `InputError` naming the file that is missing, truncated, or of a newer version.
    """
    from ..errors import InputError
    from .folder import MODEL, read_model

    name = read_model(Path(folder))["class"]
    if name not in CLASSES:
        raise InputError(
            f"{Path(folder) / MODEL}: a model of class {name!r}, which this version lacks; upgrade pushforward"
        )
    return __getattr__(name).load(folder, device=device)
