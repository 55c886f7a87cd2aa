"""`Auto`: fits several models within a budget, takes the one that rows of their own judge best, and is it from then on.

How they are judged and what decides: `judging`. The chosen model is kept as it was trained and judged: fitted again to
all rows it would be another model, of which no figure speaks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...data.dataset import Dataset
from ...data.sources import read as read_data
from ...errors import InputError
from ...files import write_text
from ...training.progress import Event, Reporter, reporter
from .. import saving
from ..base import Estimator
from ..folder import MODEL
from ..identity import fingerprint, same_data, same_parameters
from ..trained import rows_of
from ..watching import FEWEST_HELD
from . import candidates
from .judging import Bench, Judged, choose, closing_sentence, sentence, split

Self = TypeVar("Self", bound="Auto")

CHOICE, TRIED = "choice.json", "candidates"
SCHEMA = "pushforward.choice/1"
LEAST = 2 * FEWEST_HELD  # rows, of which half are kept out; fewer cannot judge
UNJUDGED = "copula"  # taken where there are fewer: relations, and no memory of single rows


class Auto(Estimator):
    """The best of several models, by rows that none of them was shown; refuses one that copies its training rows.

    models: names of `models.NAMES` to try (`trees-40`: trees with leaves of 40 rows or more), or a mapping from names
        to estimators of one's own; by default those that suit the kind of data (`candidates.DEFAULT`).
    time_budget: seconds of fitting in all. Closed-form models take what they take; what is left is shared alike by
        those that train. Judging comes on top, a few seconds for each, and so do the coordinates of a table, which all
        share. steps: of those that train, instead of time; the same seed then chooses the same model.
    share: of the rows, kept out to judge by, where `fit` is given no holdout. Half of them choose, and half give the
        closing figure. With fewer than 480 rows nothing can be judged: a copula is taken, and the sentence says so.
    device: of the models that have one. seed: of everything random.

    Learned: `model_` (the chosen one, all of whose methods and attributes this has too), `chosen_` (its name),
    `choice_` (JSON-able: what was chosen and why, every model's figures), `history_` (one record a model), `closing_`.
    """

    def __init__(
        self,
        models: Sequence[str] | Mapping[str, Any] | None = None,
        *,
        steps: int | None = None,
        time_budget: float = 120.0,
        share: float = 0.2,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.models = models
        self.steps = steps
        self.time_budget = time_budget
        self.share = share
        self.device = device
        self.seed = seed

    # ---- fit

    def fit(
        self: Self,
        data: Any,
        *,
        holdout: Any = None,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log: str | None = None,
        progress: bool | Reporter = True,
    ) -> Self:
        """Fit and judge the models on `data`, a `Dataset` or anything `data.sources.read` reads, and take one.

        holdout: rows to judge by; without any a share of `data` is kept out. out: the run folder. It holds the chosen
        model, as `load` finds it, `choice.json`, and under `candidates` the runs of all that train; resume goes on with
        those. log: of their histories. `InputError` where no model can be taken, saying why of each.
        """
        self._check()
        dataset, held = rows_of(data), None if holdout is None else read_data(holdout)
        folder = None if out is None else Path(out)
        self.data_ = fingerprint(dataset)
        self.interrupted_, self.steps_done_ = False, 0
        if folder and self._is_done(folder, resume):
            return self._adopt(folder)
        show = reporter(progress)
        tried = candidates.estimators(self.models, dataset.kind, steps=self.steps, device=self.device, seed=self.seed)
        least = LEAST if held is None else 2
        if len(dataset) < least or (held is not None and len(held) < FEWEST_HELD):
            few = len(dataset) if held is None else len(held)
            return self._unjudged(tried, dataset, few, folder, progress)
        if held is None:
            dataset, held = split(dataset, self.share, FEWEST_HELD, seed=self.seed)
        watched, closing = held.split(0.5, seed=self.seed)
        bench = Bench(dataset, watched, closing, seed=self.seed)
        candidates.prepare(tried, dataset)
        fitted: dict[str, Any] = {}
        judged: list[Judged] = []
        for name in candidates.in_order(tried):
            left = max(0.0, self.time_budget - sum(one.seconds for one in judged)) / (len(tried) - len(judged))
            show(Event("prepare", 0, 0, 0.0, message=f"trying {name}, {len(judged) + 1} of {len(tried)}"))
            attempt = candidates.fit_within(
                tried[name],
                dataset,
                left,
                out=None if folder is None else folder / TRIED / name,
                resume=resume,
                progress=progress,
            )
            if attempt.model is not None and getattr(attempt.model, "interrupted_", False):
                self.interrupted_, self.steps_done_ = True, attempt.model.steps_done_
                return self
            judged.append(bench.judge(name, attempt, len(judged) + 1))
            fitted[name] = attempt.model
        return self._take(judged, fitted, bench, folder, show)

    def _check(self) -> None:
        if not isinstance(self.seed, int):
            raise InputError(f"seed must be a whole number, not {self.seed!r}")
        if not self.time_budget > 0:
            raise InputError(f"time_budget must be a positive number of seconds, not {self.time_budget!r}")
        if not 0 < self.share < 1:
            raise InputError(f"share is of the rows kept out, between 0 and 1, not {self.share!r}")
        if self.steps is not None and (not isinstance(self.steps, int) or self.steps < 1):
            raise InputError(f"steps must be a whole number of at least 1, not {self.steps!r}")

    def _take(
        self: Self, judged: list[Judged], fitted: Mapping[str, Any], bench: Bench, folder: Path | None, show: Reporter
    ) -> Self:
        place = choose(judged)
        if place is None:
            told = "; ".join(f"{one.model}: {one.refused}" for one in judged)
            raise InputError(f"none of {len(judged)} models can be taken ({told}); name others")
        name = judged[place].model
        closing = bench.close(fitted[name], place + 1)
        found = closing.record() | {"sentence": closing_sentence(closing, name)}
        self._keep(name, fitted[name], sentence(judged, place), judged, found)
        show(Event("prepare", 0, 0, 0.0, message=self.choice_["sentence"]))
        if folder:
            self.save(folder)
        return self

    def _unjudged(
        self: Self, tried: Mapping[str, Any], dataset: Dataset, few: int, folder: Path | None, progress: bool | Reporter
    ) -> Self:
        """Take a model without judging any."""
        name = UNJUDGED if UNJUDGED in tried and dataset.kind != "images" else next(iter(tried))
        model = tried[name].fit(dataset, progress=progress)
        told = (
            f"{few:,} rows are too few to judge models by ({LEAST} of data, or {FEWEST_HELD} of a holdout, are "
            f"needed): {name} was taken without judging any."
        )
        self._keep(name, model, told, [], None)
        if folder:
            self.save(folder)
        return self

    def _keep(self, name: str, model: Any, told: str, judged: Sequence[Judged], closing: dict[str, Any] | None) -> None:
        self.model_, self.chosen_, self.closing_ = model, name, closing
        self.steps_done_ = getattr(model, "steps_done_", 0)
        self.history_ = [one.record(k) for k, one in enumerate(judged, 1)]
        self.choice_: dict[str, Any] = {
            "schema": SCHEMA,
            "chosen": name,
            "sentence": told,
            "closing": closing,
            "candidates": self.history_,
            "parameters": self._parameters(),
            "data": self.data_,
        }

    def _parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values; estimators of one's own by their names."""
        return {**self.get_params(), "models": None if self.models is None else list(self.models)}

    # ---- what the chosen model does

    def sample(self, n: int, *, given: Any = None, seed: int | None = None) -> Any:
        """`n` new rows of the chosen model, see there."""
        self._require_fitted()
        return self.model_.sample(n, given=given, seed=seed)

    def sample_dataset(self, n: int, *, given: Any = None, seed: int | None = None) -> Dataset:
        """`n` new rows of the chosen model; `made_by` names its class."""
        self._require_fitted()
        found: Dataset = self.model_.sample_dataset(n, given=given, seed=seed)
        return found

    def __getattr__(self, name: str) -> Any:
        """Whatever else the chosen model has: `log_prob`, `encode`, `codec_`, ..."""
        if name.startswith("_") or "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.model_, name)

    # ---- save and load

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the chosen model into `directory`, as `load` finds it, and beside it `choice.json`."""
        self._require_fitted()
        folder = Path(directory)
        self.model_.save(folder)
        write_text(folder / CHOICE, json.dumps(self.choice_, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls: type[Self], directory: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """The model saved in `directory` with how it was chosen; `pushforward.load` gives the chosen model alone."""
        choice = read_choice(Path(directory))
        return cls(**choice["parameters"])._adopt(Path(directory), device)

    def _adopt(self: Self, folder: Path, device: str | None = None) -> Self:
        from .. import load

        choice = read_choice(folder)
        self.model_, self.chosen_, self.choice_ = load(folder, device=device), choice["chosen"], choice
        self.closing_, self.history_, self.data_ = choice["closing"], choice["candidates"], choice["data"]
        self.interrupted_, self.steps_done_ = False, getattr(self.model_, "steps_done_", 0)
        return self

    def _is_done(self, folder: Path, resume: bool) -> bool:
        """Whether `folder` holds the finished choice that this fit would make; `InputError` for one that differs."""
        if (folder / CHOICE).exists() and resume:
            choice = read_choice(folder)
            same_data(folder, choice["data"], self.data_)
            same_parameters(folder, choice["parameters"], self._parameters(), ("device",))
            return True
        if (folder / TRIED).exists() and not resume:
            raise InputError(f"{folder}: already holds a run; resume it (resume=True), or choose another folder")
        saving.previous(folder, resume)
        return False

    def _require_fitted(self) -> None:
        if "model_" not in vars(self):
            raise InputError(f"this {type(self).__name__} is not fitted yet; call fit first, or load a saved one")


def read_choice(folder: Path) -> dict[str, Any]:
    """The content of `choice.json`. `InputError` where it is missing or damaged."""
    path = folder / CHOICE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise InputError(f"{path}: of another version ({content['schema']}); upgrade pushforward")
        return dict(content)
    except FileNotFoundError:
        raise InputError(
            f"{path}: this file is missing, so the model was not chosen by Auto; load it by pushforward.load"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(f"{path}: truncated or damaged; {MODEL} beside it may still be loaded by itself") from None
