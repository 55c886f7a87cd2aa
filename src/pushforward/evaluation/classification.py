"""Are labelled fakes of use to a classifier, and do they show what their labels say? (Ravuri and Vinyals 2019, CAS)

    cas                  accuracy, on real pictures held out, of a network trained on FAKE's pictures and labels;
                         beside it that of the same network trained on as many real ones
    label_faithfulness   the reverse: the share of fakes in which a network trained on real pictures sees their label;
                         beside it that share on real pictures held out

A model that drops what a class varies in, or mixes up its classes, trains worse classifiers, whatever its pictures look
like; one that draws only the clearest picture of each class scores high in the second and low in the first. Accuracies
are shares of independent test rows given the network, so Wilson's interval holds for that network; another training run
would give another one, within about a percent.

The network is the residual convolutional critic of `nets.conv` with one output for each class (width 16: 40,000
parameters at 28 x 28), trained by Adam, batches of 128, cross-entropy, pictures shifted by up to a pixel, the rate
falling to 0 along a cosine. Its first weights, batches and shifts follow from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..errors import InputError
from ..witness import Estimate
from .comparison import Metric
from .figures import Figure, LeftOut
from .intervals import wilson

if TYPE_CHECKING:
    from .job import Job

WIDTH = 16
BATCH = 128
RATE = 4e-3
FEWEST, STEPS = 100, 800  # of one training run: at least, at most
EPOCHS = 20  # at most
MOST_TRAIN, MOST_TEST = 10_000, 10_000
LEAST = 50  # rows to train on, and to test on


@final
@dataclass(frozen=True)
class Classified:
    """`cas` and `faithfulness`, each beside the same network's figure on real data; `pvalue`: one-sided, whether fakes
    show their labels less often than real pictures do (two independent proportions, Fisher's exact test)."""

    cas: Estimate
    cas_real: Estimate
    faithfulness: Estimate
    faithfulness_real: Estimate
    pvalue: float
    n_train: int
    n_test: int


def classification_accuracy_score(
    *,
    real: tuple[Tensor, Tensor],
    fake: tuple[Tensor, Tensor],
    holdout: tuple[Tensor, Tensor],
    level: float = 0.95,
    seed: int = 0,
) -> Classified:
    """Both figures of the module's docstring. Each set is (images uint8 `(n, c, h, w)`, labels int64 `(n,)`).

    `real` and `fake` are trained on, as many rows of each (the first of the longer; shuffle them before); `holdout` are
    other real rows, to test on. Raises `InputError` for sets of other forms, fewer than `LEAST` rows, one class.
    """
    classes = _checked({"real": real, "fake": fake, "holdout": holdout})
    n = min(len(real[1]), len(fake[1]))
    by_fake = train_classifier(fake[0][:n], fake[1][:n], classes, seed=seed)
    by_real = train_classifier(real[0][:n], real[1][:n], classes, seed=seed)
    used, seen = hits(by_fake, *holdout), hits(by_real, *holdout)
    shown = hits(by_real, *fake)
    table = [[int(shown.sum()), int((~shown).sum())], [int(seen.sum()), int((~seen).sum())]]
    pvalue = float(stats.fisher_exact(table, alternative="less").pvalue)
    cas, baseline, faithfulness = (_share(part, level) for part in (used, seen, shown))
    return Classified(cas, baseline, faithfulness, baseline, pvalue, n, len(holdout[1]))


def train_classifier(images: Tensor, labels: Tensor, classes: int, *, seed: int = 0) -> nn.Module:
    """The network: images uint8 `(n, c, h, w)` in -1..1 -> `(n, classes)` logits; see the module's docstring."""
    from ..nets import ConvCritic, Shape
    from ..training.augment import shift
    from ..training.batches import derive
    from ..training.draw import Draw

    generator = torch.Generator().manual_seed(derive(seed, "classifier"))
    shape = Shape(outputs=max(2, classes))
    network = ConvCritic(tuple(images.shape[1:]), width=WIDTH, shape=shape, generator=generator)
    nn.init.zeros_(network.leave.weight)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    steps = max(FEWEST, min(STEPS, EPOCHS * math.ceil(len(images) / BATCH)))
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < min(BATCH, len(images)):
            order = torch.randperm(len(images), generator=generator)
        rows, order = order[:BATCH], order[BATCH:]
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        x = shift(_signed(images[rows]), 1, Draw(generator))
        loss = cross_entropy(network(x), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def hits(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Whether the network sees the label of each picture: bool `(n,)`."""
    with torch.no_grad():
        found = [network(_signed(part)).argmax(1) for part in images.split(512)]
    return torch.cat(found) == labels


def _signed(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def _share(right: Tensor, level: float) -> Estimate:
    n, share = len(right), float(right.double().mean())
    return Estimate(share, math.sqrt(share * (1 - share) / n), *wilson(share, n, level), level)


def _checked(sets: Mapping[str, tuple[Tensor, Tensor]]) -> int:
    """How many classes there are."""
    shape = sets["real"][0].shape[1:]
    for name, (images, labels) in sets.items():
        if images.ndim != 4 or images.dtype != torch.uint8 or images.shape[1:] != shape:
            raise InputError(
                f"{name}: images must be uint8 {('n', *shape)} like real, not {images.dtype} {tuple(images.shape)}"
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise InputError(f"{name}: labels must be int64 ({len(images)},), one a row, not {tuple(labels.shape)}")
        if len(labels) < LEAST:
            raise InputError(f"{name}: {len(labels)} labelled rows are too few for a classifier; give at least {LEAST}")
        if int(labels.min()) < 0:
            raise InputError(f"{name}: label {int(labels.min())} is negative; number the classes from 0")
    if len(sets["real"][1].unique()) < 2:
        raise InputError("real: all rows have one label, so there is nothing to tell apart; give at least two classes")
    return 1 + max(int(labels.max()) for _, labels in sets.values())


def classified(job: Job) -> Classified:
    """Both figures of a job, computed once; `LeftOut` where its pictures have no labels, or too few rows."""
    return job.once("classified", lambda: _classify(job))


def _classify(job: Job) -> Classified:
    labels = {role: torch.from_numpy(codes) for role, codes in job.labels.items()}
    missing = [role for role in ("real", "fake") if role not in labels]
    if missing:
        raise LeftOut(
            f"labels missing for {' and '.join(missing)}: give an .npz with an array 'labels' beside the images, or a "
            "folder with one subfolder for each class"
        )
    sets = {name: _taken(job, labels, *rows) for name, rows in _roles(job, labels).items()}
    try:
        return classification_accuracy_score(
            real=sets["real"], fake=sets["fake"], holdout=sets["holdout"], seed=job.seed
        )
    except InputError as error:
        raise LeftOut(str(error)) from error


def _metrics(job: Job) -> list[Metric]:
    found = classified(job)
    told = f"network trained on {found.n_train:,} pictures"
    return [
        Metric(
            "cas", "utility", found.cas.value, found.cas.low, found.cas.high, found.cas_real.value, "higher",
            f"accuracy on {found.n_test:,} real pictures held out of a {told} of FAKE and its labels; the baseline is "
            "of as many real ones; the interval is for this network",
        ),
        Metric(
            "label_faithfulness", "utility", found.faithfulness.value, found.faithfulness.low, found.faithfulness.high,
            found.faithfulness_real.value, "higher",
            f"share of fakes in which a {told} of REAL sees their label; the baseline is of real ones held out",
        ),
    ]  # fmt: skip


def _roles(job: Job, labels: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Which rows are "real" (trained on), "fake" and "holdout" (tested on), as (role, row numbers), in shuffled order.

    Without a labelled holdout REAL is tested on; without labelled training rows beside it, a half of REAL each.
    """
    n = {role: len(codes) for role, codes in labels.items()}
    fake = ("fake", torch.from_numpy(job.sample("fake", MOST_TRAIN, 210)))
    spare = "train" if "train" in labels and not job.contained else None
    if "holdout" in labels:
        tested, trained = ("holdout", n["holdout"]), ("real", n["real"])
    elif spare:
        tested, trained = ("real", n["real"]), (spare, n[spare])
    else:
        half = n["real"] // 2
        order = torch.randperm(n["real"], generator=torch.Generator().manual_seed(job.seed))
        return {"real": ("real", order[:half]), "fake": _shuffled(fake, job.seed), "holdout": ("real", order[half:])}
    rows = [
        (role, torch.from_numpy(job.sample(role, most, stream)))
        for (role, _), most, stream in ((trained, MOST_TRAIN, 211), (tested, MOST_TEST, 212))
    ]
    return {"real": _shuffled(rows[0], job.seed), "fake": _shuffled(fake, job.seed), "holdout": rows[1]}


def _shuffled(rows: tuple[str, Tensor], seed: int) -> tuple[str, Tensor]:
    order = torch.randperm(len(rows[1]), generator=torch.Generator().manual_seed(seed))
    return rows[0], rows[1][order]


def _taken(job: Job, labels: Mapping[str, Tensor], role: str, rows: Tensor) -> tuple[Tensor, Tensor]:
    return job.data[role].values[rows], labels[role][rows]


FIGURES = (
    Figure(
        "cas", "utility", _metrics, "accuracy on real pictures of a classifier trained on FAKE, and the reverse",
        "Ravuri and Vinyals 2019", suites=("full", "image"), kinds=("images",), gives=("cas", "label_faithfulness"),
    ),
)  # fmt: skip
