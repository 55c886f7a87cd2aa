"""Generator steps a second: our loop beside a loop written by hand, torchgan and mimicry, in turns in one run.

    python benchmarks/bench_steps.py --peers-python VENV/bin/python [--tasks mlp-ns ...] [--threads 2 1] [--rounds 9]
        [--seconds 1.0] [--device cpu]

For a quiet machine (on a busy one, `OMP_WAIT_POLICY=PASSIVE` in the environment keeps waiting threads from spinning).
Every contestant is a process that waits; in each round each does the same number of steps, one after the other, in
changing order, on the same networks (`step_nets.py`), batches and threads, so that what else the machine does meets all
alike. Figures are ratios of the times within a round: median, and least to greatest. The peers live in an environment
of their own (see `peers_steps.py`); without it they are left out. Results go to docs/benchmarks/steps.json and the page
beside it, cell by cell.
"""

import argparse
import copy
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pages
from pushforward.training.heap import kept
from step_nets import GP, RATE, TASKS, Task, batches, by_hand, data, networks, wait

SELF, PEER = Path(__file__), Path(__file__).with_name("peers_steps.py")
OURS = ("ours", "plain", "tight")
PEERS = ("torchgan", "mimicry")
HEAD = ("task", "ours, steps/s", "plain loop", "tight loop", "torchgan", "mimicry")
ABOUT = """Times of others over ours for the same steps: above 1, ours is faster. Median of {rounds} rounds of about
{seconds:g} s, least to greatest in brackets; below it the ratio of processor times, median and of the fastest rounds,
which what else the machine does touches less. One step is one of the generator with its critic steps: one for the
non-saturating loss (ns), five with the gradient penalty (wgan-gp). `mlp`: points in 2-D, three hidden layers of 128 in
both networks, batch 256. `dcgan`: images 3 x 28 x 28, batch 64, batch normalisation in the generator; {parameters}.

- plain loop: PyTorch's DCGAN example, Adam as it comes. tight loop: the same mathematics with every trick we use
  (fused Adam, one critic pass over data and samples, no gradients that are not needed). Beyond it ours keeps freed
  memory (`training/heap.py`) and does not visit what lies behind a kink (`training/kinks.py`); and it pays for the
  moving average of the weights, the figures of the history, and randomness by (seed, step).
- torchgan 0.1.0's WGAN-GP draws samples, goes back and moves Adam for the penalty once more, and norms the gradient
  over the whole batch: more work for another loss. Its trainer runs as it is, its logger without TensorBoard.
- mimicry 0.1.16 samples once more for the generator's step. Its WGAN-GP takes images of three channels only, so that
  its points are 3 x 1 x 1; its trainer logs and saves nothing during the rounds.
- All run on the same torch; torchvision, TensorBoard, `torch._six` and other modules that training does not call are
  stand-ins (`benchmarks/peers_steps.py`)."""


class Noisy(nn.Sequential):
    """A generator that knows its noise."""

    def __init__(self, size: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.size = size

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.size, generator=generator, device=generator.device)


def ours(task: Task, device: str) -> Callable[[], None]:
    """One call of `training.loop.advance`, with all that it does in a run."""
    from pushforward.models.engine import engine
    from pushforward.objectives import objective
    from pushforward.training.batches import Batches
    from pushforward.training.loop import Settings, State, advance, drawer
    from pushforward.training.player import Player
    from pushforward.training.regularisers import Setting, regularisers
    from pushforward.training.schedule import Schedule
    from pushforward.training.step import Rules

    generator, critic = networks(task)
    generator, critic = Noisy(task.noise, *generator), nn.Sequential(*critic, nn.Flatten(0))
    fabric = engine(device, None, None)
    rows = data(task.event, device)

    def setting(number: float | None) -> Setting:
        return Setting(number, (1.0, 1.0), len(rows), task.batch, task.event)

    words, name = ("none", "ns") if task.loss == "ns" else (f"gp:{GP}", "wgan")
    average = copy.deepcopy(generator).requires_grad_(False)
    state = State(
        Player(generator.to(device), fabric),
        Player(critic.to(device), fabric),
        average.to(device),
        Rules(objective(name), regularisers(words, setting), n_critic=task.n_critic),
        torch.device(device),
    )
    settings = Settings(Schedule(10**9, RATE), half_life=500 * task.batch, seed=0, log_every=10**9)
    feed = Batches(rows, lambda x: x, task.batch, seed=0, device=torch.device(device))
    draw = drawer(state, fabric)
    return lambda: advance(state, settings, feed, draw)


def alone(name: str, task: Task, device: str) -> None:
    """A contestant: reads a number of steps, does them, and says how many seconds of wall and processor they took."""
    if name == "ours":
        step = ours(task, device)
    else:
        loop, feed = by_hand(task, device, tight=name == "tight"), batches(data(task.event, device), task.batch)
        step = lambda: loop(feed)  # noqa: E731
    with kept() if name == "ours" else nullcontext():  # as in a run
        for line in sys.stdin:
            wait(line)
            began = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                step()
            wait(line)
            print(time.perf_counter() - began[0], time.process_time() - began[1], flush=True)


class Contestant:
    """A process that waits for its turn."""

    def __init__(self, name: str, task: str, threads: int, options: argparse.Namespace) -> None:
        start = [options.peers_python, PEER] if name in PEERS else [sys.executable, SELF, "--alone"]
        command = [*start, name, task, "--threads", threads, "--device", options.device]
        self.name = name
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
            stderr=None if options.loud else subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, steps: int) -> tuple[float, float]:
        """Seconds of wall and of processor time that these steps took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            raise RuntimeError(f"{self.name} ended without an answer; run again with --loud")
        return float(answer[0]), float(answer[1])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def race(task: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """All contestants in turns: steps a second of ours, and the others' times over ours, round by round."""
    running: list[Contestant] = []
    try:
        for name in (*OURS, *(PEERS if options.peers_python else ())):
            running.append(Contestant(name, task, threads, options))
            running[-1](3)
        steps = max(3, round(options.seconds * 5 / running[1](5)[0]))
        times: dict[str, list[tuple[float, float]]] = {one.name: [] for one in running}
        for turn in range(options.rounds):
            shift = turn % len(running)
            for one in running[shift:] + running[:shift]:
                times[one.name].append(one(steps))
    finally:
        for one in running:
            one.end()
    mine = times["ours"]
    found: dict[str, Any] = {"steps": steps, "per_second": steps / statistics.median(wall for wall, _ in mine)}
    for name, theirs in times.items():
        walls = [their[0] / our[0] for their, our in zip(theirs, mine, strict=True)]
        processor = [their[1] / our[1] for their, our in zip(theirs, mine, strict=True)]
        found[name] = {"wall": walls, "processor": processor, "seconds": theirs}
    return found


def cell(found: dict[str, Any], name: str) -> str:
    """The ratio of wall times with its range, and that of processor times, median and of the fastest rounds."""
    if name not in found:
        return "-"
    walls, processor = found[name]["wall"], found[name]["processor"]
    shown = f"**{statistics.median(walls):.2f}** [{min(walls):.2f}, {max(walls):.2f}]"
    fastest = min(one[1] for one in found[name]["seconds"]) / min(one[1] for one in found["ours"]["seconds"])
    return f"{shown}<br>{statistics.median(processor):.2f}, fastest {fastest:.2f}"


def page(results: dict[str, Any]) -> list[str]:
    """The page's lines."""
    sizes = [sum(p.numel() for p in net.parameters()) for net in networks(TASKS["dcgan-ns"])]
    about = ABOUT.format(
        rounds=results["rounds"],
        seconds=results["seconds"],
        parameters=f"{sizes[0]:,} weights in the generator and {sizes[1]:,} in the critic",
    )
    lines = [
        "# Speed of the training loop",
        "",
        f"Written by `benchmarks/bench_steps.py` from [steps.json](steps.json). {results['machine']}; the "
        f"machine's load average as it ended was {results['load']:.1f}. Rerun with",
        "",
        "```",
        f"python -m venv peers && peers/bin/pip install torch=={torch.__version__.split('+')[0]} numpy",
        "peers/bin/pip install --no-deps torchgan torch-mimicry",
        "python benchmarks/bench_steps.py --peers-python peers/bin/python",
        "```",
        "",
        *about.splitlines(),
    ]
    for where, tasks in results["cells"].items():
        rows = [
            [name, f"{found['per_second']:.1f}", *(cell(found, who) for who in ("plain", "tight", *PEERS))]
            for name, found in tasks.items()
        ]
        lines += ["", f"## {where}", "", *pages.table(HEAD, rows)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--peers-python", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--loud", action="store_true", help="show what the contestants print")
    parser.add_argument("--alone", nargs=2, metavar=("NAME", "TASK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        torch.set_num_threads(options.threads[0])
        alone(options.alone[0], TASKS[options.alone[1]], options.device)
        return
    about = {"machine": pages.machine(), "rounds": options.rounds, "seconds": options.seconds}
    for threads in options.threads:
        where = f"{threads} thread{'s' if threads > 1 else ''}" if options.device == "cpu" else options.device
        for task in options.tasks:
            found = race(task, threads, options)
            shown = {
                k: f"{statistics.median(v['wall']):.2f}/{statistics.median(v['processor']):.2f}"
                for k, v in found.items()
                if isinstance(v, dict)
            }
            print(where, task, f"{found['per_second']:.1f} steps/s", shown, flush=True)
            pages.write(
                "steps",
                page(pages.store("steps", {**about, "load": os.getloadavg()[0], "cells": {where: {task: found}}})),
            )


if __name__ == "__main__":
    main()
