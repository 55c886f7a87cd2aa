"""Which regularisers do not go together, or not with an objective."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError
from ...objectives import Objective
from .scores import logistic

SLOPES = ("r1", "r2", "gp", "gp-one-sided", "dragan")
OF_SCORES = ("lecam", "ada", "smooth")
LIPSCHITZ = ("wgan", "wasserstein")  # objectives whose critic must be bounded in slope


def check_pairs(objective: Objective, names: Sequence[str]) -> list[str]:
    """What to warn of, one sentence each. `InputError` for what cannot work at all."""
    named = [part for name in names for part in name.split("+")]
    if objective.critic is None:
        idle = [name for name in named if name != "historical"]
        return [f"{objective.name} has no critic, so {_list(idle)} changes nothing; leave it out"] if idle else []
    _refuse(objective, named)
    return [*_with_objective(objective, named), *_together(named)]


def _refuse(objective: Objective, named: Sequence[str]) -> None:
    of_scores = [name for name in named if name in OF_SCORES]
    if objective.reads == "embedding" and of_scores:
        raise InputError(
            f"{_list(of_scores)} needs one score per row, and the critic of {objective.name} gives an embedding; "
            "leave it out, or take the objective ns"
        )
    if "smooth" in named and not logistic(objective):
        raise InputError(
            f"smooth changes the label of the logistic loss, which {objective.name} does not have; "
            "take the objective ns, or leave it out"
        )


def _with_objective(objective: Objective, named: Sequence[str]) -> list[str]:
    found = []
    if "clip" in named and objective.reads == "scores" and objective.name not in LIPSCHITZ:
        found.append(
            f"weight clipping suits wgan, whose critic must be Lipschitz; with {objective.name} it only keeps the "
            "critic from its optimum, so take r1+r2 instead"
        )
    if "unroll" in named and objective.reads == "features":
        found.append(f"unroll changes nothing for {objective.name}, which reads hidden features; leave it out")
    return found


def _together(named: Sequence[str]) -> list[str]:
    found = []
    slopes = [name for name in named if name in SLOPES]
    if "minibatch-std" in named and slopes:
        found.append(
            f"minibatch-std lets a score depend on the other rows of its group, so {_list(slopes)} charges each row "
            "for its influence on their scores too; pack:2 shows the critic variety without that"
        )
    for other in ("gp", "gp-one-sided", "spectral-norm"):
        if "clip" in named and other in named:
            found.append(f"clip and {other} both bound the critic's slope, and clip the more crudely; keep {other}")
    if {"ada", "diffaugment"} <= set(named):
        found.append("diffaugment changes every image already, so ada has nothing to adapt; keep one of them")
    return found


def _list(names: Sequence[str]) -> str:
    return " and ".join(names)
