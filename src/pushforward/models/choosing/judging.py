"""Judging models that none of the judged rows were shown to, and choosing one.

The rows kept out are watched or closing ones (`training.stopping`, whose `Auditor` looks at every model once, as it
would at one model that is trained). Of each model fresh samples are held against the watched rows by three judges; the
AUC of the best is its figure. `copying` looks for training rows among the same samples.

*The choice.* A model that copies, or could not be fitted, is out. Of the others let a be the one with the lowest AUC.
All within one standard error of it, AUC - AUC_a <= sqrt(se^2 + se_a^2), that have not lost more of the data, are as
good for all these rows can tell; of them the simplest is taken: the one with the fewest learned numbers (the rule by
which trees are pruned, Breiman et al. 1984). The errors of two models on the same rows agree in part, so that the limit
is a wide one.

*The closing figure* is of the chosen model, by the closing rows, which were used for nothing before: neither to train,
nor to judge, nor to look for copies. So the luck by which it may have won has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from ...data.dataset import Dataset
from ...data.matrix import Matrix
from ...training.batches import derive
from ...training.stopping import Auditor, Closing
from ...training.stopping.judges import IN_WORDS
from ..watching import MOST_FAKES
from .candidates import Attempt, numbers
from .copying import Copies, look

TIED = 1.0  # standard errors


@final
@dataclass(frozen=True)
class Judged:
    """One model: `auc` of its best judge with interval; `lost`, the share of the data seen to have less than half the
    samples they should; its `copies`; the `numbers` it has learned; `seconds` and `rows` of its fit. `refused` says why
    it is not to be chosen, or is empty."""

    model: str
    seconds: float
    rows: int
    refused: str = ""
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    auc_stderr: float | None = None
    lost: float | None = None
    judge: str = ""
    numbers: int = 0
    copies: Copies | None = field(default=None)

    def record(self, step: int) -> dict[str, Any]:
        """A line of history; `step` counts the models from 1."""
        found = {name: value for name, value in vars(self).items() if name != "copies"}
        return {"step": step, **found, **({} if self.copies is None else self.copies.record())}


class Bench:
    """What all models are judged by: training rows, watched and closing rows, and an auditor that counts its looks."""

    def __init__(self, train: Dataset, watched: Dataset, closing: Dataset, *, seed: int) -> None:
        self.matrix = Matrix.fit(train)
        self._train, self._watched = self.matrix(train), self.matrix(watched)
        self.auditor = Auditor(self._watched, self.matrix(closing), seed=derive(seed, "auditor") % 2**31)
        self.kind, self.seed = train.kind, seed

    def judge(self, name: str, attempt: Attempt, place: int) -> Judged:
        """The model called `name` of `attempt`, the one at `place` (from 1; each once, in rising order)."""
        if attempt.why:
            return Judged(name, attempt.seconds, attempt.rows, refused=attempt.why)
        fakes = self._draw(attempt.model, self.auditor.fakes_wanted, place)
        found = self.auditor.audit(place, fakes)
        copies = look(self.matrix, self._train, self._watched, fakes, seed=self.seed)
        return Judged(
            model=name,
            seconds=attempt.seconds,
            rows=attempt.rows,
            refused=copies.refused,
            auc=found.auc.value,
            auc_low=found.auc.low,
            auc_high=found.auc.high,
            auc_stderr=found.auc.stderr,
            lost=found.lost,
            judge=found.judge,
            numbers=numbers(attempt.model),
            copies=copies,
        )

    def close(self, model: Any, place: int) -> Closing:
        """The closing figure of the model that was judged at `place`."""
        self.auditor.best_step = place  # the choice was made by more than the AUC
        return self.auditor.close(self._draw(model, self.auditor.fakes_wanted_to_close, -place))

    def _draw(self, model: Any, wanted: int, purpose: int) -> Any:
        n = min(wanted, MOST_FAKES[self.kind])
        return self.matrix(model.sample_dataset(n, seed=derive(self.seed, "judged", purpose) % 2**31))


def split(dataset: Dataset, share: float, least: int, *, seed: int) -> tuple[Dataset, Dataset]:
    """(training rows, rows kept out): a share of the rows, but no fewer than `least`."""
    return dataset.split(max(share, least / len(dataset)), seed=derive(seed, "held") % 2**31)


def choose(judged: Sequence[Judged], collapse: float = 0.02) -> int | None:
    """The place in `judged` of the model to take (module docstring); None where all are refused."""
    able = [k for k, one in enumerate(judged) if not one.refused]
    if not able:
        return None
    best = judged[min(able, key=lambda k: _figure(judged[k]))]
    as_good = [k for k in able if _is_as_good(judged[k], best, collapse)]
    return min(as_good, key=lambda k: (judged[k].numbers, _figure(judged[k])))


def _figure(one: Judged) -> float:
    assert one.auc is not None
    return one.auc


def _is_as_good(one: Judged, best: Judged, collapse: float) -> bool:
    assert one.lost is not None
    assert best.lost is not None
    noise = math.hypot(one.auc_stderr or 0.0, best.auc_stderr or 0.0)
    return _figure(one) - _figure(best) <= TIED * noise and one.lost <= max(collapse, best.lost)


def sentence(judged: Sequence[Judged], chosen: int) -> str:
    """What was chosen and why, in words."""
    one = judged[chosen]
    able = [k for k, other in enumerate(judged) if not other.refused]
    best = min(able, key=lambda k: _figure(judged[k]))
    told = f"Of {len(judged)} models {one.model} was chosen: an AUC of {_span(one)} against rows that none was shown"
    if best == chosen:
        told += ", the lowest"
    else:
        told += f", within a standard error of that of {judged[best].model} ({_span(judged[best])}), and simpler"
    rest = [
        f"{other.model} {_figure(other):.3f}"
        for k, other in sorted(enumerate(judged), key=lambda item: item[1].auc or 1.0)
        if k not in (chosen, best) and not other.refused
    ]
    told += f"; then {', '.join(rest)}." if rest else "."
    return told + "".join(f" {other.model} was refused: {other.refused}." for other in judged if other.refused)


def closing_sentence(found: Closing, name: str) -> str:
    """The closing figure in words."""
    auc = found.auc
    return (
        f"On {found.n_real:,} rows that nothing had looked at before, samples of {name} are told from data by "
        f"{IN_WORDS[found.judge]} with an AUC of {auc.value:.3f} ({auc.level:.0%} interval {auc.low:.3f} to "
        f"{auc.high:.3f}; 0.5 is indistinguishable)."
    )


def _span(one: Judged) -> str:
    return f"{one.auc:.3f} ({one.auc_low:.3f} to {one.auc_high:.3f})"
