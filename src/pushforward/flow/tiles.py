"""Sums of exponentials, a tile at a time: what the fields in closed form are made of."""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

FLOOR = -60.0  # e^-60 is lost in any sum with a 1 in it, and numbers that underflow are a hundred times as slow
_CPU_TILE, _OTHER_TILE = 1 << 16, 1 << 24  # numbers in a tile: on a CPU, what stays in its cache
_LEAST_ROWS = 32  # of a tile


def tiles(rows: int, columns: Tensor) -> Iterator[slice]:
    """`rows` rows in slices: as many at a time as fit a tile of all `columns` (counted, and on their device)."""
    tile = _CPU_TILE if columns.device.type == "cpu" else _OTHER_TILE
    size = max(_LEAST_ROWS, tile // len(columns))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def weighted(
    exponents: Float[Tensor, "r n"], points: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, " r"], Float[Tensor, "r d"]]:
    """(ln sum_j e^exponent, the mean of `points` weighted so), row by row; overwrites `exponents`."""
    peak, k, total = _scaled(exponents)
    return (peak + total.log()).squeeze(1), (k @ points) / total


def log_sum(exponents: Float[Tensor, "r n"]) -> Float[Tensor, " r"]:
    """ln sum_j e^exponent, row by row; overwrites `exponents`."""
    peak, _, total = _scaled(exponents)
    return (peak + total.log()).squeeze(1)


def _scaled(exponents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(the largest exponent of each row, e^(exponent - largest), the sums of those)."""
    peak = exponents.amax(1, keepdim=True)
    k = exponents.sub_(peak).clamp_min_(FLOOR).exp_()
    return peak, k, k.sum(1, keepdim=True)
