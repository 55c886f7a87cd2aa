"""Estimators: `fit`, `sample`, `save`, `load`. One file per family."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bigan import BiGAN
    from .choosing import Auto
    from .classical import KDE, PPCA, Bootstrap, Copula, Gaussian, Independent, Mixture, Trees
    from .cyclegan import CycleGAN
    from .folder import describe_run
    from .gan import GAN
    from .imputing import Imputer
    from .infogan import InfoGAN
    from .paired import Pix2Pix
    from .semi_supervised import SemiSupervised
    from .velocity import Drifting, ScoreDifference

__all__ = [
    "GAN",
    "KDE",
    "PPCA",
    "Auto",
    "BiGAN",
    "Bootstrap",
    "Copula",
    "CycleGAN",
    "Drifting",
    "Gaussian",
    "Imputer",
    "Independent",
    "InfoGAN",
    "Mixture",
    "Pix2Pix",
    "ScoreDifference",
    "SemiSupervised",
    "Trees",
    "describe_run",
    "load",
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
    **dict.fromkeys(("Gaussian", "PPCA", "Mixture", "KDE", "Independent", "Copula", "Trees", "Bootstrap"), "classical"),
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
    "gan": "a generator that plays against a critic; conditional with --given",
    "score-difference": "a generator whose samples follow the score difference; no critic",
    "drifting": "a generator whose samples follow the drifting field; no critic",
    "bigan": "a generator and an encoder, judged together",
    "infogan": "a generator with codes that a reader finds in its samples",
    "cyclegan": "two translators between domains of which no rows correspond",
    "pix2pix": "a translator learned from rows that correspond",
    "imputer": "draws whatever is missing of a row, given the rest",
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
        raise InputError(f"model {name!r}: no such model; known: {', '.join(sorted(NAMES))}")
    return __getattr__(NAMES[name])


def __getattr__(name: str) -> Any:
    if name in CLASSES:
        return getattr(import_module(f".{CLASSES[name]}", __name__), name)
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
