"""What lets a critic see several rows at once: packing, and the deviation within a group of rows.

Both work on consecutive rows, so a batch of data and one of samples may be scored in one call as long as the number
of rows of each is a multiple of the group's.
"""

import torch
from jaxtyping import Float
from torch import Tensor

GROUP = 4  # rows whose deviation is taken together (Karras et al. 2018, section 3)


def pack(x: Float[Tensor, "n c *rest"], m: int) -> Float[Tensor, "packs mc *rest"]:
    """`m` consecutive rows as one row of m times the channels or columns (Lin et al. 2018, PacGAN); rows left over at
    the end are left out."""
    return x if m == 1 else x[: len(x) // m * m].unflatten(0, (-1, m)).flatten(1, 2)


def deviation(h: Float[Tensor, "n k"], group: int = GROUP) -> Float[Tensor, "n 1"]:
    """The standard deviation over each `group` of consecutive rows, averaged over the k columns, for every row. Rows
    left over at the end are a smaller group."""
    whole = len(h) // group * group
    parts = [h[:whole].unflatten(0, (-1, group))] if whole else []
    parts += [h[None, whole:]] if whole < len(h) else []
    # the constant keeps the root's gradient finite where rows agree
    spread = [(part.var(1, correction=0) + 1e-8).sqrt().mean(1).repeat_interleave(part.shape[1]) for part in parts]
    return torch.cat(spread)[:, None]
