"""What the critic sees of an image batch, data and samples alike: pure, differentiable, each image with its own draw.

The same random change is offered to both sides, so a critic cannot tell by it, and a small data set does not tell its
rows apart by it. A share of the images is left as it is, without which the generator might learn the changes (Karras et
al. 2020, section 2.2). Images are `(n, c, h, w)` in [-1, 1].

    shift          by whole pixels, the edge repeated
    diff_augment   DiffAugment (Zhao et al. 2020, section 4): brightness, saturation, contrast, translation, cutout

    brightness     x + U(-.5, .5)
    saturation     m + r (x - m),  r ~ U(0, 2),     m the mean over the channels, pixel by pixel
    contrast       m + r (x - m),  r ~ U(.5, 1.5),  m the image's mean
    translation    by up to an eighth of either side, 0 (mid grey) let in
    cutout         a square of half the sides set to 0, its centre anywhere
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .draw import Draw

MOVED = 0.5  # share of the images that `shift` moves
TRANSLATION, CUTOUT = 1 / 8, 1 / 2  # of a side (Zhao et al. 2020)

Images = Float[Tensor, "n c h w"]


def shift(images: Images, most: int, draw: Draw) -> Images:
    """Each image moved by its own whole number of pixels, up to `most` each way, or (half of them) not at all."""
    n = len(images)
    moves = draw.integers(-most, most + 1, n, 2).T * (draw.uniform(n) < MOVED)
    rows, columns = _places(images, moves[0], moves[1])
    return _taken(images, rows.clamp(0, images.shape[2] - 1), columns.clamp(0, images.shape[3] - 1))


def diff_augment(images: Images, draw: Draw, share: float | Float[Tensor, ""] = 1.0) -> Images:
    """All five changes in turn, each to every image with probability `share` on its own."""
    n, _, *sides = images.shape
    chances = draw.uniform(n, 5).T
    on = chances < share
    draws = draw.uniform(n, 3).to(images.dtype).T
    images = colour(images, *torch.where(on[:3], draws, 0.5))
    most = [max(1, _part(TRANSLATION, side)) for side in sides]
    images = translate(images, *(draw.integers(-m, m + 1, n) * on[3] for m in most))
    down, right = (draw.integers(0, side + (_part(CUTOUT, side) + 1) % 2, n) for side in sides)
    return cut_out(images, down, right, on[4])


def _part(share: float, side: int) -> int:
    """A share of a side in whole pixels, halves upwards."""
    return int(share * side + 0.5)


def colour(
    images: Images, brightness: Float[Tensor, " n"], saturation: Float[Tensor, " n"], contrast: Float[Tensor, " n"]
) -> Images:
    """Brightness, saturation and contrast by draws in (0, 1), of which 1/2 changes nothing."""
    images = images + (_each(brightness) - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + 2 * _each(saturation) * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (_each(contrast) + 0.5) * (images - mean)


def translate(images: Images, down: Tensor, right: Tensor) -> Images:
    """Image i moved by `down[i]` and `right[i]` pixels `(n,)`, zeros let in."""
    _, _, h, w = images.shape
    rows, columns = _places(images, -down, -right)
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[:, None, None, :]
    return _taken(images, rows.clamp(0, h - 1), columns.clamp(0, w - 1)) * inside


def cut_out(images: Images, down: Tensor, right: Tensor, on: Tensor) -> Images:
    """A box of `CUTOUT` times the sides, centred at pixel (`down[i]`, `right[i]`), set to 0 where `on[i]`."""
    device, (h, w) = images.device, images.shape[2:]

    def covered(centre: Tensor, side: int) -> Tensor:
        size = max(1, _part(CUTOUT, side))
        first = (centre - size // 2)[:, None]
        at = torch.arange(side, device=device)
        return (at >= first) & (at < first + size)

    hole = covered(down, h)[:, None, :, None] & covered(right, w)[:, None, None, :] & on[:, None, None, None]
    return images * ~hole


def _each(draws: Tensor) -> Tensor:
    return draws[:, None, None, None]


def _places(images: Images, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel's row and column is taken from: `(n, h)`, `(n, w)`."""
    h, w = images.shape[2:]
    rows = down[:, None] + torch.arange(h, device=images.device)
    return rows, right[:, None] + torch.arange(w, device=images.device)


def _taken(images: Images, rows: Tensor, columns: Tensor) -> Images:
    n, c, h, w = images.shape
    moved = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
    return moved.gather(3, columns[:, None, None, :].expand(n, c, h, w))


# ---- views: random changes that leave what a row is as it was (contrastive learning)


def warp(images: Images, draw: Draw, *, turn: float, zoom: float, move: float, stretch: float = 0.0) -> Images:
    """Each image turned by up to `turn` radians, magnified by up to exp(`zoom`) and moved by up to `move` of a side,
    each way, its sides stretched against each other by up to exp(`stretch`); between pixels linear, the edge repeated.

    With c the pixel's place in [-1, 1]^2, the value at c is taken from  R(angle) diag(e^-zoom-stretch, e^-zoom+stretch)
    c + m.
    """
    n = len(images)
    angle, size, across, right, down = (2 * draw.uniform(n, 5) - 1).to(images.dtype).T
    angle, size, across = turn * angle, zoom * size, stretch * across
    wide, high = torch.exp(-size - across), torch.exp(-size + across)
    cos, sin = angle.cos(), angle.sin()
    rows = [cos * wide, -sin * high, 2 * move * right, sin * wide, cos * high, 2 * move * down]
    return _sampled(images, torch.stack(rows, 1).view(n, 2, 3))


def crop(images: Images, draw: Draw, *, least: float) -> Images:
    """A random window of each image at its size: of an area in [`least`, 1] of the whole, of sides whose ratio is in
    [3/4, 4/3] of the image's, anywhere inside (Szegedy et al. 2015)."""
    n = len(images)
    area, ratio, right, down = draw.uniform(n, 4).to(images.dtype).T
    area = least + (1 - least) * area
    root = (4 / 3) ** (ratio - 0.5)
    wide, high = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
    none = torch.zeros_like(wide)
    rows = [wide, none, (1 - wide) * (2 * right - 1), none, high, (1 - high) * (2 * down - 1)]
    return _sampled(images, torch.stack(rows, 1).view(n, 2, 3))


def mirror(images: Images, draw: Draw) -> Images:
    """Half of the images, left for right."""
    return torch.where((draw.uniform(len(images)) < 0.5)[:, None, None, None], images.flip(3), images)


def jitter(images: Images, draw: Draw, *, brightness: float, saturation: float, contrast: float) -> Images:
    """`colour` by draws whose strengths are these shares of its own (1 for as much as `diff_augment`)."""
    draws = draw.uniform(len(images), 3).to(images.dtype).T
    strengths = (brightness, saturation, contrast)
    return colour(images, *(0.5 + by * (one - 0.5) for one, by in zip(draws, strengths, strict=True)))


def cut(images: Images, draw: Draw, *, share: float) -> Images:
    """`cut_out` for a `share` of the images."""
    n = len(images)
    down, right = (draw.integers(0, side, n) for side in images.shape[2:])
    return cut_out(images, down, right, draw.uniform(n) < share)


def corrupt(rows: Float[Tensor, "n d"], owners: Tensor, draw: Draw, *, share: float) -> Float[Tensor, "n d"]:
    """Each cell with probability `share` replaced by that of another row of the batch, of every process (SCARF, Bahri
    et al. 2022, algorithm 1).

    owners `(d,)`: the number of the cell that each place of a row belongs to, so that a number and the codes beside it
    change together. A cell keeps its column's law; what breaks is how columns go together.
    """
    n, cells = len(rows), int(owners.max()) + 1
    everyone = draw.gather(rows)
    chosen = draw.integers(0, len(everyone), n, cells)[:, owners]
    struck = (draw.uniform(n, cells) < share)[:, owners]
    return torch.where(struck, everyone.gather(0, chosen), rows)


def blur(rows: Float[Tensor, "n *d"], draw: Draw, *, spread: float) -> Float[Tensor, "n *d"]:
    """Gaussian noise of standard deviation `spread` added to every number."""
    return rows + spread * draw.normal(len(rows), *rows.shape[1:]).to(rows.dtype)


def _sampled(images: Images, maps: Float[Tensor, "n 2 3"]) -> Images:
    """The images at the places that affine `maps` send the pixels' places to."""
    places = affine_grid(maps, list(images.shape), align_corners=False)
    found: Tensor = grid_sample(images, places, padding_mode="border", align_corners=False)
    return found
