"""What every method of refinement is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from ...errors import InputError
from .calibration import Calibration, Kind
from .subject import Subject


@final
@dataclass(frozen=True)
class Options:
    """What can be chosen; a method refuses what it does not read.

    calibration: `auto`, `affine` or `isotonic` (see `calibration`).
    tune: steps that a copy of the critic is first trained on for, on half of the real rows against the finished
    generator (see `tuning`).
    most_tries: of `drs` and `mh`: rows tried for each row asked, before it is given up with an error.
    percentile: of `drs`: the shift gamma is this percentile of F (such as 95); None for
    gamma = 0, which is exact.
    chain: of `mh`: proposals to each chain; by default as many as bring it within 1 % of its goal, at most 640.
    pool: of `resample`: candidates to each row asked.
    steps, rate: of `dot` and `dgflow`: steps and their length (of `dot`: the first's); by default 20 steps, and the
    length that suits.
    lipschitz: of `dot`: K; by default measured, and lowered where that makes rows score as data do.
    divergence, noise: of `dgflow`: `kl`, `logd` or `js`, and the weight of entropy.
    """

    calibration: Kind = "auto"
    tune: int = 0
    most_tries: int = 1000
    percentile: float | None = None
    chain: int | None = None
    pool: int = 10
    steps: int | None = None
    rate: float | None = None
    lipschitz: float | None = None
    divergence: str = "kl"
    noise: float = 0.0

    def check(self, method: str, reads: tuple[str, ...]) -> None:
        """`InputError` for an option that the method does not read, or out of its range."""
        for one in fields(self):
            if getattr(self, one.name) != one.default and one.name not in reads:
                known = ", ".join(reads)
                raise InputError(f"{one.name} is not an option of {method!r}, which has {known}; leave it out")
        for name in ("most_tries", "chain", "pool", "steps", "rate", "lipschitz"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be positive, not {value}")
        if self.percentile is not None and not 0 <= self.percentile <= 100:
            raise InputError(f"percentile must lie between 0 and 100, not {self.percentile}")
        if self.noise < 0 or self.tune < 0:
            name = "noise" if self.noise < 0 else "tune"
            raise InputError(f"{name} must be at least 0, not {getattr(self, name)}")


@final
@dataclass(frozen=True, eq=False)
class Job:
    """`n` rows of `subject`, by a `calibration` of its critic (None where there is none and none is needed)."""

    subject: Subject
    n: int
    seed: int
    options: Options
    calibration: Calibration | None

    def ratio(self, scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The calibrated log p/q, float64."""
        assert self.calibration is not None
        return self.calibration(scores)


@final
@dataclass(frozen=True, eq=False)
class Drawn:
    """`parts`: encoded rows by the chunk, as the codec decodes them. `scores`: the critic's, of every row.

    tried, accepted: rows drawn, and taken. effective: effective sample size. weights: of each row, of mean 1.
    figures: what else was measured. remark: a clause for the report, or empty.
    """

    parts: Iterable[Tensor]
    scores: Float[Tensor, " n"]
    tried: int
    accepted: int
    effective: float
    weights: Float[Tensor, " n"] | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


@final
@dataclass(frozen=True)
class Method:
    """A row of METHODS. reads: the options it has. calibrated: it needs a calibration. weighted: rows have weights."""

    name: str
    does: str
    source: str
    run: Callable[[Job], Drawn]
    reads: tuple[str, ...]
    calibrated: bool = True
    weighted: bool = False


def gave_up(method: str, n: int, accepted: int, tried: int, remedy: str) -> InputError:
    """The error of a method that cannot give as many rows as were asked."""
    rate = accepted / tried
    return InputError(
        f"refine={method!r} accepted {accepted:,} of {tried:,} rows ({100 * rate:.2g} %), fewer than the {n:,} asked, "
        f"and was given up; {remedy}"
    )
