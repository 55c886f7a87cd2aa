"""The pictures of a run, by what its model can do: `pictures_of` a `View`, and `history_of` its records."""

from __future__ import annotations

from .conditioned import conditional
from .filled import filling
from .latent import latent
from .mirrored import reconstruction
from .parts import Picture, Section, sections
from .samples import samples
from .training import training as history_of
from .translated import translation
from .view import View

__all__ = ["Picture", "Section", "View", "history_of", "pictures_of"]

MAKERS = (samples, conditional, reconstruction, translation, filling, latent)


def pictures_of(view: View) -> tuple[Section, ...]:
    """A section for everything that the model can do."""
    return sections([make(view) for make in MAKERS])
