"""What a network that learns from data alone is chosen by: its loss on rows kept back from training.

The moving average is looked at again and again, each time on the same rows under the same random numbers; the best one
is the model, and the run ends when none has been better for long. The rows kept back choose, and so say nothing
unbiased of the model chosen: that is for rows held out of all of it (`loss_held`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..nets.beside import cost
from ..training.batches import derive
from ..training.draw import Draw, Moment
from ..training.loop import State

SEEN = 2000  # rows of each side, at most
CHOOSING = {"points": 10_000}  # of those kept back, by kind: one draw of noise a row is much chance where rows are few
CHUNK = 500
PATIENCE = 15  # looks without a better one, of about 50 in a run


class Selected:
    """`loss_train`, `loss_validation`, `loss_held` for the history; `best`: the average of the least loss_validation.

    `sides`: compact encoded rows by the name of their side; without a `validation` among them the last average is the
    best and nothing ends early.
    """

    def __init__(self, sides: Mapping[str, Tensor], codec: Codec, average: nn.Module, *, seed: int) -> None:
        self.sides, self.codec, self.seed = dict(sides), codec, seed
        self.average, self.kept = average, copy.deepcopy(average) if "validation" in sides else None
        self.least, self.at, self.looks, self.since = float("inf"), 0, 0, 0

    @property
    def best(self) -> nn.Module:
        return self.average if self.kept is None or not self.looks else self.kept

    @torch.no_grad()
    def __call__(self, state: State) -> dict[str, float]:
        found = {f"loss_{name}": self._loss(state, rows, name) for name, rows in self.sides.items()}
        if self.kept is not None:
            self.looks += 1
            told = found["loss_validation"]
            if told < self.least:
                self.least, self.at, self.since = told, state.step, 0
                self.kept.load_state_dict(state.average.state_dict())
            else:
                self.since += 1
        return found

    def _loss(self, state: State, rows: Tensor, name: str) -> float:
        draw = Draw(torch.Generator(state.device).manual_seed(derive(self.seed, "look", name)))
        over = Moment(1, 1, draw)
        seen = CHOOSING.get(self.codec.kind, SEEN) if name == "validation" else SEEN
        parts = [
            cost(state.average, self.codec.expand(part.to(state.device)), over).sum()
            for part in rows[:seen].split(CHUNK)
        ]
        return float(torch.stack(parts).sum()) / min(seen, len(rows))

    def stop(self) -> str:
        if self.since < PATIENCE:
            return ""
        return f"stopped: no better on the rows kept back in {self.since} looks; the model of step {self.at:,} is kept"

    def tree(self) -> dict[str, Any]:
        kept = {} if self.kept is None else self.kept.state_dict()
        return {"kept": kept, "least": self.least, "at": self.at, "looks": self.looks, "since": self.since}

    def restore(self, tree: dict[str, Any]) -> None:
        if self.kept is not None:
            self.kept.load_state_dict(tree["kept"])
        self.least, self.at, self.looks, self.since = tree["least"], tree["at"], tree["looks"], tree["since"]
