"""Networks; no training in here.

A generator is a module with `noise(n, *, generator) -> (n, m)` and `forward(noise) -> (n, *event)`, deterministic
given its noise; a critic a module with `forward(x: (n, *event)) -> (n,)` that scores each row by itself, unless its
`Shape` says that it sees several at once.
"""

from .conv import ConvCritic, ConvGenerator
from .critic import PLAIN, Critic, Shape
from .mlp import MLPCritic, MLPGenerator
from .tabular import TabularCritic, TabularGenerator

__all__ = [
    "PLAIN",
    "ConvCritic",
    "ConvGenerator",
    "Critic",
    "MLPCritic",
    "MLPGenerator",
    "Shape",
    "TabularCritic",
    "TabularGenerator",
]
