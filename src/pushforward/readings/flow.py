"""The flow reading: where a witness would move a model sample.

Moving y along grad psi raises E_Q[psi], which is the direction that closes the gap. For the reverse KL, psi = v - 1, so
the velocity of a tight witness is the score difference grad ln p - grad ln q; for JS it is sigma(v) times that.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.errors import InputError
from pushforward.witness import Witness


def velocity(w: Witness, y: Float[Tensor, "m *d"]) -> Float[Tensor, "m *d"]:
    """grad psi at each row of the model samples `y`, in units of the divergence per unit of data.

    Each row on its own: a witness that mixes rows (batch statistics) has no velocity. `InputError` if psi has no
    gradient.
    """
    with torch.enable_grad():
        at = y.detach().requires_grad_()
        psi = w.psi(at)
        if not psi.requires_grad:
            raise InputError("this witness has no gradient in its input; fit a critic, a kernel or a logistic witness")
        (gradient,) = torch.autograd.grad(psi.sum(), at)
    return gradient
