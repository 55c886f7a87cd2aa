"""Implicit generative modelling: fit a generator, sample from it, and tell whether two sets of samples differ.

    import pushforward as pf

    model = pf.models.GAN().fit(train)
    fake = model.sample(1000, seed=0)
    print(pf.compare(holdout, fake, train=train).verdict.sentence)

Names are imported on first use, so that `import pushforward` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import closed_form, flow, links, models, objectives, twosample
    from .errors import InputError
    from .evaluation.compare import compare
    from .evaluation.leaderboard import leaderboard
    from .links import Link
    from .models import load
    from .twosample import discrepancy, distance, two_sample
    from .witness import Witness

__version__ = "0.1.0"

_HOMES = {
    "compare": "evaluation",
    "leaderboard": "evaluation",
    "two_sample": "twosample",
    "distance": "twosample",
    "discrepancy": "twosample",
    "load": "models",
    "Witness": "witness",
    "Link": "links",
    "InputError": "errors",
}
_MODULES = {
    "links": "links",
    "objectives": "objectives",
    "models": "models",
    "closed_form": "closed_form",
    "flow": "flow",
    "twosample": "twosample",
}

__all__ = [
    "InputError",
    "Link",
    "Witness",
    "closed_form",
    "compare",
    "discrepancy",
    "distance",
    "flow",
    "leaderboard",
    "links",
    "load",
    "models",
    "objectives",
    "two_sample",
    "twosample",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{_MODULES[name]}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
