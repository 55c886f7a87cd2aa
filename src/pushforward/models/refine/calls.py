"""`refined`: rows of a fitted model that its critic has improved, and how that went."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from jaxtyping import Float
from torch import Tensor

from ...data.dataset import Dataset
from ...data.sources import read
from ...errors import InputError
from ...training.diagnostics.critic import auc
from ..drawing import joined, rng
from ..folder import versions
from .calibration import Calibration, Kind, calibrate
from .job import Drawn, Job, Options
from .methods import method as method_by_name
from .subject import Subject
from .tuning import tuned

if TYPE_CHECKING:
    from ..one_pass import OnePass

MOST_REAL = {"points": 20_000, "table": 20_000, "images": 4_000}  # rows that a critic is calibrated by, at most
FEWEST_TUNED = 100
TRAINED_ON = "training rows"


@final
@dataclass(frozen=True)
class Report:
    """How a refinement went. tried, accepted, acceptance: rows drawn, rows taken, and their ratio.

    effective: effective sample size. auc_before, auc_after: of real rows over samples and over refined rows, by the
    critic that refined (0.5: it cannot tell them apart; under 0.5, the rows please it more than data do). calibration:
    what was used, with its log losses beside the constant's; None where none was needed. figures: of the method.
    """

    method: str
    asked: int
    tried: int
    accepted: int
    acceptance: float
    effective: float
    auc_before: float | None
    auc_after: float | None
    calibration: Mapping[str, Any] | None
    figures: Mapping[str, Any]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@final
@dataclass(frozen=True, eq=False)
class Refined:
    """`dataset`: the rows, with how they were made. weights: of each row, of mean 1; None where all weigh the same."""

    dataset: Dataset
    report: Report
    weights: Float[Tensor, " n"] | None = field(default=None)


def refined(
    model: OnePass,
    n: int,
    method: str,
    *,
    real: Any = None,
    seed: int | None = None,
    options: Options | None = None,
) -> Refined:
    """`n` rows of `model`, refined by `method` of METHODS; the same `seed` gives the same rows.

    real: rows like those that the model was fitted on, best of all such as it was not fitted on, by which the critic is
    calibrated. Without them the calibration that the model keeps is used; where it keeps none, only `dot` and
    `dot-data` can be had, which need none.

    Raises `InputError` for an unknown method or option, a model whose critic cannot refine, real rows of another form
    or too few, and where `n` rows cannot be had in so many tries: never fewer rows than were asked.
    """
    options = options or Options()
    row = method_by_name(method)
    options.check(method, row.reads)
    if n < 1:
        raise InputError(f"the number of samples must be at least 1, not {n}")
    seed = secrets.randbits(31) if seed is None else seed
    subject = Subject.of(model)
    subject, calibration = _prepared(model, subject, real, seed, options)
    if row.calibrated and calibration is None:
        raise InputError(
            f"refine={method!r} needs to know what the critic's scores are worth, and this model keeps no calibration; "
            "give real=, rows that it was not trained on"
        )
    drawn = row.run(Job(subject, n, seed, options, calibration))
    parts = [subject.codec.decode(part, generator=rng(seed, "decode", i)) for i, part in enumerate(drawn.parts)]
    made_by = {
        "tool": "pushforward",
        "version": versions()["pushforward"],
        "class": type(model).__name__,
        "model": model.id_,
        "seed": seed,
        "refine": method,
    }
    report = _report(method, n, drawn, calibration)
    weights = None if drawn.weights is None else drawn.weights.cpu()
    return Refined(replace(joined(parts), made_by=made_by), report, weights)


def measure(model: OnePass, real: Any, *, of: str, seed: int = 0) -> dict[str, Any] | None:
    """The calibration of a fitted model's critic by rows `real` (`of` says which: "rows held out of training", or
    `TRAINED_ON`), JSON-able.

    None where the critic cannot refine, there is none, or the rows are too few: nothing is raised at the end of a fit.
    """
    try:
        subject = Subject.of(model)
        return calibration_of(subject, real, of=of, seed=seed).to_dict()
    except InputError:
        return None


def calibration_of(
    subject: Subject, real: Any, *, of: str = "rows given", seed: int = 0, kind: Kind = "auto"
) -> Calibration:
    """The calibration of the subject's critic by real rows and as many fresh samples."""
    _, x = subject.real(real, seed, MOST_REAL[subject.codec.kind])
    return _calibrated(subject, x, of, seed, kind)


def held_out(run: str | os.PathLike[str]) -> Dataset | None:
    """The rows that a run folder keeps as held out of training; None where it has none."""
    found = sorted(Path(run).glob("data/holdout.*"))
    return read(str(found[0])) if found else None


def _calibrated(subject: Subject, x: Tensor, of: str, seed: int, kind: Kind) -> Calibration:
    fake = subject.score(subject.rows(subject.noise(len(x), seed, "calibrate")))
    return calibrate(subject.score(x), fake, kind=kind, of=of, seed=seed)


def _prepared(
    model: OnePass, subject: Subject, real: Any, seed: int, options: Options
) -> tuple[Subject, Calibration | None]:
    """The subject, its critic trained on where that is asked, and its calibration, where one can be had."""
    if real is None:
        if options.tune or options.calibration != "auto":
            name = "tune" if options.tune else "calibration"
            raise InputError(f"{name} needs real rows; give real=, rows that the model was not trained on")
        kept = getattr(model, "calibration_", None)
        return subject, None if kept is None else Calibration.from_dict(kept)
    _, x = subject.real(real, seed, MOST_REAL[subject.codec.kind])
    of = "rows given"
    if options.tune:
        if len(x) < FEWEST_TUNED:
            raise InputError(f"{len(x)} real rows are too few to train the critic on; give {FEWEST_TUNED}, or no tune")
        half = len(x) // 2
        subject = tuned(subject, x[:half], options.tune, seed)
        x, of = x[half:], "the rows given that tuning left"
    return subject, _calibrated(subject, x, of, seed, options.calibration)


def _report(method: str, n: int, drawn: Drawn, calibration: Calibration | None) -> Report:
    before = after = None
    told: dict[str, Any] | None = None
    if calibration is not None:
        before = calibration.auc
        if drawn.weights is None and len(drawn.scores) > 1:
            after = auc(calibration.real(), drawn.scores.double().cpu()).value
        told = {
            "kind": calibration.kind,
            "of": calibration.of,
            "rows": calibration.rows,
            "log_loss": calibration.log_losses.get(calibration.kind),
            "log_loss_of_constant": calibration.log_losses["constant"],
        }
    rate = drawn.accepted / drawn.tried
    words = [f"{method}: {n:,} rows, of {drawn.tried:,} tried (acceptance {_percent(rate)})"]
    words.append(f"effective sample size {drawn.effective:,.0f}")
    if before is not None:
        told_after = "" if after is None else f", {after:.3f} over these"
        words.append(f"the critic's AUC of real rows was {before:.3f} over the generator's{told_after}")
    if calibration is not None:
        words.append(_calibrated_by(method, calibration))
    if drawn.remark:
        words.append(drawn.remark)
    return Report(
        method=method,
        asked=n,
        tried=drawn.tried,
        accepted=drawn.accepted,
        acceptance=rate,
        effective=drawn.effective,
        auc_before=before,
        auc_after=after,
        calibration=told,
        figures=dict(drawn.figures),
        sentence="; ".join(words) + ".",
    )


def _calibrated_by(method: str, calibration: Calibration) -> str:
    """A clause on what the scores are worth."""
    by = f"the critic was calibrated by {calibration.rows:,} {calibration.of}"
    if not calibration.tells:
        told = "and tells nothing about them"
        return (
            f"{by}, {told}, so these are the generator's own" if method_by_name(method).calibrated else f"{by}, {told}"
        )
    return f"{by}, which it may know too well" if calibration.of == TRAINED_ON else by


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
