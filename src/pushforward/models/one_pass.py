"""What all one-pass generators share: a network G that turns noise into rows, drawn from in one pass."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from ..data.dataset import Dataset
from ..data.sources import to_container
from ..errors import InputError
from .drawing import draw
from .folder import versions
from .trained import Trained


class OnePass(Trained):
    """A generator fitted to points `(n, d)`, tables or images; see `Trained` for what is learned."""

    noise_size: int | None
    # ---- sample

    def sample(
        self, n: int, *, given: Any = None, refine: str | None = None, real: Any = None, seed: int | None = None
    ) -> Any:
        """`n` new rows in the kind of container that the data came in; the same `seed` draws the same rows.

        given: what they are to meet, see `conditional.answer`. refine: how the critic is to improve them, a name of
        `refine.METHODS`; real: rows by which it is calibrated, where those of the fit are not to do.
        """
        return to_container(self.sample_dataset(n, given=given, refine=refine, real=real, seed=seed))

    def sample_dataset(
        self, n: int, *, given: Any = None, refine: str | None = None, real: Any = None, seed: int | None = None
    ) -> Dataset:
        """`n` new rows; `made_by` says how: the tool, its version, the class, the model's id and the seed; and what
        was asked for, or how they were refined, with how many rows were tried, where something was."""
        self._require_fitted()
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, not {n}")
        if refine is not None:
            return self._refined(n, refine, given=given, real=real, seed=seed)
        seed = secrets.randbits(31) if seed is None else seed
        if given is None:
            drawn, report = draw(self.generator_, self.codec_, n, seed), None
        else:
            from .conditional import answer

            drawn, report = answer(self, n, given, seed)
        made_by = {
            "tool": "pushforward",
            "version": versions()["pushforward"],
            "class": type(self).__name__,
            "model": self.id_,
            "seed": seed,
        }
        return replace(drawn, made_by=made_by if report is None else {**made_by, "given": report})

    def _refined(self, n: int, method: str, *, given: Any, real: Any, seed: int | None) -> Dataset:
        from .refine import refined

        if given is not None:
            raise InputError("given and refine cannot be had at once; sample with one of them")
        found = refined(self, n, method, real=real, seed=seed)
        if found.weights is not None:
            raise InputError(
                f"refine={method!r} weighs rows and leaves them as they are; take refine='resample', or rows with "
                "their weights by models.refine.refined"
            )
        report = found.report.to_dict()
        del report["figures"], report["method"]
        return replace(found.dataset, made_by={**(found.dataset.made_by or {}), "refinement": report})

    def _calibrate(self, dataset: Dataset, held: Dataset | None) -> None:
        """What the critic's scores are worth, by rows held out or else by training rows: `refine` builds on it."""
        from .refine import measure

        of = "training rows" if held is None else "rows held out of training"
        self.calibration_ = measure(self, dataset if held is None else held, of=of, seed=self.seed)
