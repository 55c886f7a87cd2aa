"""What a critic has learned as a representation of data (Radford et al. 2016, section 5), and what to do with it.

A critic's layers in order, as `layers` lists them: what each of its stages gives, and `hidden`, the last layer before
its score. What a convolution gives is pooled by its maximum to at most 4 x 4 places, then flattened (there, section
5.1); `all` is all of them side by side. A critic of pairs (x, z) is shown (x, E(x)), one of x and what is given both.

    linear probe     logistic regression of labels on standardised features, told on held-out rows
    few labels       the same from a few labelled rows of each class, over many choices of them
    neighbours       the label of the nearest training row, told on held-out rows (Donahue et al. 2017, section 4.1)
    fine tuning      a copy of the critic with a new last layer, trained on labels
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy

from ..errors import InputError
from ..nets.critic import PLAIN
from ..nets.initialise import linear
from ..training.schedule import Schedule
from .drawing import rng
from .rows import as_array, chunks, read_rows

if TYPE_CHECKING:
    from .one_pass import OnePass

HIDDEN, ALL = "hidden", "all"
PLACES = 4  # along either side, to which what a convolution gives is pooled
HELD = 0.3  # share of the rows that a probe is told on


# ---- features


def layers(model: OnePass) -> tuple[str, ...]:
    """The names of the critic's layers, first to last; the last is `hidden`."""
    return (*(name for name, _ in _stages(_critic(model))), HIDDEN)


def features(model: OnePass, data: Any, *, layer: str | int | None = None) -> np.ndarray:
    """What a layer of the critic gives for the rows of `data`, float32 `(n, width)`.

    layer: a name of `layers(model)`, or its number there (from the end where negative); `all`; by default `hidden`.
    `InputError` for an unknown layer (it lists the known), a model without a critic, or data of another form.
    """
    name = _named(layer, layers(model))
    dataset = read_rows(model, data)
    return as_array(_features(_critic(model), rows, name) for rows in _seen(model, dataset))


class Represents:
    """Mixed into models with a critic."""

    def features(self, data: Any, *, layer: str | int | None = None) -> np.ndarray:
        """What the critic's `layer` gives for the rows of `data`, float32 `(n, width)`: a name or a number of
        `representation.layers(model)`, or `all`; the last hidden layer by default."""
        return features(self, data, layer=layer)  # type: ignore[arg-type]


def _seen(model: OnePass, dataset: Any) -> Iterator[Tensor]:
    """Rows as the critic sees them, without what is drawn for them."""
    join: Any = getattr(model.generator_, "data", None)
    for rows in chunks(model, dataset):
        with torch.no_grad():
            yield rows if join is None else join(rows, None)


def _critic(model: OnePass) -> nn.Module:
    model._require_fitted()
    critic = model.critic_
    if critic is None:
        raise InputError(f"this {type(model).__name__} has no critic to take features of; fit a GAN with one")
    return critic


def _stages(module: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """The stages of a network, by name: its parts, and in their place the parts of those that hold a list of them."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if name == "leave" or isinstance(child, nn.Identity):
            continue
        rows = isinstance(child, nn.Sequential) and not prefix
        inner = rows or any(isinstance(one, nn.ModuleList) for one in child.modules())
        found += _stages(child, f"{prefix}{name}.") if inner else [(f"{prefix}{name}", child)]
    return found


def _named(layer: str | int | None, known: tuple[str, ...]) -> str:
    if layer is None:
        return HIDDEN
    if isinstance(layer, int) and -len(known) <= layer < len(known):
        return known[layer]
    if layer in (*known, ALL):
        return str(layer)
    raise InputError(f"this critic has no layer {layer!r}; it has {', '.join(known)}, numbered from 0, and {ALL}")


def _features(critic: nn.Module, rows: Tensor, name: str) -> Tensor:
    stages = _stages(critic)
    wanted = [*(one for one, _ in stages), HIDDEN] if name == ALL else [name]
    caught: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _, __, out, one=one: caught.__setitem__(one, _flat(out)))
        for one, module in stages
        if one in wanted
    ]
    try:
        with torch.no_grad():
            if hasattr(critic, "features"):
                caught[HIDDEN] = critic.features(rows)  # type: ignore[operator]
            else:
                critic(rows)
    finally:
        for handle in handles:
            handle.remove()
    if name not in (ALL, *caught):
        raise InputError(f"{type(critic).__name__} has no method features(rows) that gives its hidden layer; add one")
    return torch.cat([caught[one] for one in wanted], 1)


def _flat(out: Tensor) -> Tensor:
    """`(n, c, h, w)` or `(n, width)` -> `(n, width)`."""
    if out.dim() == 4:
        out = adaptive_max_pool2d(out, (min(PLACES, out.shape[2]), min(PLACES, out.shape[3])))
    return out.flatten(1)


# ---- what they tell of labels


@final
@dataclass(frozen=True, eq=False)
class Probe:
    """How well labels are read off features: `accuracy` on `rows` held-out rows, `stderr` of it, and `chance`, the
    share of the most frequent label there; `classifier`, fitted on the others (`predict(features)`)."""

    accuracy: float
    stderr: float
    chance: float
    rows: int
    classifier: Any


def linear_probe(features: Any, labels: Any, *, held: Any = None, seed: int = 0, strength: float = 1.0) -> Probe:
    """Logistic regression on standardised `features` `(n, width)`.

    held: (features, labels) to tell it on; by default a random 30 % of the rows, kept out of the fit, in the labels'
    proportions. strength: inverse of the L2 penalty (scikit-learn's C).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
    return _probed(classifier, features, labels, held, seed)


def nearest_neighbours(features: Any, labels: Any, *, held: Any = None, seed: int = 0, k: int = 1) -> Probe:
    """The most frequent label of the `k` nearest rows, by Euclidean distance; `held` as for `linear_probe`."""
    from sklearn.neighbors import KNeighborsClassifier

    return _probed(KNeighborsClassifier(k), features, labels, held, seed)


@final
@dataclass(frozen=True)
class FewLabels:
    """How well labels are read off features from `per_class` labelled rows of each class: the mean `accuracy` over
    `draws` choices of those rows, on the same `rows` held-out rows each time; `spread`, its standard deviation from
    choice to choice."""

    accuracy: float
    spread: float
    per_class: int
    draws: int
    rows: int


def few_labels(
    features: Any,
    labels: Any,
    *,
    per_class: int = 5,
    draws: int = 20,
    held: Any = None,
    seed: int = 0,
    strength: float = 1.0,
) -> FewLabels:
    """`linear_probe` from few labelled rows, chosen anew `draws` times (Chen et al. 2020, section 6, table 7)."""
    (x, y), told = _parted(features, labels, held, seed)
    names, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if per_class < 1 or draws < 1 or counts.min() < per_class:
        raise InputError(
            f"per_class={per_class}, draws={draws}: at least 1 of each, where the rarest label has {counts.min()} rows "
            "to choose from; ask for fewer"
        )
    found = []
    for draw in np.random.default_rng(seed).spawn(draws):
        chosen = np.concatenate([draw.permutation(np.flatnonzero(codes == c))[:per_class] for c in range(len(names))])
        found.append(linear_probe(x[chosen], y[chosen], held=told, strength=strength).accuracy)
    return FewLabels(float(np.mean(found)), float(np.std(found)), per_class, draws, len(told[0]))


def _probed(classifier: Any, features: Any, labels: Any, held: Any, seed: int) -> Probe:
    (x, y), (held_x, held_y) = _parted(features, labels, held, seed)
    accuracy = float(classifier.fit(x, y).score(held_x, held_y))
    chance = float(np.unique(held_y, return_counts=True)[1].max() / len(held_y))
    stderr = float(np.sqrt(accuracy * (1 - accuracy) / len(held_y)))
    return Probe(accuracy, stderr, chance, len(held_y), classifier)


Pair = tuple[np.ndarray, np.ndarray]


def _parted(features: Any, labels: Any, held: Any, seed: int) -> tuple[Pair, Pair]:
    """(features, labels) to fit on, and those held out: `held`, or a random share of the rows."""
    x, y = _paired(features, labels)
    if held is not None:
        held_x, held_y = _paired(*held)
        if held_x.shape[1] != x.shape[1]:
            raise InputError(f"{held_x.shape[1]} held-out features but {x.shape[1]} to fit; take both from one layer")
        return (x, y), (held_x, held_y)
    from sklearn.model_selection import train_test_split

    names, counts = np.unique(y, return_counts=True)
    if len(names) < 2 or counts.min() < 2:
        raise InputError(
            f"{len(names)} different labels, the rarest on {int(counts.min())} rows: a probe needs two or more, "
            "each on at least 2 rows; give more labelled rows"
        )
    share = max(len(names), round(HELD * len(x)))
    x, held_x, y, held_y = train_test_split(x, y, test_size=share, random_state=seed, stratify=y)
    return (x, y), (held_x, held_y)


# ---- fine tuning


@final
@dataclass(frozen=True, eq=False)
class FineTuned:
    """A classifier made of a model's critic: `classes` `(K,)`, and its `network` with a new last layer."""

    model: OnePass
    classes: np.ndarray
    network: nn.Module

    def predict_proba(self, data: Any) -> np.ndarray:
        """The probability of every class, float32 `(n, K)`, for the rows of `data`."""
        dataset = read_rows(self.model, data)
        with torch.no_grad():
            return as_array([self.network(rows).softmax(1) for rows in _seen(self.model, dataset)])

    def predict(self, data: Any) -> np.ndarray:
        """The likeliest class of every row of `data`, `(n,)`."""
        found: np.ndarray = self.classes[self.predict_proba(data).argmax(1)]
        return found


class _Tuned(nn.Module):
    """A critic's body with a linear layer of K classes."""

    def __init__(self, critic: nn.Module, width: int, classes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.critic = critic
        self.head = linear(width, classes, generator, gain=1.0)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(self.critic.features(rows))  # type: ignore[operator]
        return logits


def fine_tune(
    model: OnePass,
    data: Any,
    labels: Any,
    *,
    steps: int = 500,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> FineTuned:
    """Train a copy of the critic, with a new last layer, to tell the `labels` `(n,)` of the rows of `data`.

    Adam on the cross entropy, the rate falling to a tenth by a cosine. The model itself stays as it is.
    """
    critic = copy.deepcopy(_critic(model)).requires_grad_(True)
    if not hasattr(critic, "features") or getattr(critic, "shape", PLAIN).pack > 1:
        raise InputError(
            "fine tuning needs a critic with a hidden layer for every row by itself (features(rows), no pack); fit one"
        )
    dataset = read_rows(model, data)
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    if np.shape(labels) != (len(dataset),) or len(classes) < 2:
        raise InputError(
            f"labels of shape {np.shape(labels)} and {len(classes)} different ones for {len(dataset)} rows; give one "
            "label for every row, of two classes or more"
        )
    rows = torch.cat(list(_seen(model, dataset)))
    told = torch.from_numpy(codes).to(rows.device)
    with torch.no_grad():
        width = critic.features(rows[:2]).shape[1]  # type: ignore[operator]
    network = _Tuned(critic, width, len(classes), generator=rng(seed, "fine tuning")).to(rows.device)
    schedule, adam = Schedule(steps, learning_rate), torch.optim.Adam(network.parameters(), lr=learning_rate)
    draw = rng(seed, "fine tuning", 1)
    for step in range(steps):
        adam.param_groups[0]["lr"] = schedule.at(step).learning_rate
        some = torch.randint(len(rows), (min(batch_size, len(rows)),), generator=draw).to(rows.device)
        loss = cross_entropy(network(rows[some]), told[some])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return FineTuned(model, classes, network.eval().requires_grad_(False))


def _paired(features: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(features), np.asarray(labels)
    if x.ndim != 2 or y.shape != (len(x),) or not len(x):
        raise InputError(
            f"features of shape {x.shape} with labels of shape {y.shape}; give (n, width) features and n labels"
        )
    return x, y
