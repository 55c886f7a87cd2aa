"""The table of regularisers, and how words become a list of them: `r1+r2`, `gp:10`, `r1:0.1+spectral-norm+pack:2`."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ...errors import InputError
from ..augment import diff_augment
from .base import Regulariser
from .gradient import Dragan, Lipschitz, ZeroCentred
from .memory import Replay
from .scores import Consistency, LeCam, Smooth, jitter
from .seen import Adaptive, Deviation, DiffAugment, Noise, Pack
from .unrolled import Unroll
from .weights import Clip, Historical, SpectralNorm


@dataclass(frozen=True)
class Setting:
    """What a regulariser is made from: its own number (None: its default) and what the data say.

    gamma: first and last weight of a zero-centred penalty, from the data's scale. gp: the weight of a penalty that
    holds the slope at 1. rows: of training data. batch: rows of a batch. event_shape: of a row, encoded. images:
    whether rows are images. scales: squared distances in the encoded data, E|x - E x|^2 and that between neighbours
    (None: as of entries that vary by 1, and neighbours a tenth of that apart). row_shape: of what the critic sees as
    one row, where that is more than the data.
    """

    number: float | None
    gamma: tuple[float, float]
    rows: int
    batch: int
    event_shape: tuple[int, ...]
    images: bool = False
    seed: int = 0
    gp: float = 10.0
    scales: tuple[float, float] | None = None
    row_shape: tuple[int, ...] | None = None

    def given(self, default: float) -> float:
        """The number, or `default`."""
        return default if self.number is None else self.number

    @property
    def deviations(self) -> tuple[float, float]:
        """Of one entry: over all of the data, and between neighbours (some, even where many rows are equal)."""
        d = math.prod(self.event_shape)
        spread, local = self.scales or (float(d), d / 100)
        return math.sqrt(spread / d), math.sqrt(max(local, 1e-4 * spread) / d)


Make = Callable[[Setting], Regulariser]


@dataclass(frozen=True)
class Bounds:
    """The numbers that a regulariser takes: from `low` (or above it, where `open`) to `high`."""

    low: float = 0.0
    high: float = math.inf
    whole: bool = False
    open: bool = False

    def __contains__(self, number: float) -> bool:
        if not math.isfinite(number) or (self.whole and number != int(number)):
            return False
        return self.low <= number <= self.high and not (self.open and number == self.low)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"above {self.low:g}" if self.open else f"of at least {self.low:g}"
        return f"{kind} {low}" if math.isinf(self.high) else f"{kind} {low} and at most {self.high:g}"


@dataclass(frozen=True)
class Row:
    """One regulariser: how it is made, what its number means, what it does, who proposed it, and which numbers it takes
    (None: it has none)."""

    make: Make
    number: str
    does: str
    source: str
    bounds: Bounds | None = Bounds()


def _zero_centred(*, data: bool, samples: bool) -> Make:
    def make(setting: Setting) -> Regulariser:
        first, last = setting.gamma if setting.number is None else (setting.number, setting.number / 10)
        return ZeroCentred(first, last, data=data, samples=samples)

    return make


def _lipschitz(*, one_sided: bool) -> Make:
    return lambda setting: Lipschitz(setting.given(setting.gp), one_sided=one_sided)


def _noise(setting: Setting) -> Regulariser:
    return Noise(setting.given(setting.deviations[0] / 2))


def _bcr(setting: Setting) -> Regulariser:
    change = diff_augment if setting.images else jitter(setting.deviations[1] / 2)
    return Consistency(setting.given(10.0), change)


def _of_images(name: str, make: Make) -> Make:
    def checked(setting: Setting) -> Regulariser:
        if not setting.images:
            raise InputError(f"{name} changes images, and these rows are none; take bcr, noise or pack:2 instead")
        return make(setting)

    return checked


def _replay(setting: Setting) -> Regulariser:
    return Replay(int(setting.given(10.0)) * setting.batch, setting.row_shape or setting.event_shape)


_FALLS = "first weight, which falls tenfold; by default both ends from the data's scale"
_POSITIVE = Bounds(open=True)

REGULARISERS: Mapping[str, Row] = MappingProxyType(
    {
        "r1": Row(
            _zero_centred(data=True, samples=False), _FALLS, "gamma/2 |grad D|^2 at data", "Mescheder et al. 2018"
        ),
        "r2": Row(
            _zero_centred(data=False, samples=True), _FALLS, "gamma/2 |grad D|^2 at samples", "Mescheder et al. 2018"
        ),
        "gp": Row(
            _lipschitz(one_sided=False),
            "weight; 10, of points 1",
            "weight (|grad D| - 1)^2 between data and samples",
            "Gulrajani et al. 2017",
        ),
        "gp-one-sided": Row(
            _lipschitz(one_sided=True),
            "weight; 10, of points 1",
            "weight max(0, |grad D| - 1)^2 between data and samples",
            "Petzka et al. 2018",
        ),
        "dragan": Row(
            lambda setting: Dragan(setting.given(10.0)),
            "weight; 10",
            "weight (|grad D| - 1)^2 in the data's neighbourhood",
            "Kodali et al. 2017",
        ),
        "clip": Row(
            lambda setting: Clip(setting.given(0.01)),
            "largest weight; 0.01",
            "the critic's weights are clipped after each of its steps",
            "Arjovsky et al. 2017",
            _POSITIVE,
        ),
        "spectral-norm": Row(
            lambda setting: SpectralNorm(),
            "none",
            "every layer of the critic has spectral norm 1",
            "Miyato et al. 2018",
            None,
        ),
        "lecam": Row(
            lambda setting: LeCam(setting.given(0.3)),
            "weight; 0.3",
            "scores of each side are held to the moving average of the other's",
            "Tseng et al. 2021",
        ),
        "noise": Row(
            _noise,
            "first deviation, in encoded units; half of the data's",
            "noise on data and samples, which falls to none over the run",
            "Soenderby et al. 2017",
        ),
        "smooth": Row(
            lambda setting: Smooth(setting.given(0.1)),
            "amount; 0.1",
            "data are labelled 1 - amount: amount D(x) more (logistic losses only)",
            "Salimans et al. 2016",
            Bounds(high=0.5),
        ),
        "bcr": Row(
            _bcr,
            "weight; 10",
            "weight |D(x) - D(T(x))|^2 on both sides, T as diffaugment or noise between neighbours",
            "Zhao et al. 2021",
        ),
        "diffaugment": Row(
            _of_images("diffaugment", lambda setting: DiffAugment(setting.given(1.0))),
            "probability of each change; 1",
            "images are shown in other colours, moved and cut out, differentiably",
            "Zhao et al. 2020",
            Bounds(high=1.0, open=True),
        ),
        "ada": Row(
            _of_images("ada", lambda setting: Adaptive(setting.given(0.6))),
            "mean sign of D on data that is aimed at; 0.6",
            "as diffaugment, with a probability that follows the critic's overfitting",
            "Karras et al. 2020",
            Bounds(high=1.0, open=True),
        ),
        "pack": Row(
            lambda setting: Pack(int(setting.given(2.0))),
            "rows; 2",
            "the critic scores several rows at once",
            "Lin et al. 2018",
            Bounds(2.0, 4.0, whole=True),
        ),
        "minibatch-std": Row(
            lambda setting: Deviation(),
            "none",
            "the critic sees how far rows of a group differ",
            "Karras et al. 2018",
            None,
        ),
        "historical": Row(
            # at the paper's unstated weight of 1 a run of 400 steps hardly leaves its start (ring-8)
            lambda setting: Historical(setting.given(1e-3)),
            "weight; 0.001",
            "weight |w - mean of w so far|^2 for both players",
            "Salimans et al. 2016",
        ),
        "replay": Row(
            _replay,
            "batches kept; 10",
            "half of the critic's samples are old ones",
            "Shrivastava et al. 2017",
            Bounds(1.0, 1000.0, whole=True),
        ),
        "unroll": Row(
            lambda setting: Unroll(int(setting.given(5.0))),
            "steps; 5",
            "the generator plays against the critic a few steps ahead",
            "Metz et al. 2017",
            Bounds(1.0, 20.0, whole=True),
        ),
    }
)

Words = str | Sequence[str | Regulariser]


def parse(words: Words) -> list[tuple[str, float | None] | Regulariser]:
    """The regularisers named: `none`, or names joined by `+`, each with its number after a colon.

    `InputError` for a name that is not in the table (it lists the known), a number that it does not take, or one named
    twice.
    """
    parts: list[str | Regulariser] = []
    for word in [words] if isinstance(words, str) else words:
        # a plus sign after an exponent's e belongs to the number
        parts += [word] if isinstance(word, Regulariser) else re.split(r"(?<!\de)\+", word)
    found: list[tuple[str, float | None] | Regulariser] = []
    for part in parts:
        if isinstance(part, Regulariser):
            found.append(part)
        elif part.strip() != "none":
            found.append(_one(part.strip()))
    names = [part[0] if isinstance(part, tuple) else part.name for part in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the regulariser {name!r} is named twice in {words!r}; name it once")
    return found


def _one(part: str) -> tuple[str, float | None]:
    name, colon, tail = part.partition(":")
    if name not in REGULARISERS:
        raise InputError(f"unknown regulariser {name!r}; choose none or some of {', '.join(REGULARISERS)}")
    if not colon:
        return name, None
    row = REGULARISERS[name]
    if row.bounds is None:
        raise InputError(f"{name} takes no number, so {part!r} has one too many; write {name}")
    try:
        number = float(tail)
    except ValueError:
        number = math.nan
    if number not in row.bounds:
        raise InputError(f"the number in {part!r} must be {row.bounds} ({row.number.partition(';')[0]})")
    return name, number


def regularisers(words: Words, setting: Callable[[float | None], Setting]) -> tuple[Regulariser, ...]:
    """The regularisers named by `words`; `setting` gives what each is made from, for the number it was given."""
    parsed = parse(words)
    named = {part[0]: part[1] for part in parsed if isinstance(part, tuple)}
    both = {"r1", "r2"} <= set(named) and named["r1"] == named["r2"]
    made: list[Regulariser] = []
    for part in parsed:
        if isinstance(part, Regulariser):
            made.append(copy.deepcopy(part))  # it remembers things: every run begins with it as it was given
        elif both and part[0] == "r1":  # one backward pass for the two of them
            made.append(_zero_centred(data=True, samples=True)(setting(part[1])))
        elif not (both and part[0] == "r2"):
            made.append(REGULARISERS[part[0]].make(setting(part[1])))
    return tuple(made)
