"""Regularisers one by one: hand-computed steps, finite differences, and two processes that do what one would."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pushforward import objectives
from pushforward.errors import InputError
from pushforward.nets import ConvCritic, MLPCritic, Shape
from pushforward.nets.groups import deviation, pack
from pushforward.training import augment
from pushforward.training.draw import Draw, Moment
from pushforward.training.regularisers import REGULARISERS, Play, Scene, Setting, check_pairs, parse, regularisers
from pushforward.training.regularisers.gradient import ZeroCentred
from pushforward.training.regularisers.memory import Replay
from pushforward.training.regularisers.scores import Consistency, LeCam, jitter, logistic
from pushforward.training.regularisers.seen import MOST, PACE, Adaptive, Noise
from pushforward.training.regularisers.unrolled import Unroll
from pushforward.training.regularisers.weights import Clip, Historical, SpectralNorm
from pushforward.training.step import Rules, critic_loss, critic_scene, generator_loss

Gather = Callable[[Tensor], Tensor]
POINTS, IMAGES = (3,), (3, 6, 5)
CHARGED = ["r1", "r2", "r1+r2", "gp", "gp-one-sided", "dragan", "lecam", "smooth", "bcr", "noise+r1", "noise+bcr"]
CHANGED = ["diffaugment+r1", "ada+gp", "bcr"]  # of images


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moment(seed: int = 0, step: int = 20, *, rank: int = 0, world: int = 1, gather: Gather = lambda t: t) -> Moment:
    return Moment(step, 100, Draw(rng(seed), rank, world, gather))


def setting(event: tuple[int, ...]) -> Callable[[float | None], Setting]:
    return lambda number: Setting(number, (0.5, 0.05), 100, 8, event, images=len(event) == 3)


class Smoothed(nn.Module):
    """A critic with all its derivatives, of rows `(n, *event)`, or of packs of them."""

    def __init__(self, event: tuple[int, ...], m: int = 1) -> None:
        super().__init__()
        g = rng(77)
        self.m = m
        d = m * math.prod(event)
        self.inner = nn.Parameter(torch.randn(5, d, generator=g, dtype=torch.float64) / math.sqrt(d))
        self.outer = nn.Parameter(2 * torch.randn(5, generator=g, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (pack(x, self.m).flatten(1) @ self.inner.T).tanh() @ self.outer


def rows(event: tuple[int, ...], n: int = 8, seed: int = 1) -> tuple[Tensor, Tensor]:
    g = rng(seed)
    return tuple(torch.randn(n, *event, generator=g, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def play(words: str, event: tuple[int, ...], objective: str = "ns") -> Rules:
    made = regularisers(words, setting(event))
    for one in made:
        one.double()
        if isinstance(one, LeCam):
            for name, value in (("data", 0.3), ("samples", -0.2), ("known", 0.5)):
                one.get_buffer(name).fill_(value)
        if isinstance(one, Adaptive):
            one.p.fill_(0.5)
    return Rules(objectives.objective(objective), made)


def charges(rules: Rules, critic: nn.Module, x: Tensor, y: Tensor, at: Moment) -> Tensor:
    """What every row, or pack, is charged."""
    scene = critic_scene(rules, critic, x, y, at)
    found = [one.charge(scene) for one in rules.regularisers]
    return torch.stack([charge for charge in found if charge is not None]).sum(0)


# ---- what every charge and view must do


CASES = [(words, POINTS) for words in CHARGED] + [(words, IMAGES) for words in CHANGED]


@pytest.mark.parametrize(("words", "event"), CASES)
@pytest.mark.parametrize("m", [1, 2])
def test_two_processes_charge_what_one_does(words: str, event: tuple[int, ...], m: int) -> None:
    critic, (x, y) = Smoothed(event, m), rows(event)
    whole = charges(play(words, event), critic, x, y, moment(5))
    blocks = []
    for rank in range(2):
        known = (x, y)

        def gather(block: Tensor, rank: int = rank, known: tuple[Tensor, ...] = known) -> Tensor:
            return next(one for one in known if torch.equal(one.chunk(2)[rank], block))

        at = moment(5, rank=rank, world=2, gather=gather)
        blocks.append(charges(play(words, event), critic, x.chunk(2)[rank], y.chunk(2)[rank], at))
    assert whole.shape == (8 // m,)
    torch.testing.assert_close(torch.cat(blocks), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("words", "event"), CASES)
def test_a_row_is_charged_for_itself_alone(words: str, event: tuple[int, ...]) -> None:
    """Two other rows trade places, and nothing changes for the rest: no statistic of theirs does either."""
    critic, (x, y) = Smoothed(event), rows(event)
    before = charges(play(words, event), critic, x, y, moment(5))
    order = [0, 1, 4, 3, 2, 5, 6, 7]
    after = charges(play(words, event), critic, x[order], y[order], moment(5))
    same = [0, 1, 3, 5, 6, 7]
    torch.testing.assert_close(after[same], before[same], rtol=1e-12, atol=1e-12)
    assert words == "smooth" or len(before.unique()) == 8  # each has its own


@pytest.mark.parametrize(("words", "event"), CASES)
def test_charges_have_the_gradient_of_finite_differences(words: str, event: tuple[int, ...]) -> None:
    critic, (x, y) = Smoothed(event), rows(event, 4)

    class With(nn.Module):
        def __init__(self, *weights: Tensor) -> None:
            super().__init__()
            self.now = dict(zip(("inner", "outer"), weights, strict=True))

        def forward(self, x: Tensor) -> Tensor:
            return functional_call(critic, self.now, (x,))

    def total(*weights: Tensor) -> Tensor:
        return charges(play(words, event), With(*weights), x, y, moment(5)).mean()

    weights = tuple(weight.detach().requires_grad_() for weight in critic.parameters())
    assert torch.autograd.gradcheck(total, weights, fast_mode=True)


@pytest.mark.parametrize(("words", "event"), [("noise", POINTS), ("diffaugment", IMAGES), ("ada", IMAGES)])
def test_views_are_differentiable_and_the_same_in_two_processes(words: str, event: tuple[int, ...]) -> None:
    (one,), (x, _) = play(words, event).regularisers, rows(event)
    assert torch.autograd.gradcheck(lambda x: one.view(x, moment(7)), (x.requires_grad_(),), fast_mode=True)
    parts = [one.view(x.chunk(2)[rank], moment(7, rank=rank, world=2)) for rank in range(2)]
    assert torch.equal(torch.cat(parts), one.view(x, moment(7)))
    assert not torch.equal(one.view(x, moment(7)), one.view(x, moment(8)))


# ---- gradient penalties of packs


def test_a_pack_is_penalised_as_one_row() -> None:
    """PacGAN: the packed critic is a critic of rows of twice the length."""
    x, y = rows((4,))
    packed, long = Smoothed((4,), 2), Smoothed((8,))
    for words in ("r1", "r1+r2", "gp", "gp-one-sided"):
        found = charges(play(words, (4,)), packed, x, y, moment())
        torch.testing.assert_close(found, charges(play(words, (8,)), long, x.view(4, 8), y.view(4, 8), moment()))


# ---- scores


def test_lecam_by_hand() -> None:
    """The means after scores of 2 and 4 on data, -1 and 1 on samples, with a decay of 1/2."""
    one, critic = LeCam(0.5, decay=0.5), nn.Identity()

    def scene(a: float, b: float) -> Scene:
        x, y = torch.full((2, 1), a), torch.full((2, 1), b)
        return Scene(critic, critic, lambda w: critic, x, y, moment(), torch.add, x[:, 0], y[:, 0])

    assert not one.charge(scene(2.0, -1.0)).any()  # nothing is known yet
    one.observe(scene(2.0, -1.0))
    torch.testing.assert_close(one.charge(scene(4.0, 1.0)), torch.full((2,), 0.5 * ((4 + 1) ** 2 + (1 - 2) ** 2)))
    one.observe(scene(4.0, 1.0))
    data, samples = (2 / 4 + 4 / 2) / 0.75, (-1 / 4 + 1 / 2) / 0.75  # free of the zero at the start
    torch.testing.assert_close(one.charge(scene(0.0, 0.0)), torch.full((2,), 0.5 * (samples**2 + data**2)))


def test_smoothing_is_the_cross_entropy_of_the_label() -> None:
    """BCE(a, 1 - s) + BCE(b, 0), by torch; and its optimum is log (1 - s) p / (q + s p)."""
    critic, (x, y), s = Smoothed(POINTS), rows(POINTS), 0.1
    rules = play("smooth:0.1", POINTS)
    loss, charge = critic_loss(rules, critic_scene(rules, critic, x, y, moment()))
    bce = nn.functional.binary_cross_entropy_with_logits
    a, b = critic(x), critic(y)
    torch.testing.assert_close(loss + charge, bce(a, torch.full_like(a, 1 - s)) + bce(b, torch.zeros_like(b)))
    p, q = 0.3, 0.05
    v = torch.tensor(math.log((1 - s) * p / (q + s * p)), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(p * (softplus(-v) + s * v) + q * softplus(v), v)
    assert abs(slope.item()) < 1e-12


@pytest.mark.parametrize("name", sorted(objectives.OBJECTIVES))
def test_which_losses_are_logistic(name: str) -> None:
    assert logistic(objectives.objective(name)) == (name in {"ns", "minimax", "gan", "gan-ns", "js", "js-ns"})


def test_consistency_of_points() -> None:
    """w (|D(x) - D(x + e)|^2 + the same of y), first the data's noise and then the samples'."""
    critic, (x, y) = Smoothed(POINTS), rows(POINTS)
    rules = Rules(objectives.objective("ns"), (Consistency(3.0, jitter(0.1)),))
    g = rng(5)
    off = [critic(side) - critic(side + 0.1 * torch.randn(8, 3, generator=g).double()) for side in (x, y)]
    expected = 3 * (off[0] ** 2 + off[1] ** 2)
    torch.testing.assert_close(charges(rules, critic, x, y, moment(5)), expected)


# ---- what the critic sees


def test_noise_falls_to_none() -> None:
    (x, _), one = rows(POINTS), Noise(0.8)
    for step, left in ((0, 1.0), (25, 0.75), (100, 0.0)):
        expected = 0.8 * left * torch.randn(8, 3, generator=rng(3)).double()
        torch.testing.assert_close(one.view(x, moment(3, step)) - x, expected)
        assert one.figures(step / 100) == {"noise": pytest.approx(0.8 * left)}


def test_colours_by_hand() -> None:
    x, _ = rows(IMAGES)
    b, s, c = (torch.rand(8, generator=rng(k)).double() for k in range(3))
    found = augment.colour(x, b, s, c)
    for i, image in enumerate(x):
        image = image + (b[i] - 0.5)
        image = (image - image.mean(0)) * 2 * s[i] + image.mean(0)
        image = (image - image.mean()) * (c[i] + 0.5) + image.mean()
        torch.testing.assert_close(found[i], image)
    half = torch.full((8,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(augment.colour(x, half, half, half), x)


def test_moves_and_holes_by_hand() -> None:
    x, _ = rows(IMAGES)
    down, right = torch.tensor([0, 1, -2, 6, 0, 2, -6, 1]), torch.tensor([0, -1, 1, 0, 5, 4, 0, -4])
    on = torch.arange(8) != 3
    moved, cut = augment.translate(x, down, right), augment.cut_out(x, down.clamp(0), right.clamp(0), on)
    for i in range(8):
        u, v = int(down[i]), int(right[i])
        p, q = max(u, 0), max(v, 0)
        for row in range(6):
            for column in range(5):
                there = 0 <= row - u < 6 and 0 <= column - v < 5
                wanted = x[i, :, row - u, column - v] if there else torch.zeros(3).double()
                assert torch.equal(moved[i, :, row, column], wanted)
                # the box has half of 6 rows and 5 columns, 3 and 3, about its centre
                hole = bool(on[i]) and p - 1 <= row <= p + 1 and q - 1 <= column <= q + 1
                assert torch.equal(cut[i, :, row, column], x[i, :, row, column] * (not hole))


def test_share_of_changed_images() -> None:
    """A grey image changes by brightness alone. Of 4000, 30 %: sd .0072, so that .038 fails once in 10^7."""
    grey = torch.zeros(4000, 1, 4, 4)
    changed = augment.diff_augment(grey, Draw(rng()), 0.3).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(0.3, abs=0.038)
    x, _ = rows(IMAGES)
    torch.testing.assert_close(augment.diff_augment(x, Draw(rng()), 0.0), x)


def test_adaptive_share_by_hand() -> None:
    """r is the mean sign of data about the middle; p moves by n / PACE, or 10 / steps, in [0, .8]."""
    critic = nn.Identity()

    def watch(one: Adaptive, a: list[float], b: list[float], steps: int) -> float:
        x, y = torch.tensor(a), torch.tensor(b)
        at = Moment(0, steps, Draw(rng()))
        one.observe(Scene(critic, critic, lambda w: critic, x, y, at, torch.add, x, y))
        return float(one.p)

    far = ([3.0, 3.0, 3.0, 3.0, 5.0], [1.0] * 5)  # all data above the middle, 2.2: r = 1
    one = Adaptive(0.6)
    assert watch(one, *far, 100) == pytest.approx(0.1)
    assert watch(one, *far, 100) == pytest.approx(0.2)
    assert watch(one, [3.0, 3.0, 3.0, -9.0, -9.0], [1.0] * 5, 100) == pytest.approx(0.1)  # r = 1/5
    for _ in range(9):
        found = watch(one, *far, 100)
    assert found == pytest.approx(MOST)
    assert watch(Adaptive(0.6), *far, 10**9) == pytest.approx(5 / PACE)
    assert one.figures(0.0) == {"augment_p": pytest.approx(MOST)}


# ---- shapes


def test_packs_and_groups() -> None:
    x, _ = rows(IMAGES, 7)
    assert torch.equal(pack(x, 3), torch.cat([x[0:6:3], x[1:6:3], x[2:6:3]], 1))
    assert pack(x, 1) is x
    h = torch.randn(10, 3, generator=rng(2))
    expected = torch.cat([g.std(0, correction=0).mean().expand(len(g)) for g in (h[:4], h[4:8], h[8:])])
    torch.testing.assert_close(deviation(h)[:, 0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(deviation(h[:3])[:, 0], h[:3].std(0, correction=0).mean().expand(3))


def test_shapes_are_asked_of_the_critic() -> None:
    shape = Shape(outputs=2)
    for one in regularisers("pack:3+minibatch-std", setting(POINTS)):
        shape = one.shape(shape)
    assert shape == Shape(pack=3, deviation=True, outputs=2)


# ---- weights


def test_clip() -> None:
    weights = [torch.tensor([-0.5, 0.005, 0.02]), torch.tensor([[0.01, -0.011]])]
    Clip(0.01).after(weights)
    torch.testing.assert_close(weights, [torch.tensor([-0.01, 0.005, 0.01]), torch.tensor([[0.01, -0.01]])])


@pytest.mark.parametrize(
    "make",
    [
        lambda g: MLPCritic((3,), width=12, depth=2, frequencies=(1.0, 3.0), generator=g),
        lambda g: ConvCritic((2, 9, 8), width=4, generator=g),
    ],
)
def test_spectral_norms_are_one(make: Callable[[torch.Generator], nn.Module]) -> None:
    """By singular values, while the weights move; layers that start at zero too."""
    first = make(rng(1))
    layers = [n for n, m in first.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert any(not first.get_submodule(name).weight.any() for name in layers)
    critic = SpectralNorm().prepare(first, seed=4)
    with torch.no_grad():
        for weight in critic.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=rng(9))
        event = (2, 9, 8) if isinstance(critic, ConvCritic) else (3,)
        for _ in range(120):
            critic(torch.randn(2, *event, generator=rng(3)))
    critic.eval()
    norms = [torch.linalg.svdvals(critic.get_submodule(name).weight.flatten(1))[0].item() for name in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=2e-3)


def test_spectral_vectors_come_from_the_seed() -> None:
    def made(seed: int) -> dict[str, Tensor]:
        return SpectralNorm().prepare(MLPCritic((3,), width=12, generator=rng(1)), seed=seed).state_dict()

    one, same, other = made(4), made(4), made(5)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    twice = SpectralNorm().prepare(SpectralNorm().prepare(MLPCritic((3,), width=12, generator=rng(1)), seed=4), seed=4)
    assert twice.state_dict().keys() == one.keys()


def test_historical_averaging_by_hand() -> None:
    """One weight goes 1, 3, 2: the means so far are 1, 2, 2, and the charges .5 (0, 1, 0), with slopes 0, 1, 0."""
    one = Historical(0.5)
    for value, cost, slope in ((1.0, 0.0, 0.0), (3.0, 0.5, 1.0), (2.0, 0.0, 0.0)):
        weight = torch.tensor([value], requires_grad=True)
        charge = one.inertia("critic", [weight])
        charge.backward()
        assert (charge.item(), weight.grad.item()) == (pytest.approx(cost), pytest.approx(slope))
    kept = {name: value.clone() for name, value in one.state_dict().items()}
    weights = [torch.tensor([4.0])], [torch.ones(2, 2), torch.zeros(3)]
    first = [one.inertia("critic", weights[0]), one.inertia("generator", weights[1])]
    for again in (one, Historical(0.5)):  # what came after is forgotten, and what was not there is made
        again.load_state_dict(kept)
        assert set(again.state_dict()) == set(kept) == {"critic", "critic_steps"}
        assert [again.inertia("critic", weights[0]), again.inertia("generator", weights[1])] == first
    one.load_state_dict({})  # as after a trial before the first step
    assert not one.state_dict()


# ---- replay


def test_replay_by_hand() -> None:
    """Six rows are kept. Of batches of four, two rows are exchanged for old ones, and are kept in their turn."""
    one = Replay(6, (1,))

    def show(first: float) -> list[float]:
        return one.replay(torch.arange(first, first + 4)[:, None], moment(int(first)))[:, 0].tolist()

    kept: list[float] = []
    for first in (10.0, 20.0, 30.0):
        shown = show(first)
        assert set(shown[:2]) <= set(kept or [10.0, 11.0])
        assert shown[2:] == [first + 2, first + 3]
        kept += [first, first + 1]
        assert one.rows[: len(kept), 0].tolist() == kept  # while there is room
    assert set(show(40.0)[:2]) <= set(kept)
    changed = [now for now, old in zip(one.rows[:, 0].tolist(), kept, strict=True) if now != old]
    assert sorted(changed) == [40, 41]


def test_replay_draws_all_and_lets_go() -> None:
    """A batch is drawn again, before both its rows have left, with probability .7: 42 of 60, and 20 is 6 sd less. A
    place keeps its row for 55 steps with probability (3/4)^55, one of eight with less than 1e-6."""
    one = Replay(8, (1,))
    seen: set[float] = set()
    for step in range(60):
        seen |= set(one.replay(torch.full((4, 1), float(step)), moment(step))[:2, 0].tolist())
    assert len(seen) > 20
    assert one.rows.min() > 4


def test_replay_is_the_same_in_two_processes() -> None:
    whole, halves = Replay(8, (3,)), [Replay(8, (3,)) for _ in range(2)]
    for step in range(6):
        y = torch.randn(4, 3, generator=rng(step))
        shown = whole.replay(y, moment(step))
        parts = [
            half.replay(y.chunk(2)[rank], moment(step, rank=rank, world=2, gather=lambda block, y=y: y))
            for rank, half in enumerate(halves)
        ]
        assert torch.equal(torch.cat(parts), shown)
        assert all(torch.equal(half.rows, whole.rows) for half in halves)


# ---- unrolling


def unrolled(critic: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float) -> Tensor:
    rules = Rules(objectives.objective("ns"), (Unroll(steps, rate=rate),))
    return generator_loss(rules, critic, x, y, moment())


def test_unrolled_critic_is_one_that_descended() -> None:
    critic, (x, y) = Smoothed(POINTS), rows(POINTS)
    ahead = copy.deepcopy(critic)
    sgd = torch.optim.SGD(ahead.parameters(), lr=0.3)
    for _ in range(3):
        sgd.zero_grad()
        (softplus(-ahead(x)) + softplus(ahead(y))).mean().backward()
        sgd.step()
    torch.testing.assert_close(unrolled(critic, x, y, 3, 0.3), softplus(-ahead(y)).mean())
    assert all(weight.grad is None for weight in critic.parameters())


@pytest.mark.parametrize("steps", [1, 2])
def test_unrolled_gradient_goes_through_the_steps(steps: int) -> None:
    """Against finite differences of the whole, which is not the gradient at the last critic held fixed."""
    critic, (x, y) = Smoothed(POINTS), rows(POINTS)
    y.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: unrolled(critic, x, y, steps, 0.5), (y,))
    (through,) = torch.autograd.grad(unrolled(critic, x, y, steps, 0.5), y)
    (plain,) = torch.autograd.grad(unrolled(critic, x, y, steps, 0.0), y)
    assert (through - plain).norm() > 0.05 * plain.norm()


def test_unrolled_steps_take_the_mean_over_processes() -> None:
    critic, (x, y) = Smoothed(POINTS), rows(POINTS)

    def weights(x: Tensor, y: Tensor, at: Moment) -> dict[str, Tensor]:
        seen: list[dict[str, Tensor]] = []

        def score(given: Any) -> Callable[[Tensor], Tensor]:
            seen.append(dict(given))
            return lambda rows: functional_call(critic, dict(given), (rows,))

        loss = lambda a, b: (softplus(-a) + softplus(b)).mean()  # noqa: E731
        Unroll(1, rate=0.4).opponent(Play(critic, critic, score, x, y, at, loss))
        return seen[-1]

    halves = list(zip(x.chunk(2), y.chunk(2), strict=True))
    moves = [weights(*half, moment()) for half in halves]
    own = {name: torch.stack([move[name] for move in moves]) for name in moves[0]}
    slopes = torch.cat([(weight - own[name]).flatten(1) / 0.4 for name, weight in critic.named_parameters()], 1)
    whole = weights(x, y, moment())
    for half in halves:
        found = weights(*half, moment(world=2, gather=lambda block: slopes))
        for name, weight in whole.items():
            torch.testing.assert_close(found[name], weight)


# ---- names, numbers and pairs


def test_names_and_numbers() -> None:
    assert parse("r1:1e+2+pack:3+none") == [("r1", 100.0), ("pack", 3.0)]
    with pytest.raises(InputError, match=r"unknown regulariser 'r3'; choose none or some of r1, r2, gp, .*unroll"):
        parse("r1+r3")
    with pytest.raises(InputError, match="'gp' is named twice"):
        parse("gp+gp:3")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("pack:1.5", "must be a whole number of at least 2 and at most 4"),
        ("pack:5", "at most 4"),
        ("pack:one", "at most 4"),
        ("clip:0", "must be a number above 0"),
        ("r1:-1", "must be a number of at least 0"),
        ("lecam:inf", "must be a number of at least 0"),
        ("ada:1.2", "at most 1"),
        ("smooth:0.7", "at most 0.5"),
        ("unroll:0", "a whole number of at least 1"),
        ("replay:2.5", "a whole number"),
        ("spectral-norm:2", "spectral-norm takes no number"),
    ],
)
def test_numbers_that_make_no_sense(words: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse(words)


@pytest.mark.parametrize("name", ["diffaugment", "ada"])
def test_only_images_have_colours(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} changes images, and these rows are none"):
        regularisers(name, setting(POINTS))


def test_defaults_follow_the_data() -> None:
    """Noise of half the deviation of an entry, bCR's of half the way to a neighbour."""
    scaled = Setting(None, (0.5, 0.05), 100, 8, (4,), scales=(16.0, 0.04))
    assert scaled.deviations == pytest.approx((2.0, 0.1))
    assert REGULARISERS["noise"].make(scaled).deviation == pytest.approx(1.0)
    change = REGULARISERS["bcr"].make(scaled).change
    moved = change(torch.zeros(5000, 4), Draw(rng()))
    assert moved.std().item() == pytest.approx(0.05, rel=0.036)  # 20,000 draws: sd .5 %, 7 of them


@pytest.mark.parametrize(
    ("objective", "names", "says"),
    [
        ("ns", ["clip"], "weight clipping suits wgan"),
        ("kl", ["clip"], "weight clipping suits wgan"),
        ("wgan", ["clip", "gp"], "keep gp"),
        ("ns", ["minibatch-std", "r1+r2"], "lets a score depend on the other rows of its group, so r1 and r2 charges"),
        ("ns", ["ada", "diffaugment"], "keep one of them"),
    ],
)
def test_pairs_that_do_not_go_together(objective: str, names: list[str], says: str) -> None:
    (sentence,) = check_pairs(objectives.objective(objective), names)
    assert says in sentence


def test_pairs_that_do() -> None:
    assert not check_pairs(objectives.objective("wgan"), ["clip"])
    assert not check_pairs(objectives.objective("ns"), ["r1", "spectral-norm", "pack", "smooth", "lecam", "replay"])


@pytest.mark.parametrize("objective", ["rpgan", "hinge", "wgan", "lsgan"])
def test_smoothing_needs_a_label(objective: str) -> None:
    with pytest.raises(InputError, match=f"logistic loss, which {objective} does not have; take the objective ns"):
        check_pairs(objectives.objective(objective), ["smooth"])


def test_an_embedding_is_charged_for_every_output() -> None:
    """D(x) = W x: averaged over all signs, R1 is gamma/2 |W|_F^2, where the plain sum of outputs would let rows of W
    cancel (here they do: their sum is 0)."""
    from itertools import product

    w = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    x = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    y = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    found = []
    for signs in product((-1.0, 1.0), repeat=2):
        a, b = x @ w.T, y @ w.T
        moment = Moment(0, 10, Draw(torch.Generator().manual_seed(0)))
        score = lambda weights: lambda rows: rows @ w.T  # noqa: E731
        scene = Scene(
            score({}),
            torch.nn.Identity(),
            score,
            x,
            y,
            moment,
            lambda p, q: p.sum(),
            a,
            b,
            (),
            torch.tensor(signs, dtype=torch.float64),
        )
        found.append(ZeroCentred(0.6, 0.6, samples=False).charge(scene).detach())
    torch.testing.assert_close(torch.stack(found).mean(0), 0.3 * w.square().sum() * torch.ones(3, dtype=torch.float64))
