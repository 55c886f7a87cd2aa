"""Small parts of the engine: batches, seeds, schedule, average, history, signals, augmentation, first weights."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from pushforward.nets import ConvCritic, ConvGenerator, MLPCritic, MLPGenerator
from pushforward.nets.conv import ladder, patch_size
from pushforward.nets.initialise import initialise, linear
from pushforward.training import diagnose, ema
from pushforward.training.augment import shift
from pushforward.training.batches import Batches, derive
from pushforward.training.draw import Draw
from pushforward.training.history import History, read
from pushforward.training.progress import Event, reporter
from pushforward.training.schedule import Schedule, falling
from pushforward.training.signals import graceful

CPU = torch.device("cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batches(n: int, size: int, **options: int) -> Batches:
    return Batches(torch.arange(n), lambda rows: rows, size, seed=3, device=CPU, **options)


def test_every_pass_shows_every_row_once() -> None:
    draw = batches(12, 4)
    first, second = (torch.cat([draw() for _ in range(3)]) for _ in range(2))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(12))
    assert first.tolist() != second.tolist()


def test_batches_go_on_from_any_place() -> None:
    draw = batches(10, 4)
    wanted = [draw().tolist() for _ in range(9)]
    again = batches(10, 4)
    again.drawn = 5
    assert [again().tolist() for _ in range(4)] == wanted[5:]


def test_processes_share_a_batch() -> None:
    whole, halves = batches(12, 4), [batches(12, 4, rank=rank, world_size=2) for rank in range(2)]
    for _ in range(5):
        assert sorted(torch.cat([half() for half in halves]).tolist()) == sorted(whole().tolist())


def test_fewer_rows_than_a_batch() -> None:
    assert len(batches(3, 100)()) == 3


def test_seeds_differ_by_purpose() -> None:
    seeds = {derive(seed, *purpose) for seed in range(50) for purpose in [(), ("a",), ("b",), ("a", 1), ("a", 2)]}
    assert len(seeds) == 250
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_schedule() -> None:
    schedule = Schedule(100, 1e-3)
    assert schedule.at(0) == pytest.approx((1e-3, 0.9))
    assert schedule.at(100) == pytest.approx((1e-4, 0.99))
    assert [falling(1.0, 1e-4, p) for p in (0.0, 0.4, 0.8, 1.0)] == pytest.approx([1.0, 1e-2, 1e-4, 1e-4])
    assert falling(0.0, 0.0, 0.5) == 0


def test_average_has_the_stated_half_life() -> None:
    average, weights = [torch.zeros(3), torch.zeros(2, 2)], [torch.ones(3), torch.ones(2, 2)]
    for step in range(10_000, 10_050):
        ema.update(average, weights, ema.decay_at(step, 10, 500))
    for tensor in average:
        torch.testing.assert_close(tensor, torch.full_like(tensor, 0.5))
    assert ema.decay_at(0, 10, 500) < 1e-5  # the first weights are forgotten


def test_history_is_cut_where_a_run_resumes(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    for step in (1, 2, 3):
        history.append({"step": step})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    assert [record["step"] for record in read(path)] == [1, 2, 3]
    again = History(path, until=2)
    again.append({"step": 3, "again": True})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == again.records == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_once_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with graceful() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal == number
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before  # a second one acts
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_are_left_alone_off_the_main_thread() -> None:
    seen = []

    def work() -> None:
        with graceful() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_diverged() -> None:
    assert not diagnose.diverged({"a": 3.0, "b": -20.0})
    for value in (float("nan"), float("inf"), -1e12):
        assert diagnose.diverged({"a": 1.0, "b": value})
    assert diagnose.all_finite([torch.ones(2), torch.zeros(3, 3)])
    assert not diagnose.all_finite([torch.ones(2), torch.tensor([1.0, float("nan")])])


def test_shift_moves_whole_images() -> None:
    x = torch.arange(2 * 6 * 5.0).view(1, 2, 6, 5).repeat(200, 1, 1, 1)
    moved = shift(x, 1, Draw(rng()))
    padded = nn.functional.pad(x[:1], (1, 1, 1, 1), mode="replicate")
    places = {(i, j): padded[0, :, i : i + 6, j : j + 5] for i in range(3) for j in range(3)}
    counts = dict.fromkeys(places, 0)
    for image in moved:
        counts[next(place for place, window in places.items() if torch.equal(window, image))] += 1
    assert all(counts.values())
    # half stay put, and a ninth of the rest: 111 of 200, sd 7; a rate of failure below 1e-6
    assert 76 < counts[1, 1] < 146


def test_plain_lines_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    show = reporter(True)
    record = {"critic_loss": 0.5, "generator_loss": 0.7, "gap": 0.1}
    show(Event("start", 0, 100, 0.0))
    for step in range(1, 101):
        show(Event("log", step, 100, 1.0, record))
    show(Event("end", 100, 100, 1.0, message="the end"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("step 5/100")
    assert lines[-1] == "the end"


@pytest.mark.parametrize("height", [1, 4, 7, 8, 9, 28, 64])
@pytest.mark.parametrize("width", [3, 8, 33])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size(height: int, width: int, channels: int) -> None:
    event = (channels, height, width)
    generator = ConvGenerator(event, width=4, generator=rng())
    critic = ConvCritic(event, width=4, generator=rng())
    images = generator(generator.noise(2, generator=rng()))
    assert images.shape == (2, *event)
    assert critic(images).shape == (2,)
    assert max(height, width) / patch_size(height, width) <= 16
    sizes = ladder(height, width)
    assert sizes[-1][0] >= height
    assert sizes[-1][1] >= width
    assert min(sizes[0]) < 8


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_first_weights_come_from_the_generator_given(kind: str) -> None:
    def make(seed: int) -> list[nn.Module]:
        if kind == "mlp":
            return [f((5,), generator=rng(seed)) for f in (MLPGenerator, MLPCritic)]
        return [f((1, 8, 8), generator=rng(seed)) for f in (ConvGenerator, ConvCritic)]

    for one, same, other in zip(make(0), make(0), make(1), strict=True):
        pairs = zip(one.state_dict().values(), same.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_scores_do_not_depend_on_the_batch() -> None:
    critics = [MLPCritic((5,), frequencies=(1.0, 4.0), generator=rng()), ConvCritic((3, 9, 8), generator=rng())]
    for critic, event in zip(critics, [(5,), (3, 9, 8)], strict=True):
        x = torch.randn(6, *event, generator=rng(1))
        torch.testing.assert_close(critic(x), torch.cat([critic(row[None]) for row in x]), rtol=1e-4, atol=1e-5)


def test_first_weights_keep_the_scale() -> None:
    layer = linear(400, 300, rng())
    out = layer(torch.randn(500, 400, generator=rng(1)))
    # He: E out^2 = gain^2 = 2 / 1.04; 300 x 500 products, correlated by row and column: within 5 %
    assert out.square().mean().item() == pytest.approx(2 / 1.04, rel=0.05)
    assert not initialise(layer, rng(), gain=0.0).weight.any()
