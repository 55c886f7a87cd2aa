"""Particles: rows that follow a velocity from wherever they are to the data.

    y_{k+1} = y_k + rate * velocity(y_k, x_k; progress k/(steps - 1)),      x_k a fresh batch of the data

No network is needed for the rows themselves: this is the velocity alone, to look at or to refine samples with. In the
limit of many rows and small steps, q_t moves by dq/dt = -div(q_t v), the gradient flow of what the velocity descends.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Generator, Tensor

from pushforward.errors import InputError
from pushforward.flow.velocities import Learner, Velocity, velocity_by_name

BATCH = 1024  # data rows of a step


@final
@dataclass(frozen=True, eq=False)
class Transported:
    """Where the rows went: `rows` `(m, *event)`; `path` `(keep, m, *event)`, evenly spaced from start to end.

    `speed` is the mean displacement of a row in each step, in the data's units; `seconds` the time of all steps. `rows`
    and `path` are what the starting rows were (array or tensor, their dtype where it is a floating one).
    """

    rows: Any
    path: Any
    speed: tuple[float, ...]
    seconds: float

    def __repr__(self) -> str:
        speed = f", speed={self.speed[0]:.3g} to {self.speed[-1]:.3g}" if self.speed else ""
        shape = " x ".join(str(n) for n in self.rows.shape)
        return f"Transported(rows={shape}, path={len(self.path)}, steps={len(self.speed)}{speed})"

    def _repr_html_(self) -> str:
        """What a notebook shows: how far the rows went, and where those of the plane lie."""
        from pushforward.report import card

        return card(self)

    def plot(self, what: str | None = None, **options: Any) -> Any:
        """An Altair chart: "rows" of the plane with the way that they took, or the "speed"; see `report.plot`."""
        from pushforward.report import plot

        return plot(self, what, **options)


def transport(
    x0: Any,
    data: Any,
    velocity: str | Velocity = "score-difference",
    *,
    steps: int | None = None,
    rate: float = 1.0,
    batch: int | None = None,
    seed: int = 0,
    keep: int = 0,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Transported:
    """Move the rows `x0` `(m, *event)` along a velocity until they are distributed like `data` `(n, *event)`.

    Both are arrays or tensors of points `(., d)` or images `(., c, h, w)`. A `velocity` by name is made for the data,
    on rows in units of their deviation (points: of each coordinate; images: of all pixels) and in float32; an object is
    called on rows in their own units, as it was made for them. `steps` defaults to what suits the name (200, or 50 for
    wasserstein), `batch` to all data up to 1024 rows; `keep` snapshots go into the path. `callback(step, rows)` sees
    the rows after each step.

    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> data = 5 + 2 * torch.randn(500, 2, generator=g)
    >>> moved = transport(torch.randn(300, 2, generator=g), data, steps=40)
    >>> bool((moved.rows.mean(0) - 5).abs().max() < 0.3)
    True

    `InputError` for rows that do not match, fewer than 2 of them, missing or infinite values, constant data, an unknown
    velocity, and steps, rates and batches that are not positive.
    """
    start, x = _checked(x0, "x0"), _checked(data, "data")
    if start.shape[1:] != x.shape[1:]:
        raise InputError(
            f"rows of x0 have shape {tuple(start.shape[1:])} but rows of data {tuple(x.shape[1:])}; they must be alike"
        )
    _check_numbers(steps, rate, batch, keep)
    x = x.to(start.device)
    centre, scale = _units(x)
    named = isinstance(velocity, str)
    shift, unit = (centre, scale) if named else (torch.zeros_like(centre), torch.ones_like(scale))
    x, y = ((x.double() - shift) / unit).float(), ((start.double() - shift) / unit).float()
    if isinstance(velocity, str):
        row = velocity_by_name(velocity)
        steps, velocity = steps or row.steps, row.make(x, seed=seed)
    count = steps or 200
    kept = {round(k * count / max(1, keep - 1)) if keep > 1 else count for k in range(keep)}
    path, speed = ([y] if 0 in kept else []), []
    generator = torch.Generator(device=x.device).manual_seed(seed)
    began = time.perf_counter()
    for step in range(count):
        moved = _move(velocity, y, x, rate, step / max(1, count - 1), min(len(x), batch or BATCH), generator)
        speed.append(((moved - y) * unit).flatten(1).norm(dim=1).mean())
        y = moved
        path += [y] if step + 1 in kept else []
        if callback is not None:
            callback(step, (y * unit + shift).to(start.dtype))
    speeds = torch.stack(speed).tolist()
    seconds = time.perf_counter() - began
    rows = (y.double() * unit + shift).to(start.dtype)
    shots = (torch.stack(path).double() * unit + shift).to(start.dtype) if path else rows.new_empty((0, *rows.shape))
    return Transported(_like(rows, x0), _like(shots, x0), tuple(speeds), seconds)


def _move(
    velocity: Velocity, y: Tensor, x: Tensor, rate: float, progress: float, batch: int, generator: Generator
) -> Tensor:
    """One step of the rows `y`, against `batch` rows of the data."""
    if batch < len(x):
        x = x[torch.randint(len(x), (batch,), generator=generator, device=generator.device)]
    if isinstance(velocity, Learner):
        velocity.update(y, x, progress=progress, generator=generator)
    return y + rate * velocity(y, x, progress=progress, generator=generator)


def _checked(values: Any, name: str) -> Tensor:
    """`values` as a floating tensor of at least 2 rows, all finite."""
    if not isinstance(values, Tensor):
        array = np.array(values)
        if array.dtype.kind not in "biufc":
            raise InputError(f"{name} holds {array.dtype} values, not real numbers; encode them first")
        values = torch.from_numpy(array)
    tensor: Tensor = values.detach()
    if tensor.is_complex():
        raise InputError(f"{name} holds complex numbers; give their real and imaginary parts as columns")
    tensor = tensor if tensor.is_floating_point() else tensor.float()
    if tensor.ndim < 2:
        raise InputError(f"{name} has shape {tuple(tensor.shape)}; give rows: points (n, d) or images (n, c, h, w)")
    if len(tensor) < 2:
        raise InputError(f"{name} has {len(tensor)} rows; a velocity compares samples, so give at least 2")
    bad = ~torch.isfinite(tensor.flatten(1)).all(1)
    if bad.any():
        raise InputError(f"{name} has a missing or infinite value in row {int(bad.nonzero()[0])}; drop such rows first")
    return tensor


def _check_numbers(steps: int | None, rate: float, batch: int | None, keep: int) -> None:
    for name, value in (("steps", steps), ("rate", rate), ("batch", batch)):
        if value is not None and not value > 0:
            raise InputError(f"{name} must be positive, not {value}")
    if batch is not None and batch < 2:
        raise InputError(f"a batch of {batch} cannot be compared; use at least 2")
    if keep < 0:
        raise InputError(f"keep must be 0 or more snapshots, not {keep}")


def _units(x: Tensor) -> tuple[Tensor, Tensor]:
    """(centre, deviation), float64: of each coordinate of points (1 where it is constant), of all pixels of images."""
    if x.ndim == 2:
        scale, centre = torch.std_mean(x.double(), 0, correction=0)
        varies = scale > 1e-12 * x.double().abs().amax(0)
    else:
        scale, centre = torch.std_mean(x.double(), correction=0)
        varies = (x != x[:1]).any().reshape(())
    if not bool(varies.any()):
        raise InputError("all rows of data are equal, so they have no scale; give data that vary")
    return centre, torch.where(varies, scale, torch.ones_like(scale))


def _like(rows: Tensor, given: Any) -> Any:
    return rows if isinstance(given, Tensor) else rows.cpu().numpy()
