"""Do the alarms of a run say what happened in it? Recall and false alarms of each detector over labelled runs.

    python benchmarks/bench_diagnostics.py [--seeds 3] [--steps 1200] [--records FILE] [--again FILE]

Runs play on ring-8, grid-25, a square of 16 modes (4 x 4, step 1, sigma .05) and a normal cloud in 16 dimensions: by
the default game (`rpgan`: relativistic pairing, R1 + R2 with a falling gamma), twice as often as each of the others; by
plain `minimax` and `ns` without a regulariser, all with 20,000 training rows and 2,000 held out; and by plain `few`,
`ns` with 200 and 50. What happened is told by the true modes and by fresh rows, neither of which the monitor has, at
every record:

    collapse      throughout the last quarter of the run, some mode has less than a tenth of its share of 5,000 samples
                  of the averaged generator; not: in no record of the last half has any less than half of it
    hopping       in at least four records the generator gave up a mode (from half of its share to less than a tenth);
                  not: in at most one
    overfitting   throughout the last quarter, the critic puts a training row above a fresh one with a probability of
                  .6; not: the training rows are 20,000

A run that is neither is counted apart; the cloud has no modes to lose, and is labelled for overfitting alone.
`--records` keeps the histories as JSON lines, from which `--again` judges anew without training. Writes
docs/benchmarks/diagnostics.md.
"""

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from pages import machine, table, write
from pushforward import objectives
from pushforward.data import toys
from pushforward.nets import MLPCritic, MLPGenerator
from pushforward.training import ema
from pushforward.training.diagnostics import Monitor, alarms
from pushforward.training.diagnostics.critic import auc

ROWS, HELD = 20_000, 2000
FEW, FEW_HELD = 200, 50
TRUE, EVERY = 5000, 30
MODES = {"ring": 8, "grid": 25, "square": 16}
LABELS = ("collapse", "hopping", "overfitting")
SAID = {True: "yes", False: "no", None: "neither"}
DETECTORS = ("collapse", "hopping", "oscillation", "overfitting", "saturation")


def square() -> toys.Toy:
    side = torch.arange(4, dtype=torch.float64)
    centres = torch.cartesian_prod(side, side)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(len(centres), (n,), generator=generator)
        return centres[which] + 0.05 * torch.randn(n, 2, generator=generator, dtype=torch.float64)

    return toys.Toy("square", ROWS, draw, lambda x: x[:, 0], 2, centres, 0.05)  # the density is not asked for


def cloud() -> toys.Toy:
    """One normal cloud in 16 dimensions, of which a critic soon knows 200 rows by heart."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, 16, generator=generator, dtype=torch.float64)

    return toys.Toy("cloud", ROWS, draw, lambda x: x[:, 0], 16, torch.zeros(1, 16, dtype=torch.float64), 1.0)


OWN = {"square": square, "cloud": cloud}


def shares(generator: nn.Module, modes: Tensor, noise: Tensor) -> Tensor:
    """The share of samples at each true mode, in units of its due."""
    with torch.no_grad():
        nearest = torch.cdist(generator(noise), modes).argmin(1)
    return torch.bincount(nearest, minlength=len(modes)) / len(noise) * len(modes)


def play(name: str, game: str, seed: int, steps: int) -> list[dict[str, Any]]:
    """The records of one run, with the truth (`true_...`) in each."""
    rng = torch.Generator().manual_seed(seed)
    toy = OWN[name]() if name in OWN else toys.toy(name)
    x = toy.sample(ROWS + HELD + TRUE, rng)
    mean, deviation = x.mean(0), x.std(0)
    x, modes = (x - mean) / deviation, ((toy.modes - mean) / deviation).float()
    rows, kept_out = (FEW, FEW_HELD) if game == "few" else (ROWS, HELD)
    train, held, fresh = x[:rows], x[ROWS : ROWS + kept_out], x[ROWS + HELD :]
    plain = game != "rpgan"
    objective = objectives.objective("ns" if game == "few" else game)
    finest = float(toy.sigma / deviation.mean())  # the modes' width as the critic sees it
    frequencies = () if plain else tuple(min(0.5 / finest, 64.0) ** (k / 5) for k in range(6))
    generator = MLPGenerator((toy.d,), noise_size=toy.d, width=64, generator=rng)
    critic = MLPCritic((toy.d,), width=64, frequencies=frequencies, generator=rng)
    average = copy.deepcopy(generator).requires_grad_(False)
    beta = 0.5 if plain else 0.0
    adams = [torch.optim.Adam(p.parameters(), lr=1e-3, betas=(beta, 0.99), fused=True) for p in (generator, critic)]
    monitor = Monitor(train, held, seed=seed)
    noise = torch.randn(TRUE, toy.d, generator=rng)
    records, before = [], None
    for step in range(1, steps + 1):
        gamma = 0.0 if plain else finest ** (2 * min(1.0, step / (0.8 * steps)))  # from 1 to finest^2
        for adam in adams:  # plain games keep their rate
            adam.param_groups[0]["lr"] = 1e-3 if plain else 1e-3 * (1 - 0.9 * max(0.0, step / steps - 0.5) * 2)
        batch = train[torch.randint(len(train), (128,), generator=rng)]
        losses = move(objective, generator, critic, adams, batch, gamma, rng)
        ema.update(average.parameters(), list(generator.parameters()), ema.decay_at(step, 128, 300 * 128))
        if step % EVERY == 0:
            raw, mean_share = shares(generator, modes, noise), shares(average, modes, noise)
            given_up = 0 if before is None else int(((before >= 0.5) & (raw < 0.1)).sum())
            before = raw
            with torch.no_grad():
                known = auc(critic(train[:TRUE]), critic(fresh)).value
            truth = {"true_least": float(mean_share.min()), "true_given_up": given_up, "true_known": known}
            records.append(
                {"step": step, "critic_loss": losses[0], "generator_loss": losses[1]}
                | monitor(step, generator, average, critic, objective)
                | truth
            )
    return records


def move(
    objective: objectives.Objective,
    generator: MLPGenerator,
    critic: MLPCritic,
    adams: list[torch.optim.Adam],
    x: Tensor,
    gamma: float,
    rng: torch.Generator,
) -> tuple[float, float]:
    """One step of both players; their losses."""
    y = generator(generator.noise(len(x), generator=rng))
    real, fake = x.requires_grad_(), y.detach().requires_grad_()
    a, b = critic(torch.cat([real, fake])).chunk(2)
    assert objective.critic is not None
    loss = objective.critic(a, b).mean()
    total = loss
    if gamma:
        slopes = torch.autograd.grad(a.sum() + b.sum(), (real, fake), create_graph=True)
        total = loss + gamma / 2 * sum(slope.square().sum(1).mean() for slope in slopes)
    adams[1].zero_grad()
    total.backward()
    adams[1].step()
    loss_g = objective.generator(critic(x).detach(), critic(y)).mean()
    adams[0].zero_grad()
    loss_g.backward(inputs=list(generator.parameters()))
    adams[0].step()
    return float(loss.detach()), float(loss_g.detach())


def truth(data: str, records: list[dict[str, Any]], game: str) -> dict[str, bool | None]:
    """What happened, of what there is a truth of; None where it is neither."""
    half, quarter = records[len(records) // 2 :], records[-(len(records) // 4) :]
    collapsed = max(r["true_least"] for r in quarter) < 0.1
    clean = min(r["true_least"] for r in half) >= 0.5
    hops = sum(r["true_given_up"] > 0 for r in records)
    overfitted = min(r["true_known"] for r in quarter) > 0.6
    known = {"overfitting": True if overfitted else False if game != "few" else None}
    if data == "cloud":
        return known
    return {
        "collapse": True if collapsed else False if clean else None,
        "hopping": True if hops >= 4 else False if hops <= 1 else None,
    } | known


def report(runs: list[dict[str, Any]]) -> None:
    """A line for each run; then recall and false alarms, printed and written to docs/benchmarks/diagnostics.md."""
    judged, lines = [], []
    for run in runs:
        raised = {alarm.name: alarm.step for alarm in alarms(run["records"])}
        true = truth(run["data"], run["records"], run["game"])
        judged.append((run, true, raised))
        said = {name: SAID[true[name]] if name in true else "-" for name in LABELS}
        print(f"{run['data']:7} {run['game']:8} {run['seed']:4}  truth {said}  alarms {raised}")
        told = ", ".join(f"{name} ({step:,})" for name, step in raised.items())
        lines.append([run["data"], run["game"], str(run["seed"]), *said.values(), told])
    rates = []
    for what, few in ((f"{ROWS:,} and {HELD:,}", False), (f"{FEW} and {FEW_HELD}", True)):
        of = [(true, raised) for run, true, raised in judged if (run["game"] == "few") is few]
        for name in LABELS:
            labelled = [(true[name], name in raised) for true, raised in of if name in true]
            sick = [alarm for happened, alarm in labelled if happened is True]
            well = [alarm for happened, alarm in labelled if happened is False]
            rates.append([name, what, share(sick), share(well), str(len(labelled) - len(sick) - len(well))])
    plain = [[name, *(share(said) for said in split(judged, name))] for name in DETECTORS]
    well = [bool(raised) for run, true, raised in judged if healthy(run, true)]
    counted = [run["records"][-1]["modes"] == MODES[run["data"]] for run in runs if run["data"] in MODES]
    seeds, steps = sorted({run["seed"] % 100 for run in runs}), runs[0]["records"][-1]["step"]
    asked = f"--seeds {len(seeds)} --first-seed {seeds[0]} --steps {steps}"
    page = [
        "# Do the alarms say what happened?",
        "",
        f"Made by `python benchmarks/bench_diagnostics.py {asked}`,",
        f"whose head says what is labelled how. {len(runs)} runs of {steps:,} steps, {machine()}.",
        "In brackets: 95 % intervals of Clopper and Pearson. The monitor is not told the modes: it watched as many",
        f"clusters as there are in {sum(counted)} of the {len(counted)} runs on ring, grid and square.",
        f"Of {FEW + FEW_HELD} rows a mode has 10 to 30: not always enough to be sure that it gets too few samples.",
        "The cloud is cut into cells, which a generator may give up too; whether it did is not known here.",
        "",
        *table(["alarm", "rows to learn from, and held out", "recall", "false alarms", "runs that are neither"], rates),
        "",
        f"Any alarm in healthy runs of the default game: {share(well)}.",
        "",
        "## How often each was raised",
        "",
        *table(["alarm", "in runs of the default game", "in plain runs"], plain),
        "",
        "## Run by run",
        "",
        "What happened, and the alarms with the step at which each was first raised.",
        "",
        *table(["data", "game", "seed", *LABELS, "alarms"], lines),
    ]
    print("\n".join(page[: page.index("## Run by run")]))
    write("diagnostics", page)


Judged = tuple[dict[str, Any], dict[str, bool | None], dict[str, int]]


def healthy(run: dict[str, Any], true: dict[str, bool | None]) -> bool:
    """A run of the default game to which nothing happened."""
    return run["game"] == "rpgan" and true == dict.fromkeys(true, False)


def split(judged: list[Judged], name: str) -> tuple[list[bool], list[bool]]:
    """Whether the alarm was raised in each run of the default game, and in each plain one."""
    default, plain = ([name in a for run, _, a in judged if (run["game"] == "rpgan") is own] for own in (True, False))
    return default, plain


def share(said: list[bool]) -> str:
    """k of n with an interval."""
    if not said:
        return "none"
    k, n = sum(said), len(said)
    low, high = binomtest(k, n).proportion_ci()
    return f"{k} of {n} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--games", nargs="+", default=["minimax", "rpgan", "ns", "rpgan", "few"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--records", type=Path)
    parser.add_argument("--again", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs: list[dict[str, Any]] = []
    if options.again:
        runs = [json.loads(line) for line in options.again.read_text().splitlines()]
    else:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for place, game in enumerate(options.games):
                for name in ("square", "ring", "grid", "cloud"):
                    started = time.perf_counter()
                    records = play(name, game, 100 * place + seed, options.steps)
                    runs.append({"data": name, "game": game, "seed": 100 * place + seed, "records": records})
                    print(f"{name} {game} {seed}: {time.perf_counter() - started:.0f} s", flush=True)
                    if options.records:
                        with options.records.open("a") as file:
                            file.write(json.dumps(runs[-1]) + "\n")
    report(runs)


if __name__ == "__main__":
    main()
