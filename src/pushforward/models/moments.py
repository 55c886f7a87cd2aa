"""Where translators start: the linear Monge map of two domains' first two moments.

    T(x) = m_B + A (x - m_A),   A = S_A^(-1/2) (S_A^(1/2) S_B S_A^(1/2))^(1/2) S_A^(-1/2),   T^-1 the other way

It carries mean and covariance of A to those of B, and moves rows least of all maps that do (Olkin and Pukelsheim 1982).
With points in whitened coordinates z = S_A^(-1/2) (x - m_A), w = S_B^(-1/2) (y - m_B) it is a rotation,

    w = U z,   U = S_B^(-1/2) A S_A^(1/2),

and y = T(x) + A^(1/2) grad psi(A^(1/2) (x - m_A)), the gradient of x'Ax/2 + psi, is w = U z + P grad psi(Q z) with
Q = A^(1/2) S_A^(1/2) and P = S_B^(-1/2) A^(1/2).

What a change costs. For any map of A onto B

    E |y - x|^2  =  E (y - T(x))' A^-1 (y - T(x))  +  a constant,

since y'A^-1 y and |y|^2 have the same means for all of them: least movement is least movement beyond T in this metric.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.pairs import PairsCodec
from ..data.tables import TableCodec
from ..data.whitened import WhitenedCodec, monge, power, shrunk
from ..nets.translator import PotentialTranslator, Start
from .translating import Sources


def gradients(
    codec: PairsCodec, units: int, generator: torch.Generator
) -> tuple[PotentialTranslator, PotentialTranslator, tuple[Tensor, Tensor]]:
    """Forth and back between whitened points, as T and its inverse at first; and the roots of both metrics, of trace d:
    a change of whitened rows of B, times the first, has the square that it costs; of A, the second."""
    assert isinstance(codec.to, WhitenedCodec)
    assert isinstance(codec.of, WhitenedCodec)
    a, b = codec.of.root, codec.to.root
    there = monge(a @ a, b @ b)
    back = torch.linalg.inv(there)
    turn = torch.linalg.solve(b, there @ a)
    size = (there @ a @ a).trace() / len(turn)
    made = []
    for matrix, m, one, other in ((turn, there, a, b), (turn.T, back, b, a)):
        half = power(m, 0.5)
        inward, outward = half @ one / size.sqrt(), torch.linalg.solve(other, half) * size.sqrt()
        start = Start(matrix.contiguous(), matrix.new_zeros(len(matrix)))
        made.append(PotentialTranslator(start, inward, outward, units=units, generator=generator))
    metrics = [power(m / size, 0.5).float() for m in (b @ back @ b, a @ there @ a)]
    return made[0], made[1], (metrics[0], metrics[1])


def numbers(codec: PairsCodec, sources: Sources | None) -> tuple[Start, Start]:
    """T and its inverse of a table's encoded numbers; a loaded model's are filled in with its weights.

    Numbers that some rows lack are started column by column, by the mean and deviation of the rows that have one.
    """
    assert isinstance(codec.to, TableCodec)
    places = {block.column: block.start for block in codec.to.blocks if block.kind == "category"}
    companions = [places.get(block.column, -1) for block in codec.to.blocks if block.kind == "numeric"]
    k = len(companions)
    if sources is None or not k:
        return Start(torch.eye(k), torch.zeros(k)), Start(torch.eye(k), torch.zeros(k))
    rows = sources.expand(sources.rows).double().cpu()
    (m_a, s_a), (m_b, s_b) = (
        _moments(side, companions) for side in (rows[:, sources.first :], rows[:, : sources.first])
    )
    there, back = monge(s_a, s_b), monge(s_b, s_a)
    return Start(there, m_b - there @ m_a), Start(back, m_a - back @ m_b)


def _moments(rows: Tensor, companions: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the numbers, which come first; companions: where a row says it has one (-1: always)."""
    x = rows[:, : len(companions)]
    there = torch.stack([rows[:, p] if p >= 0 else torch.ones_like(rows[:, 0]) for p in companions], 1)
    count = there.sum(0).clamp_min(1.0)
    mean = (x * there).sum(0) / count
    covariance = torch.diag((((x - mean) * there).square().sum(0) / count).clamp_min(1e-6))
    whole = torch.tensor([i for i, place in enumerate(companions) if place < 0], dtype=torch.long)
    if len(whole):
        covariance[whole[:, None], whole] = shrunk(x[:, whole])
    return mean, covariance
