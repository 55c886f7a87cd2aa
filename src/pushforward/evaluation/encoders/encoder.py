"""`Encoder`: pictures (or points) to features `(n, d)`, in which two sets are then compared.

An encoder is an object: its `name`, what it `reads` in one line, and a call. What it must know of the data (their
size; principal axes) it takes from `fit`, which is given the rows of ALL sets at once, real and fake together, without
saying which is which. Axes fitted on the real rows alone would know the labels: real rows vary more along their own
axes than new rows of the very same distribution do, and relabelling tests would reject too often. As a function of the
pooled rows, in any order, the features leave every test by relabelling exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from ...errors import InputError
from .preparation import Preparation

BATCH = 256
NUMBERS = 1 << 22  # that a batch of prepared pictures holds, at most
CPU = torch.device("cpu")
Network = Callable[[Tensor], Tensor]
Report = Callable[[int, int], None]


@final
@dataclass(frozen=True, eq=False)
class Encoder:
    """`encoder(rows)` -> features `(n, d)` float32 on the CPU, by the batch, on `device`, without gradients.

    `note`: what it is, in words; `key`: equal for two encoders only if they are the same; `kinds`: of data that it
    takes: "images", uint8 `(n, c, h, w)`, prepared by `preparation`, and "points", floats `(n, d)`, as they are.
    `width` and `shape` (of one row) are known once it is fitted; `fitting` is how, where there is more to it.
    """

    name: str
    note: str
    key: str
    network: Network | None = field(repr=False)
    preparation: Preparation | None = None
    kinds: tuple[str, ...] = ("images",)
    device: torch.device = CPU
    batch: int = BATCH
    width: int | None = None
    shape: tuple[int, ...] | None = None
    fitting: Callable[[Encoder, Tensor], Encoder] | None = field(default=None, repr=False)

    @property
    def reads(self) -> str:
        """What it reads and gives in one line: resizing, rounding, scale, width."""
        words = [self.note]
        if self.preparation and self.shape and len(self.shape) == 3:
            words.append(f"of {self.preparation.reads(self.shape)}")
        return " ".join(words) + (f"; {self.width:,} numbers" if self.width else "")

    def fit(self, rows: Tensor) -> Encoder:
        """This encoder, for rows like these: the rows of all sets that will be compared (see the module's docstring).

        One batch of two goes through it, so that a network that does not take such rows is told at once.
        """
        self._check(rows)
        fitted = self if self.fitting is None else self.fitting(self, rows)
        fitted = replace(fitted, shape=tuple(rows.shape[1:]))
        return replace(fitted, width=fitted(rows[:2]).shape[1])

    def __call__(self, rows: Tensor, *, report: Report | None = None) -> Tensor:
        """Features `(n, d)` float32 of uint8 images `(n, c, h, w)`, or of points `(n, d')` where it takes points.

        `report(done, all)` is called after each batch. Raises `InputError` for rows that it cannot take, for a network
        that gives something else than one row of finite numbers for each, and for an encoder yet to be fitted.
        """
        self._check(rows)
        if self.network is None:
            raise InputError(f"encoder {self.name}: is not fitted yet; call its fit with the rows of all sets")
        done, parts = 0, []
        with torch.no_grad():
            for part in rows.split(self._rows_at_once(rows)):
                parts.append(self._features(part))
                done += len(part)
                if report is not None:
                    report(done, len(rows))
        features = torch.cat(parts)
        if not features.isfinite().all():
            row = int((~features.isfinite()).any(1).nonzero()[0])
            raise InputError(f"encoder {self.name}: gives NaN or infinite features for row {row + 1}; mend its network")
        return features

    def _rows_at_once(self, rows: Tensor) -> int:
        if self.preparation is None or rows.ndim != 4:
            return self.batch
        height, width = self.preparation.size_of(rows.shape)
        return max(1, min(self.batch, NUMBERS // (3 * height * width)))

    def _features(self, part: Tensor) -> Tensor:
        assert self.network is not None
        x = part.to(self.device)
        if x.is_floating_point():
            x = x.float()
        elif self.preparation is not None:
            x = self.preparation(x)
        found: Any = self.network(x)
        n = len(part)
        if not isinstance(found, Tensor) or found.shape[:1] != (n,) or found[0].numel() != found[0].shape[:1].numel():
            came = str(tuple(found.shape)) if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise InputError(
                f"encoder {self.name}: gives {came} for {n} rows, but a tensor ({n}, d) is expected, one row of "
                "features for each; average over positions, or pick one output"
            )
        return found.reshape(n, -1).float().cpu()

    def _check(self, rows: Tensor) -> None:
        form = f"{str(rows.dtype).removeprefix('torch.')} {tuple(rows.shape)}"
        if rows.ndim == 4 and rows.dtype == torch.uint8 and rows.shape[1] in (1, 3):
            kind = "images"
        else:
            kind = "points" if rows.ndim == 2 and rows.is_floating_point() else "neither"
        if kind not in self.kinds:
            wanted = {"images": "images, uint8 (n, c, h, w) with c = 1 or 3", "points": "points, floats (n, d)"}
            raise InputError(
                f"encoder {self.name}: reads {' or '.join(wanted[known] for known in self.kinds)}, not {form}"
            )
        if not rows.numel():
            raise InputError(f"encoder {self.name}: there is nothing to encode in {form}; give at least one row")


def guarded(name: str, network: Callable[..., Any]) -> Network:
    """A network that is not ours: what it raises about its input becomes one sentence."""

    def call(x: Tensor) -> Tensor:
        try:
            found: Tensor = network(x)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = next(
                (line for line in reversed(lines) if "Error:" in line), lines[0] if lines else "no reason given"
            )
            raise InputError(
                f"encoder {name}: cannot take {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)} "
                f"({told.rstrip('.')}); say what it reads by size, channels and scale"
            ) from error
        return found

    return call
