"""Fitting `coordinates.Coordinates`: scales, order, ridge regressions, mixtures, and what they explain."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import silu
from torch.special import ndtri

from . import coordinates as c
from .coordinates import Coordinates, Monotone

if TYPE_CHECKING:
    from .columns import Column
    from .marginals import Marginal
    from .tables import Field, TableCodec

LAYERS = ("in_w", "in_b", "mid_w", "mid_b", "out_w", "out_b")


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows: latents u and values w `(n, k)`, 0 where not `there`; looked-at categories `cats` `(n, c)`."""

    u: Tensor
    w: Tensor
    there: Tensor
    cats: Tensor

    def take(self, rows: Tensor) -> Rows:
        return Rows(self.u[rows], self.w[rows], self.there[rows], self.cats[rows])

    def __len__(self) -> int:
        return len(self.u)


def fit(codec: TableCodec, rows: Tensor, *, seed: int, components: int, fixed: Collection[int]) -> Coordinates | None:
    """See `Coordinates.fit`."""
    k = codec.n_numeric
    if k == 0 or len(rows) < c.FEWEST_ROWS:
        return None
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(rows), generator=generator)[: c.FIT_ROWS]
    scales = tuple(_scale(m, _offset(f.column)) for m, f in zip(codec.marginals, _numbers(codec), strict=True))
    data, seen, present = _rows(codec, rows[chosen].cpu(), scales)
    order, straight = _order(data.take(torch.arange(min(len(data), c.ORDER_ROWS))), scales, fixed)
    low, high = _bounds(data)
    start = Coordinates(order, straight, (True,) * k, (0.0,) * k, seen, present, scales, (), {"low": low, "high": high})
    held = min(5000, len(data) // 5)
    train, valid = data.take(torch.arange(held, len(data))), data.take(torch.arange(held))
    ridge, spread = _ridge(start, train)
    start = replace(start, arrays={**start.arrays, "ridge": ridge, "spread": spread})
    layers = _train(start, train, components, generator)
    fitted = replace(start, arrays={**start.arrays, **layers})
    gain = _gain(fitted, valid)
    active = tuple(g > c.LEAST_GAIN and j not in fixed for j, g in enumerate(gain))
    if not any(active):
        return None
    return replace(fitted, active=active, gain=gain, ranks=_ranks(fitted, data))


def _numbers(codec: TableCodec) -> list[Field]:
    return [f for f in codec.fields if f.marginal is not None]


def _offset(column: Column) -> float:
    """What to add to a column's ticks to have its values in units of its grid step."""
    return column.origin / column.step if column.step else 0.0


def _scale(marginal: Marginal, offset: float) -> Monotone:
    """u -> w: the value, on a log scale where it is positive, straight otherwise; in robust standard units."""
    values, cdf = marginal.values.double(), marginal.cdf.double()
    if marginal.discrete:  # the edges of the steps, so that a number rounds to the same value by u and by w
        gaps = values.diff() / 2 if len(values) > 1 else values.new_ones(1)
        values = torch.cat([values[:1] - gaps[:1], values[:-1] + gaps[: len(values) - 1], values[-1:] + gaps[-1:]])
        cdf = torch.cat([cdf.new_zeros(1), cdf])
    low, middle, high = (offset + float(values[torch.searchsorted(cdf, p).clamp(max=len(cdf) - 1)]) for p in _LEVELS)
    values = values + offset
    if low > 0 and float(values.min()) > -low / 2:
        floor = 1e-3 * low  # keeps the logarithm of the odd 0 finite
        values = torch.log(values.clamp_min(0) + floor)
        low, middle, high = (math.log(v + floor) for v in (low, middle, high))
    unit = (high - low) / 6 or 1.0
    return Monotone.through(ndtri(cdf.clamp(marginal.margin / 2, 1 - marginal.margin / 2)), (values - middle) / unit)


_LEVELS = torch.tensor([0.00135, 0.5, 0.99865], dtype=torch.float64)


def _rows(codec: TableCodec, rows: Tensor, scales: Sequence[Monotone]) -> tuple[Rows, tuple[int, ...], tuple[int, ...]]:
    """(the rows, which one-hot entries are looked at, which entry says that a slot is there)."""
    k, n = codec.n_numeric, len(rows)
    companion = {slot: place - k for slot, place in codec.companions}
    present = tuple(companion.get(j, -1) for j in range(k))
    counts = [torch.bincount(rows[:, k + i].long(), minlength=b.levels) for i, b in enumerate(codec.blocks[k:])]
    often = torch.cat(counts) >= max(c.RARE * n, 20) if counts else torch.zeros(0, dtype=torch.bool)
    seen = tuple(often.nonzero().flatten().tolist())
    cats, is_there = torch.zeros(n, len(seen)), torch.ones(n, k)
    for first in range(0, n, 32768):  # the one-hot groups of a wide table do not fit in memory all at once
        onehot = codec.expand(rows[first : first + 32768])[:, k:]
        cats[first : first + len(onehot)] = onehot[:, list(seen)]
        is_there[first : first + len(onehot)] = c.there(onehot, present)
    u = rows[:, :k].float()
    w = torch.stack([scale(u[:, j]) for j, scale in enumerate(scales)], 1)
    return Rows(u * is_there, w * is_there, is_there, cats), seen, present


def _bounds(data: Rows) -> tuple[Tensor, Tensor]:
    """The 0.1 % and 99.9 % levels of every w, over the rows where it is there."""
    out = []
    for j in range(data.u.shape[1]):
        w = data.w[data.there[:, j] > 0, j].sort().values
        out.append((w[int(0.001 * len(w))], w[min(len(w) - 1, int(0.999 * len(w)))]) if len(w) else (-1.0, 1.0))
    low, high = torch.tensor(out).unbind(1)
    return torch.minimum(low, torch.zeros(())), torch.maximum(high, torch.zeros(()))


def _order(data: Rows, scales: Sequence[Monotone], fixed: Collection[int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The order of the slots, first to last, and which of them are measured by w; see the coordinates' docstring."""
    k = data.u.shape[1]
    features = torch.cat([torch.ones(len(data), 1), data.u.clamp(-3.5, 3.5), data.w.clamp(-5, 5), data.cats], 1)
    features = features.double()
    density = [_log_slope(data, scales, j) for j in range(k)]
    rest, order, straight = list(range(k)), [], [False] * k
    gram = features.T @ features + 1e-3 * torch.eye(features.shape[1], dtype=torch.float64)
    while rest:
        others = [(j, [i for i in rest if i != j]) for j in rest]
        explained = {j: _explained(data, j, features, gram, k, past, density[j]) for j, past in others}
        by_w = {j: w > max(u, c.NARROW) for j, (u, w) in explained.items()}
        last = max(rest, key=lambda j: (j not in fixed, explained[j][by_w[j]]))
        straight[last] = by_w[last]
        order.append(last)
        rest.remove(last)
    return tuple(reversed(order)), tuple(straight)


def _explained(
    data: Rows, j: int, features: Tensor, gram: Tensor, k: int, past: list[int], slope: float
) -> tuple[float, float]:
    """Nats a row that slots `past` and the categories explain of slot j, measured by u and by w."""
    there = data.there[:, j] > 0
    if int(there.sum()) < 50:
        return 0.0, -1.0
    used = torch.tensor([0, *[1 + i for i in past], *[1 + k + i for i in past], *range(1 + 2 * k, features.shape[1])])
    x, whole = features[there][:, used], bool(there.all())
    square = gram[used][:, used] if whole else x.T @ x + 1e-3 * torch.eye(len(used), dtype=torch.float64)
    targets = torch.stack([data.u[there, j], data.w[there, j].clamp(-8, 8)], 1).double()
    residual = targets - x @ torch.linalg.solve(square, x.T @ targets)
    spread = residual.abs().median(0).values / 0.6745 + 1e-6
    return -math.log(float(spread[0])), slope - math.log(float(spread[1]))


def _log_slope(data: Rows, scales: Sequence[Monotone], j: int) -> float:
    """Mean log dw/du over rows: turns nats about w into nats about u."""
    u = data.u[data.there[:, j] > 0, j]
    return float(scales[j].slope(u).double().log().mean()) if len(u) else 0.0


def _inputs(map: Coordinates, data: Rows) -> Tensor:
    return torch.cat([map.context(data.u, data.w), data.cats], 1)


def _masks(order: tuple[int, ...], n_cats: int) -> Tensor:
    """`(k, 2k + c)`: what slot j may look at."""
    return torch.stack([torch.cat([c.before(order, j), torch.ones(n_cats)]) for j in range(len(order))])


def _targets(map: Coordinates, data: Rows) -> Tensor:
    """t `(n, k)`: u or w."""
    return torch.where(torch.tensor(map.straight), data.w, data.u)


def _ridge(map: Coordinates, data: Rows) -> tuple[Tensor, Tensor]:
    """Coefficients `(k, 1 + 2k + c)` and residual spreads `(k,)`; three rounds of Cauchy reweighting."""
    some = data.take(torch.arange(min(len(data), c.ORDER_ROWS)))
    x = torch.cat([torch.ones(len(some), 1), _inputs(map, some)], 1).double()
    targets, masks = _targets(map, some).double(), _masks(map.order, some.cats.shape[1])
    k, p = len(map.order), x.shape[1]
    ridge, spread = torch.zeros(k, p, dtype=torch.float64), torch.ones(k, dtype=torch.float64)
    for j in range(k):
        used = torch.cat([torch.zeros(1, dtype=torch.long), 1 + masks[j].nonzero().flatten()])
        there = some.there[:, j] > 0
        if int(there.sum()) < 50:
            continue
        a, y = x[there][:, used], targets[there, j]
        weight = torch.ones(len(a), 1, dtype=torch.float64)
        for _ in range(3):
            square = (a * weight).T @ a + 1e-3 * torch.eye(len(used), dtype=torch.float64)
            beta = torch.linalg.solve(square, (a * weight).T @ y)
            residual = y - a @ beta
            spread[j] = residual.abs().median() / 0.6745 + 1e-6
            weight = 1 / (1 + (residual[:, None] / (3 * spread[j])).square())
        ridge[j, used] = beta
    return ridge.float(), spread.float()


def _train(map: Coordinates, data: Rows, components: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The networks' layers, all slots at once, by Adam on the mean log density of the residuals."""
    k, x, masks = len(map.order), _inputs(map, data), _masks(map.order, data.cats.shape[1])
    place = torch.addmm(map.arrays["ridge"][:, 0], x, (map.arrays["ridge"][:, 1:]).T)
    residual = ((_targets(map, data) - place) / map.arrays["spread"]).clamp(-c.REACH, c.REACH)
    layers = _layers(k, x.shape[1], components, generator)
    adam = torch.optim.Adam(layers.values(), lr=c.RATE, betas=(0.9, 0.99), fused=True)
    batch = max(64, min(c.BATCH, len(data) // 8))
    work = 6 * batch * k * (x.shape[1] * c.WIDTH + c.WIDTH**2 + 3 * components * c.WIDTH)
    steps = int(min(c.STEPS, max(100, c.OPERATIONS / work), max(100, c.EPOCHS * len(data) / batch)))
    for step in range(steps):
        adam.param_groups[0]["lr"] = c.RATE * min(1, (step + 1) / 50) * (1 - step / steps)
        rows = torch.randint(len(data), (batch,), generator=generator)
        density = c.log_density(residual[rows].T, c.split(_apply(layers, x[rows], masks)))
        loss = -(density * data.there[rows].T).sum() / batch
        adam.zero_grad()
        loss.backward()
        adam.step()
    return {
        name: layer.detach().squeeze(1) if name.endswith("_b") else layer.detach() for name, layer in layers.items()
    }


def _layers(k: int, n_in: int, components: int, generator: torch.Generator) -> dict[str, Tensor]:
    def draw(a: int, b: int, gain: float = 1.0) -> Tensor:
        return torch.randn(k, a, b, generator=generator) * gain / math.sqrt(a)

    out_b = torch.zeros(k, 1, 3 * components)
    if components > 1:
        out_b[..., components : 2 * components] = torch.linspace(-1.5, 1.5, components)
        out_b[..., 2 * components :] = -0.7
    first = [draw(n_in, c.WIDTH), torch.zeros(k, 1, c.WIDTH), draw(c.WIDTH, c.WIDTH), torch.zeros(k, 1, c.WIDTH)]
    tensors = [*first, draw(c.WIDTH, 3 * components, 0.01), out_b]
    return {name: tensor.requires_grad_() for name, tensor in zip(LAYERS, tensors, strict=True)}


def _apply(layers: dict[str, Tensor], x: Tensor, masks: Tensor) -> Tensor:
    """`(n, in)` -> `(k, n, out)`, what `Coordinates.conditional` does for one slot."""
    in_w, in_b, mid_w, mid_b, out_w, out_b = (layers[name] for name in LAYERS)
    masked = (in_w * masks[..., None]).transpose(0, 1).flatten(1)  # (in, k * width): one product for all slots
    h = silu((x @ masked).unflatten(1, (len(in_w), -1)).transpose(0, 1) + in_b)
    h = h + silu(torch.baddbmm(mid_b, h, mid_w))
    return torch.baddbmm(out_b, h, out_w)


def _gain(map: Coordinates, data: Rows) -> tuple[float, ...]:
    """Held-out nats a row, by slot: log f(u | before, c) - log N(u; 0, 1)."""
    context, targets = map.context(data.u, data.w), _targets(map, data)
    out = []
    for j in range(len(map.order)):
        there = data.there[:, j] > 0
        place, parts = map.conditional(j, context[there], data.cats[there])
        spread = map.arrays["spread"][j]
        density = c.log_density((targets[there, j] - place) / spread, parts) - spread.log()
        u = data.u[there, j]
        if map.straight[j]:
            density = density + map.scales[j].slope(u).log()
        base = -(u.square() + math.log(2 * math.pi)) / 2
        out.append(float((density - base).mean()) if int(there.sum()) >= 50 else 0.0)
    return tuple(out)


def _ranks(map: Coordinates, data: Rows) -> tuple[Monotone, ...]:
    """R: the standardised residuals' quantiles to Gaussian ones, by slot."""
    targets, maps = _targets(map, data), []
    standards = torch.zeros_like(targets)
    for first in range(0, len(data), 32768):
        part = data.take(torch.arange(first, min(first + 32768, len(data))))
        context = map.context(part.u, part.w)
        for j in range(len(map.order)):
            place, parts = map.conditional(j, context, part.cats)
            t = targets[first : first + len(part), j]
            standards[first : first + len(part), j] = c.standard((t - place) / map.arrays["spread"][j], parts)
    for j in range(len(map.order)):
        z = standards[data.there[:, j] > 0, j].double().sort().values
        n = len(z)
        if n < 50:
            maps.append(Monotone(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0])))
            continue
        tail = torch.tensor([2.0**i for i in range(60) if 2.0**i < n / 256], dtype=torch.float64) / n
        even = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
        p = torch.cat([tail, even, 1 - tail]).unique().clamp(0.5 / n, 1 - 0.5 / n)
        maps.append(Monotone.through(z[(p * n).long().clamp(max=n - 1)], ndtri(p)))
    return tuple(maps)
