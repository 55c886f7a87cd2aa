"""Games on more than bare samples: joint rows, a data side that moves, charges, several games at once."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from pushforward import objectives
from pushforward.data.codec import codec_from_dict, fit_codec
from pushforward.data.dataset import Dataset
from pushforward.data.joint import JointCodec
from pushforward.errors import InputError
from pushforward.models.drawing import draw
from pushforward.nets import MLPGenerator
from pushforward.nets.joint import Joint
from pushforward.training.draw import Draw, Moment
from pushforward.training.regularisers.base import Play
from pushforward.training.regularisers.gradient import ZeroCentred
from pushforward.training.step import Rules, critic_loss, critic_scene, step


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moment() -> Moment:
    return Moment(0, 100, Draw(rng()))


class Pair(nn.Module):
    """A bidirectional game on numbers: G(z) = g z with z, x with E(x) = e x; it owes |x| and the mean score."""

    charges = ("size", "score")

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
        self.e = nn.Parameter(torch.tensor(-0.5, dtype=torch.float64))

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, 1, generator=generator, dtype=torch.float64)

    def emit(self, noise: Tensor) -> Tensor:
        return self.g * noise

    def forward(self, noise: Tensor) -> Tensor:
        return torch.cat([self.emit(noise), noise], 1)

    def data(self, x: Tensor, draw: Draw) -> Tensor:
        return torch.cat([x, self.e * x], 1)

    def owes(self, play: Play, z: Tensor) -> dict[str, Tensor]:
        return {"size": 0.25 * play.y[:, 0].square(), "score": 2.0 * play.critic(play.y)}


class Plane(nn.Module):
    """Scores a.x `(n,)`, or of several games `(n, k)`."""

    def __init__(self, *slopes: tuple[float, ...]) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor(slopes, dtype=torch.float64))
        self.games = len(slopes)

    def forward(self, rows: Tensor) -> Tensor:
        found = (rows @ self.slopes.T).tanh()
        return found.squeeze(1) if self.games == 1 else found


@pytest.mark.parametrize("name", ["ns", "minimax", "hinge", "rpgan", "wgan", "lsgan"])
def test_a_moving_data_side_plays_the_critics_loss_with_the_sides_exchanged(name: str) -> None:
    objective = objectives.objective(name)
    pair, critic, x = Pair(), Plane((0.7, -1.1)), torch.randn(64, 1, generator=rng(3), dtype=torch.float64)
    rules = Rules(objective, charges=Pair.charges)
    of_generator, of_critic = [], []
    found = step(rules, pair, critic, of_generator.append, of_critic.append, lambda: x, moment())
    z = pair.noise(64, generator=rng())
    real, fake = torch.cat([x, pair.e * x], 1), torch.cat([pair.g * z, z], 1)
    assert objective.critic is not None
    swapped = objective.critic(critic(fake), critic(real)).mean()
    size, score = 0.25 * fake[:, 0].square().mean(), 2.0 * critic(fake).mean()
    torch.testing.assert_close(of_critic[0], objective.critic(critic(real), critic(fake)).mean())
    torch.testing.assert_close(of_generator[0], swapped + size + score)
    both = (pair.g, pair.e)
    for one, other in zip(
        torch.autograd.grad(of_generator[0], both), torch.autograd.grad(swapped + size + score, both), strict=True
    ):
        assert abs(float(one)) > 1e-6
        torch.testing.assert_close(one, other)
    torch.testing.assert_close((found["size"], found["score"]), (size.detach(), score.detach()))
    assert set(rules.figures) == set(found)


def test_the_target_step_refuses_a_data_side_that_moves() -> None:
    rules = Rules(objectives.objective("ns"), lambda_1=1.0)
    x = torch.ones(8, 1, dtype=torch.float64)
    with pytest.raises(InputError, match="lambda_1"):
        step(rules, Pair(), Plane((1.0, 1.0)), lambda loss: None, lambda loss: None, lambda: x, moment())


@pytest.mark.parametrize("name", ["ns", "rpgan", "ragan"])
def test_several_games_add_up(name: str) -> None:
    """Two games on halves of a row are the two games played apart: losses, penalties and gradients."""
    objective = objectives.objective(name)
    both = Plane((0.7, 0.0), (0.0, -1.1))
    x, y = (torch.randn(32, 2, generator=rng(seed), dtype=torch.float64) for seed in (1, 2))
    rules = Rules(objective, (ZeroCentred(0.5, 0.5),))
    loss, charge = critic_loss(rules, critic_scene(rules, both, x, y, moment()))
    apart = []
    for half in (0, 1):
        alone = Plane(((0.7, -1.1)[half],))
        a, b = x[:, half : half + 1], y[:, half : half + 1]
        apart.append(critic_loss(rules, critic_scene(rules, alone, a, b, moment())))
    torch.testing.assert_close(loss, apart[0][0] + apart[1][0])
    torch.testing.assert_close(charge, apart[0][1] + apart[1][1])


def test_only_data_are_viewed() -> None:
    joint = Joint(((1, 2, 3), (4,)))
    x, c = torch.rand(5, 1, 2, 3, generator=rng(1)), torch.rand(5, 4, generator=rng(2))
    rules = Rules(objectives.objective("ns"), view=lambda rows, moment: -rows, joint=joint)
    seen, kept = joint.split(rules.seen(joint.join(x, c), moment()))
    assert torch.equal(seen, -x)
    assert torch.equal(kept, c)


def test_what_is_drawn_is_what_is_emitted() -> None:
    class Beside(MLPGenerator):
        def emit(self, noise: Tensor) -> Tensor:
            return super().forward(noise)

        def forward(self, noise: Tensor) -> Tensor:
            return torch.cat([self.emit(noise), noise], 1)

    codec = fit_codec(Dataset("points", torch.randn(50, 2, generator=rng())))
    made = Beside((2,), noise_size=3, width=8, depth=1, generator=rng())
    drawn = draw(made, codec, 7, seed=4)
    assert drawn.values.shape == (7, 2)


# ---- data with what is given beside them


def labelled(n: int = 40) -> Dataset:
    values = torch.randint(0, 256, (n, 1, 3, 2), generator=rng(), dtype=torch.uint8)
    kind = [("cat", "dog", None)[i % 3] for i in range(n)]
    given = pl.DataFrame({"kind": kind, "size": np.linspace(-3.0, 50.0, n)})
    return Dataset("images", values, given=Dataset("table", given, container="polars"))


def test_joint_rows_of_images_and_a_table_and_back() -> None:
    dataset = labelled()
    codec = fit_codec(dataset)
    assert isinstance(codec, JointCodec)
    rows = codec.encode(dataset)
    assert rows.dtype == torch.uint8
    back = codec.decode(codec.expand(rows))
    assert torch.equal(back.values, dataset.values)
    assert back.given is not None
    assert dataset.given is not None
    assert back.given.values["kind"].to_list() == dataset.given.values["kind"].to_list()
    np.testing.assert_allclose(back.given.values["size"], dataset.given.values["size"], rtol=0.05, atol=0.6)
    again = codec_from_dict(codec.to_dict(), codec.tensors())
    assert torch.equal(again.expand(rows), codec.expand(rows))


def test_what_is_given_stays_with_its_row() -> None:
    dataset = labelled()
    train, held = dataset.split(0.25, seed=1)
    for part in (train, held):
        assert part.given is not None
        assert len(part.given) == len(part)
    codec = fit_codec(train)
    whole, mine = codec.expand(codec.encode(dataset)), codec.expand(codec.encode(held))
    for row in mine:
        assert bool((whole == row).all(1).any())


def test_points_with_vectors_beside_them() -> None:
    x, v = (torch.randn(30, d, generator=rng(d)).double() for d in (2, 5))
    dataset = Dataset("points", x, given=Dataset("points", v))
    codec = fit_codec(dataset)
    rows = codec.expand(codec.encode(dataset))
    assert rows.shape == (30, 7)
    back = codec.decode(rows)
    assert back.given is not None
    torch.testing.assert_close(back.values, x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(back.given.values, v, rtol=1e-5, atol=1e-5)


def test_rows_without_what_was_given() -> None:
    dataset = labelled()
    codec = JointCodec.fit(dataset)
    with pytest.raises(InputError, match="nothing is given"):
        codec.encode(Dataset("images", dataset.values))
    with pytest.raises(InputError, match=r"40 rows are given for the 7"):
        codec.encode(Dataset("images", dataset.values[:7], given=dataset.given))
