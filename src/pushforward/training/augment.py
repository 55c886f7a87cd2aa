"""What the critic sees of an image batch: each image moved by a few pixels, data and samples alike.

The same random move is offered to both sides, so a critic cannot tell by it, and a small data set does not tell its
rows apart by where they sit (Zhao et al. 2020, differentiable augmentation). A share of the images stays put, without
which the generator might learn the moves (Karras et al. 2020, section 2.2). The edge is repeated where the image
leaves a gap.
"""

import torch
from jaxtyping import Float
from torch import Tensor

MOVED = 0.5  # share of the images that are moved


def shift(images: Float[Tensor, "n c h w"], most: int, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Each image moved by its own whole number of pixels, up to `most` each way, or (half of them) not at all."""
    n, c, h, w = images.shape
    device = images.device
    moves = torch.randint(-most, most + 1, (2, n), generator=generator, device=device)
    moves *= torch.rand(n, generator=generator, device=device) < MOVED
    rows = (moves[0, :, None] + torch.arange(h, device=device)).clamp(0, h - 1)
    columns = (moves[1, :, None] + torch.arange(w, device=device)).clamp(0, w - 1)
    moved = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
    return moved.gather(3, columns[:, None, None, :].expand(n, c, h, w))
