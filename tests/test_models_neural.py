"""Networks that learn from data alone: what they are chosen by, when they end, and what stands beside their rows."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from pushforward.data.shades import Shades
from pushforward.errors import InputError
from pushforward.models.neural import Codes, Conditioned, Densities, Samples
from pushforward.models.selecting import PATIENCE, Selected
from pushforward.nets.event import Event
from pushforward.nets.initialise import linear

WIDTH = 8


class Normals(nn.Module):
    """x | c ~ N(m(c), diag s(c)^2), m and ln s linear in c: what maximum likelihood finds is known."""

    charges = ("nll",)

    def __init__(self, event: Event, generator: torch.Generator) -> None:
        super().__init__()
        self.event, self.latent_size = event, event.size
        self.leave = linear(event.given or 1, 2 * event.size, generator, gain=0.1)

    def _law(self, n: int, c: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, log_std = self.leave(torch.ones(n, 1) if c is None else c).chunk(2, 1)
        return mean, log_std

    def log_prob(self, x: Tensor, *, generator: torch.Generator, c: Tensor | None = None) -> Tensor:
        mean, log_std = self._law(len(x), c)
        z = (x.flatten(1) - mean) * torch.exp(-log_std)
        return -(z.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(1)

    def learn(self, x: Tensor, moment: Any, c: Tensor | None = None) -> dict[str, Tensor]:
        return {"nll": -self.log_prob(x, generator=moment.draw.generator, c=c)}

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.event.size, generator=generator, device=generator.device)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        mean, log_std = self._law(len(z), c)
        return (mean + log_std.exp() * z).unflatten(1, self.event.shape)

    decode = forward

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        mean, log_std = self._law(len(x), c)
        return (x.flatten(1) - mean) * torch.exp(-log_std)


class Family(Conditioned, Samples, Densities, Codes):
    likelihood = "exact"

    def __init__(
        self,
        *,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = 64,
        learning_rate: float | None = 0.02,
        width: int | None = None,
        depth: int | None = None,
        validation: float = 0.1,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        super().__init__(
            steps=steps,
            time_budget=time_budget,
            batch_size=batch_size,
            learning_rate=learning_rate,
            width=width,
            depth=depth,
            validation=validation,
            until=until,
            tolerance=tolerance,
            checkpoint_every=checkpoint_every,
            precision=precision,
            device=device,
            seed=seed,
        )

    def _network(self, event: Event, network: Any, generator: torch.Generator) -> nn.Module:
        return Normals(event, generator)


def points(n: int = 600) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)) * [1.0, 2.0, 0.5] + [0.0, 5.0, -1.0]
    x[:, 2] += 0.8 * x[:, 0]
    return x


def test_the_density_is_in_the_users_units() -> None:
    """Maximum likelihood of independent normals: mean log density -sum(ln s_i) - d/2 (1 + ln 2 pi) on the rows."""
    x = points()
    model = Family(steps=600, validation=0.0).fit(x, progress=False)
    best = -np.log(x.std(0)).sum() - 1.5 * (1 + math.log(2 * math.pi))
    assert float(model.log_prob(x).mean()) == pytest.approx(best, abs=2e-3)
    assert float(model.log_prob(x).mean()) <= best + 1e-9
    np.testing.assert_allclose(model.reconstruct(x), x, atol=1e-4)
    assert model.encode(x).shape == (600, 3)


def test_given_columns_are_conditioned_on() -> None:
    """Rows given a column: ln p(x | c) of the columns that are left, at its maximum; and asked values are exact."""
    x = points()
    model = Family(steps=800, validation=0.0).fit(x, given=[0], progress=False)
    left = x[:, 2] - np.polyval(np.polyfit(x[:, 0], x[:, 2], 1), x[:, 0])
    best = -np.log([x[:, 1].std(), left.std()]).sum() - (1 + math.log(2 * math.pi))
    told = float(model.log_prob(x).mean())
    assert best - 0.1 < told  # beside a linear mean, ln s is linear in c: it may do a little better than one s
    assert told < best + 0.05
    drawn = model.sample(50, given={"0": 1.0}, seed=0)
    assert (drawn[:, 0] == 1.0).all()
    back = model.decode(np.zeros((2, 2)), given=[[0.0], [1.0]])
    slope = np.polyfit(x[:, 0], x[:, 2], 1)[0]
    assert back[1, 2] - back[0, 2] == pytest.approx(slope, abs=0.1)
    with pytest.raises(InputError, match="say what"):
        model.decode(np.zeros((2, 2)))


def test_labels_beside_pictures() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 2
    pictures = np.where(rng.random((300, 4, 4)) < 0.2 + 0.6 * labels[:, None, None], 255, 0).astype(np.uint8)
    model = Family(steps=300).fit(pictures, given=labels, progress=False)
    told = model.log_prob(pictures, given=labels).mean() - model.log_prob(pictures, given=1 - labels).mean()
    assert float(told) > 1
    assert model.sample(40, given=1, seed=0).mean() > model.sample(40, given=0, seed=0).mean() + 50
    with pytest.raises(InputError, match="something beside"):
        model.log_prob(pictures)


class Counting(nn.Module):
    """A network whose loss is what it is told, look by look."""

    charges = ("loss",)

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def learn(self, x: Tensor, moment: Any) -> dict[str, Tensor]:
        return {"loss": self.value.expand(len(x))}


class Plain:
    """A codec that leaves rows as they are."""

    kind = "points"

    @staticmethod
    def expand(rows: Tensor) -> Tensor:
        return rows


def watched(values: list[float]) -> tuple[Selected, list[str]]:
    network = Counting()
    selected = Selected({"train": torch.zeros(3, 1), "validation": torch.zeros(4, 1)}, Plain(), network, seed=0)  # type: ignore[arg-type]
    stops = []
    for step, value in enumerate(values):
        with torch.no_grad():
            network.value.fill_(value)
        figures = selected(SimpleNamespace(average=network, device=torch.device("cpu"), step=step))  # type: ignore[arg-type]
        assert figures == {"loss_train": pytest.approx(value), "loss_validation": pytest.approx(value)}
        stops.append(selected.stop())
    return selected, stops


def test_the_best_average_is_kept_and_the_run_ends() -> None:
    selected, stops = watched([3.0, 1.0, 2.0, *[1.5] * PATIENCE])
    assert selected.best.value.item() == 1.0  # type: ignore[arg-type]
    first = next(i for i, stop in enumerate(stops) if stop)
    assert first == 1 + PATIENCE
    assert "the model of step 1 is kept" in stops[first]
    again, _ = watched([9.0])
    again.restore(selected.tree())
    assert again.best.value.item() == 1.0  # type: ignore[arg-type]
    assert again.stop() == stops[-1]


def test_a_run_that_learns_by_heart_ends_early_and_is_resumed_alike(tmp_path: Path) -> None:
    """Too high a rate on few rows: the loss on rows kept back stops falling, long before the last step."""
    x = points(120)
    settings: dict[str, Any] = {"steps": 2000, "learning_rate": 0.3, "checkpoint_every": 200}
    whole = Family(**settings).fit(x, out=tmp_path / "whole", progress=False)
    assert whole.stopped_.startswith("stopped: no better on the rows kept back")
    assert whole.steps_done_ < 2000
    kept = min(r["loss_validation"] for r in whole.history_ if "loss_validation" in r)
    assert kept < whole.history_[-1]["loss_validation"]
    again = Family.load(tmp_path / "whole")
    assert again.id_ == whole.id_
    np.testing.assert_array_equal(again.sample(5, seed=3), whole.sample(5, seed=3))


def test_what_makes_no_sense_is_told() -> None:
    with pytest.raises(InputError, match="validation is a share"):
        Family(validation=1.0).fit(points(), progress=False)
    with pytest.raises(InputError, match="nothing in these data varies"):
        Family(steps=5).fit(pl.DataFrame({"a": [1.0] * 9, "b": ["x"] * 9}), progress=False)
    model = Family(steps=5).fit(points(), progress=False)
    with pytest.raises(InputError, match="finite numbers"):
        model.decode(np.full((2, 3), np.nan))
    with pytest.raises(InputError, match="nothing beside"):
        model.log_prob(points(), given=np.zeros(600))


def test_shades() -> None:
    pictures = torch.tensor([0, 128, 255, 128], dtype=torch.uint8).view(1, 1, 2, 2)
    shades = Shades.of(pictures)
    assert shades.levels == (0, 128, 255)
    x = pictures.float() / 127.5 - 1
    ranks = shades.ranks(x)
    assert ranks.flatten().tolist() == [0, 1, 2, 1]
    torch.testing.assert_close(shades.expanded(ranks), x)
    assert shades.ranks(torch.tensor([[-1.0, 0.5]])).tolist() == [[0, -1]]
    u = torch.tensor(0.999)
    assert torch.equal(shades.ranks_of(shades.spread(ranks, u)), ranks)
    assert len(Shades.of(torch.arange(256, dtype=torch.uint8))) == 256
