"""Sequential trees: every column drawn from a decision tree on the columns before it (Reiter 2005, synthpop).

    x_1 from its own law,    x_j ~ the training values in the leaf of tree_j that (x_1, .., x_{j-1}) falls into

Trees are scikit-learn's CART, fitted in the codec's units. A number is not drawn from the leaf's values themselves,
which would repeat training cells, but from the straight-line quantile function between them; a category from the
leaf's frequencies. Small leaves follow the data closely, and copy them: look at the copying figures of `compare`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...data.dataset import Kind
from ...data.tables import TableCodec
from ...errors import InputError
from .base import Explicit

DEEPEST = 64  # levels of a tree


class Trees(Explicit):
    """One tree a column, in the table's order of columns.

    leaf: the least number of training rows in a leaf.

    The arrays hold the trees and, by the leaf, every training value of every column (in the codec's units).
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("points", "table")

    def __init__(self, leaf: int = 5, *, seed: int = 0) -> None:
        self.leaf = leaf
        self.seed = seed

    def _check(self) -> None:
        if not isinstance(self.leaf, int) or self.leaf < 1:
            raise InputError(f"leaf must be a whole number of at least 1, not {self.leaf!r}")

    def _learn(self, rows: Tensor) -> dict[str, Tensor]:
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        law: dict[str, Tensor] = {}
        seen: list[int] = []
        x = rows.float().numpy()
        for number, (place, levels) in enumerate(self._visits()):
            y = x[:, place]
            here = np.ones(len(y), dtype=bool)
            entry = self._entry(place)
            if entry is not None:  # a number that is not there has no value to learn from
                here = self._codes(rows, entry).numpy() == 0
            make = DecisionTreeClassifier if levels else DecisionTreeRegressor
            features = x[:, seen] if seen else np.zeros((len(x), 1), dtype=np.float32)
            least = min(self.leaf, max(1, int(here.sum())))
            tree = make(min_samples_leaf=least, max_depth=DEEPEST, random_state=self.seed % 2**32)
            tree.fit(features[here], y[here])
            law |= {f"{number}.{name}": array for name, array in _arrays(tree.tree_).items()}
            law |= {
                f"{number}.{name}": array for name, array in _leaves(tree.apply(features[here]), y[here], tree).items()
            }
            seen.append(place)
        return law

    def _visits(self) -> Iterator[tuple[int, int]]:
        """(place in a compact row, levels or 0) of every column in turn; of a number that may be absent, what it is
        instead comes first."""
        codec = self.codec_
        if not isinstance(codec, TableCodec):
            yield from ((j, 0) for j in range(codec.event_shape[0]))
            return
        places = {(block.column, block.kind): place for place, block in enumerate(codec.blocks)}
        for column in codec.columns:
            for kind in ("category", "numeric"):
                place = places.get((column.name, kind))
                if place is not None:
                    yield place, codec.blocks[place].levels

    def _entry(self, place: int) -> int | None:
        """Of a number that may be absent: the place of the code that says so."""
        codec = self.codec_
        if not isinstance(codec, TableCodec) or codec.blocks[place].kind != "numeric":
            return None
        name = codec.blocks[place].column
        codes = (p for p, block in enumerate(codec.blocks) if block.kind == "category" and block.column == name)
        return next(codes, None)

    def _codes(self, rows: Tensor, place: int) -> Tensor:
        return rows[:, place].long()

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        codec, law = self.codec_, self.arrays_
        compact = torch.zeros(n, len(codec.blocks) if isinstance(codec, TableCodec) else codec.event_shape[0])
        seen: list[int] = []
        for number, (place, levels) in enumerate(self._visits()):
            features = compact[:, seen] if seen else torch.zeros(n, 1)
            one = {name.removeprefix(f"{number}."): a for name, a in law.items() if name.startswith(f"{number}.")}
            leaf = one["rank"][_fall(one, features)]
            start, size = one["starts"][leaf], one["sizes"][leaf]
            u = torch.rand(n, generator=generator, dtype=torch.float64)
            if levels:
                at = (u * size).long().clamp(max=len(one["values"]))
                compact[:, place] = one["values"][start + torch.minimum(at, size - 1)]
            else:
                along = u * (size - 1)
                left = along.floor().long()
                right = torch.minimum(left + 1, size - 1)
                low, high = one["values"][start + left].double(), one["values"][start + right].double()
                compact[:, place] = (low + (along - left) * (high - low)).float()
            entry = self._entry(place)
            if entry is not None:
                compact[:, place] *= self._codes(compact, entry) == 0
            seen.append(place)
        return codec.expand(compact)


def _arrays(tree: Any) -> dict[str, Tensor]:
    """A fitted tree's nodes."""
    return {
        "left": torch.from_numpy(tree.children_left.astype(np.int64)),
        "right": torch.from_numpy(tree.children_right.astype(np.int64)),
        "feature": torch.from_numpy(tree.feature.astype(np.int64)),
        "threshold": torch.from_numpy(tree.threshold.astype(np.float64)),
    }


def _leaves(leaf: np.ndarray, y: np.ndarray, tree: Any) -> dict[str, Tensor]:
    """The training values `y` `(n,)` sorted within their leaves, one leaf after another: `values`, and for every leaf
    where its values start and how many they are; `rank`: node -> number of the leaf."""
    order = np.lexsort((y, leaf))
    nodes, starts, sizes = np.unique(leaf[order], return_index=True, return_counts=True)
    rank = np.zeros(tree.tree_.node_count, dtype=np.int64)
    rank[nodes] = np.arange(len(nodes))
    return {
        "values": torch.from_numpy(y[order].copy()),
        "starts": torch.from_numpy(starts.astype(np.int64)),
        "sizes": torch.from_numpy(sizes.astype(np.int64)),
        "rank": torch.from_numpy(rank),
    }


def _fall(tree: dict[str, Tensor], x: Tensor) -> Tensor:
    """The leaf's node for every row of features `(n, k)`."""
    node = torch.zeros(len(x), dtype=torch.long)
    for _ in range(DEEPEST):
        inner = tree["left"][node] >= 0
        if not bool(inner.any()):
            break
        value = x.gather(1, tree["feature"][node].clamp(min=0)[:, None]).squeeze(1)
        below = torch.where(value.double() <= tree["threshold"][node], tree["left"][node], tree["right"][node])
        node = torch.where(inner, below, node)
    return node
