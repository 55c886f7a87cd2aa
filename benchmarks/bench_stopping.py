"""The stopping rule where the truth is known: simulated runs whose generator at every step has a known law.

    python benchmarks/bench_stopping.py [--seeds 5] [--problems approach ...] [--watched 4000] [--closing 2000]
    python benchmarks/bench_stopping.py --errors 2000        the two type-I errors, on cheap sequences
    python benchmarks/bench_stopping.py --gans 3             real small GANs on toys, by snapshots of their average

A run is 60 audits, one every 100 steps. The truth of a step is the AUC of the optimal judge, log p/q, by 60,000 draws.
*Hindsight* is the audited step of the lowest true AUC among all 60. The quality of a step is what it gained on the
first audit, D(1) - D(t) with D = AUC - 1/2; quality per step is that of the checkpoint kept over the step at which the
run was stopped, and `ratio` divides it by the gain of hindsight's checkpoint over hindsight's step (to hold: at least
1/2). A declaration is WRONG where the generator had collapsed, or the judges attain the tolerance.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom, norm
from scipy.stats import t as student

import pages
from pushforward.data import toys
from pushforward.training.stopping import Auditor
from pushforward.training.stopping import auditor as internals
from pushforward.training.stopping.judges import fit_judges
from pushforward.training.stopping.scoring import shares_below

Array = NDArray[np.float64]
AUDITS, EVERY, TRUTH = 60, 100, 60_000
TITLES = {"problems": "Problems", "errors": "Type-I errors", "gans": "Small GANs"}
ABOUT = [
    "# The stopping rule where the truth is known",
    "",
    "Made by `python benchmarks/bench_stopping.py`; its head says what is measured. Ratio: quality per step beside",
    "that of the best checkpoint in hindsight; at least 1/2 is asked for, and there is none where nothing was to be",
    "gained. Of the collapsed generators (late drop, one of 25 missing, 200 points, hopping) none is declared. The",
    "memoriser hands out copies of 20,000 rows of its own: their law is singular to the data's, an AUC of 1 by",
    "definition, yet no judge of some thousand rows can tell (theirs is .50): `compare --train` looks for copies.",
    "",
]


@dataclass(frozen=True)
class Law:
    """`draw(n, rng)` gives `(n, k)`; `log_density` `(n, k) -> (n,)`, None where there is none (copies of points)."""

    draw: Callable[[int, np.random.Generator], Array]
    log_density: Callable[[Array], Array] | None


@dataclass(frozen=True)
class Problem:
    """The data, the generator at audit t = 1..60, and whether a declaration would be wrong (collapsed generators)."""

    data: Law
    at: Callable[[int], Law]
    collapsed: Callable[[int], bool] = lambda t: False


def normal(shift: float = 0.0, scale: float = 1.0, d: int = 5) -> Law:
    """N(shift e_1, scale^2 I)."""
    centre = np.eye(d)[0] * shift
    return Law(
        lambda n, rng: centre + scale * rng.normal(size=(n, d)),
        lambda x: norm.logpdf(x, centre, scale).sum(1),
    )


def modes(centres: Array, sigma: float, weights: Array | None = None) -> Law:
    """A mixture of isotropic normals."""
    weights = np.full(len(centres), 1 / len(centres)) if weights is None else weights / weights.sum()
    kept = weights > 0

    def log_density(x: Array) -> Array:
        square = ((x[:, None] - centres[None, kept]) ** 2).sum(-1)
        parts = np.log(weights[kept]) - square / (2 * sigma**2) - 2 * math.log(sigma) - math.log(2 * math.pi)
        return np.logaddexp.reduce(parts, axis=1)

    def draw(n: int, rng: np.random.Generator) -> Array:
        return centres[rng.choice(len(centres), n, p=weights)] + sigma * rng.normal(size=(n, 2))

    return Law(draw, log_density)


def copies(points: Array) -> Law:
    """Uniform on the rows of `points`."""
    return Law(lambda n, rng: points[rng.integers(len(points), size=n)], None)


def mixed(first: Law, second: Law, share: float) -> Law:
    """`share` of the rows from `second`."""

    def draw(n: int, rng: np.random.Generator) -> Array:
        taken = rng.random(n) < share
        rows = first.draw(n, rng)
        rows[taken] = second.draw(int(taken.sum()), rng)
        return rows

    return Law(draw, None)


def heavy(scale: float = 1.0) -> Law:
    """Five independent columns of Student's t with 3 degrees of freedom."""
    return Law(
        lambda n, rng: scale * rng.standard_t(3, size=(n, 5)),
        lambda x: (student.logpdf(x / scale, 3) - math.log(scale)).sum(1),
    )


RING = toys.toy("ring").modes.numpy()
GRID = toys.toy("grid").modes.numpy()


def problems() -> dict[str, Problem]:
    rng = np.random.default_rng(0)
    spiky = rng.dirichlet(np.full(25, 0.5))
    late = rng.permutation(25)
    trained = normal().draw(20_000, rng)
    few = normal().draw(200, rng)

    def without(count: int) -> Array:
        weights = np.ones(25)
        weights[late[:count]] = 0
        return weights

    def memoriser(t: int) -> Law:
        return normal(2 * math.exp(-t / 6)) if t < 15 else mixed(normal(), copies(trained), min(1.0, (t - 14) / 10))

    half = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
    grid, ring, plain = modes(GRID, 0.05), modes(RING, 0.01), normal()
    return {
        "approach": Problem(plain, lambda t: normal(2 * math.exp(-t / 8))),
        "and diverge": Problem(plain, lambda t: normal(0.35 + 1.5 * abs(math.log(t / 15)))),
        "widths": Problem(heavy(), lambda t: heavy(0.3 + 0.05 * t if t < 12 else 0.85 + 0.02 * (t - 12))),
        "weights": Problem(grid, lambda t: modes(GRID, 0.05, 1 / 25 + (spiky - 1 / 25) * math.exp(-t / 10))),
        "late drop": Problem(
            grid,
            lambda t: modes(GRID, 0.05 * (1.3 + 2 * math.exp(-t / 5)), without(max(0, (t - 20) // 4))),
            lambda t: t >= 24,
        ),
        "one of 25 missing": Problem(grid, lambda t: modes(GRID, 0.05, without(1)), lambda t: True),
        "200 points": Problem(plain, lambda t: copies(few), lambda t: True),
        "memoriser": Problem(plain, memoriser),
        "hopping": Problem(ring, lambda t: modes(RING, 0.01 * (1 + 3 / t), np.roll(half, t)), lambda t: True),
        "slow": Problem(plain, lambda t: normal(1.0 - 0.012 * t)),
        "never good": Problem(plain, lambda t: normal(0.8)),
        "perfect at once": Problem(plain, lambda t: normal()),
    }


def true_auc(data: Law, model: Law, rng: np.random.Generator) -> float:
    """The AUC of log p - log q; 1 for a model without a density (its law is singular to the data's)."""
    if data.log_density is None or model.log_density is None:
        return 1.0
    a, b = (data.log_density(x) - model.log_density(x) for x in (data.draw(TRUTH, rng), model.draw(TRUTH, rng)))
    return area(a, b)


def area(a: Array, b: Array) -> float:
    """P(a > b) + P(a = b)/2."""
    return float(shares_below(a, b).mean())


@dataclass(frozen=True)
class Run:
    """How one run ended. `attained`: the largest true AUC of the judges of the last audit (by 30,000 draws)."""

    decision: str
    wrong: bool
    stopped: int
    best: int
    ratio: float
    kept: float
    attained: float
    closing: float
    covered: bool
    seconds: float


def follow(problem: Problem, truths: list[float], options: argparse.Namespace, seed: int) -> Run:
    """One run under the rule."""
    rng = np.random.default_rng([seed, 7])
    auditor = Auditor(problem.data.draw(options.watched, rng), problem.data.draw(options.closing, rng), seed=seed)
    t, started = 0, time.process_time()
    while t < AUDITS and auditor.decision() == "go on":
        t += 1
        fakes = problem.at(t).draw(auditor.fakes_wanted, rng)
        auditor.audit(EVERY * t, fakes)
    seconds = (time.process_time() - started) / t
    best, hindsight = auditor.best_step // EVERY, int(np.argmin(truths)) + 1
    gain, most = truths[0] - truths[best - 1], truths[0] - min(truths)
    judges = again(auditor, fakes)
    real, fake = problem.data.draw(TRUTH // 2, rng), problem.at(t).draw(TRUTH // 2, rng)
    attained = max(area(judge(real), judge(fake)) for judge in judges.values())
    closing = auditor.close(problem.at(best).draw(auditor.fakes_wanted_to_close, rng))
    stopped = auditor.decision() == "indistinguishable"
    return Run(
        decision="budget spent" if auditor.decision() == "go on" else auditor.decision(),
        wrong=stopped and (problem.collapsed(t) or attained >= auditor.tolerance),
        stopped=t,
        best=best,
        ratio=gain / t / (most / hindsight) if most > 0.005 else math.nan,
        kept=truths[best - 1],
        attained=attained,
        closing=closing.auc.value,
        covered=closing.auc.low <= truths[best - 1],
        seconds=seconds,
    )


class Part:
    """A part of the page: its lines are printed, stored, and put on the page as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        self.lines += [line, ""] if not self.lines else [line]
        found = pages.store("stopping", {self.name: self.lines})
        text = [f"## {title}\n\n" + "\n".join(found[name]) + "\n" for name, title in TITLES.items() if name in found]
        pages.write("stopping", [*ABOUT, *text])


def again(auditor: Auditor, fakes: Array) -> Mapping[str, Callable[[Array], Array]]:
    """The judges of the last audit, trained once more on the same rows."""
    look = len(auditor.audits)
    fit, _, _ = auditor._dealt(fakes, internals._SAMPLES_TO_A_ROW * len(auditor._fit), look)
    return fit_judges(auditor._fit, fit, seed=internals._seed(auditor.seed, look), names=auditor.names)


def table(options: argparse.Namespace) -> None:
    """Every problem, every seed."""
    say = Part("problems")
    say(f"{options.watched} watched and {options.closing} closing rows, {options.seeds} seeds; audits are counted")
    say("| problem | decisions | stopped at | kept | hindsight | AUC kept (lowest) | judges' | closing | ratio | s |")
    say("|---" * 10 + "|")
    for name, problem in problems().items():
        if options.problems and name not in options.problems:
            continue
        truth_rng = np.random.default_rng(11)
        truths = [true_auc(problem.data, problem.at(t), truth_rng) for t in range(1, AUDITS + 1)]
        runs = [follow(problem, truths, options, seed) for seed in range(options.seeds)]
        kinds = sorted({run.decision for run in runs})
        decided = ", ".join(f"{sum(run.decision == kind for run in runs)} {kind}" for kind in kinds)
        wrong = sum(run.wrong for run in runs)
        mean = {key: np.mean([getattr(run, key) for run in runs]) for key in ("kept", "attained", "closing", "seconds")}
        say(
            f"| {name} | {decided}{f' ({wrong} WRONG)' if wrong else ''} | {_span(runs, 'stopped')} | "
            f"{_span(runs, 'best')} | {int(np.argmin(truths)) + 1} | {mean['kept']:.3f} ({min(truths):.3f}) | "
            f"{mean['attained']:.3f} | {mean['closing']:.3f} | {min(run.ratio for run in runs):.2f} | "
            f"{mean['seconds']:.2f} |"
        )


def _span(runs: list[Run], key: str) -> str:
    values = [getattr(run, key) for run in runs]
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"


# ---- the two errors


def errors(repetitions: int) -> None:
    """How often each promise fails in runs of 12 audits, 400 watched rows, one quadratic judge of one column.

    At the boundary: N(0, 1) against N(shift, 1) with the optimal AUC 0.002 above the tolerance, so that most judges
    attain a little more than it, some a little less; wrong is a declaration whose judge attains the tolerance (exact,
    by quadrature); and the bounds fail where auc_lower is above or auc_upper under what the judge attains, at any
    audit. Under equality: p_value is at most alpha = .05 at any audit.
    """
    tolerance, audits = 0.7, 12
    shift = math.sqrt(2) * norm.ppf(tolerance + 0.002)
    grid = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    counts = dict.fromkeys(("declared", "declared wrongly", "bounds above", "bounds below", "detected, equality"), 0)
    for seed in range(repetitions):
        found = dict.fromkeys(counts, False)
        for move in (shift, 0.0):
            rng = np.random.default_rng([seed, int(move > 0)])
            rows = rng.normal(size=(500, 1))
            auditor = Auditor(
                rows[:400], rows[400:], tolerance=tolerance, collapse=0.99, seed=seed, names=("quadratic",), patience=99
            )
            for step in range(1, audits + 1):
                fakes = rng.normal(size=(2600, 1)) + move
                before = auditor.decision()
                audit = auditor.audit(step, fakes)
                if not move:
                    found["detected, equality"] |= audit.p_value <= auditor.alpha
                    continue
                (judge,) = again(auditor, fakes).values()
                truth = area(judge(grid), judge(grid + move))
                found["bounds above"] |= audit.auc_upper < truth
                found["bounds below"] |= audit.auc_lower > truth
                if before == "go on" and auditor.decision() == "indistinguishable":
                    found["declared"] = True
                    found["declared wrongly"] = truth >= tolerance
        for key, value in found.items():
            counts[key] += value
    band = [int(binom.ppf(p, repetitions, 0.05)) for p in (0.0005, 0.9995)]
    say = Part("errors")
    say(f"{repetitions} runs of {audits} audits; at a rate of .05 the count lies in {band[0]}..{band[1]} (99.9 %)")
    say("| what | runs | rate |")
    say("|---|---|---|")
    for key, count in counts.items():
        say(f"| {key} | {count} | {count / repetitions:.4f} |")


# ---- real generators


def gans(seeds: int, steps: int = 4000) -> None:
    """Small relativistic GANs on toys; truth: the root of the energy distance of 4000 samples to 4000 fresh rows."""
    say = Part("gans")
    say("Truth: the root of the energy distance of 4,000 samples to 4,000 fresh rows.")
    say("| toy | seed | decision | stopped | kept | hindsight | distance kept, lowest, first | ratio | closing AUC |")
    say("|---" * 9 + "|")
    for name, seed in itertools.product(("mixture-1d", "moons", "ring"), range(seeds)):
        data, rng = toys.toy(name), torch.Generator().manual_seed(seed)
        auditor = Auditor(data.sample(3000, rng), data.sample(1500, rng), seed=seed)
        fresh, distances, kept, outcome = data.sample(4000, rng), [], None, None
        for step, sample in snapshots(data, seed, steps):
            distances.append(energy(fresh, sample(4000)))
            if auditor.decision() != "go on":
                continue
            auditor.audit(step, sample(auditor.fakes_wanted))
            if auditor.best_step == step:
                kept = sample(auditor.fakes_wanted_to_close)
            outcome = (auditor.decision(), step)
        assert outcome is not None
        assert kept is not None
        closing, every = auditor.close(kept), steps // len(distances)
        best, hindsight = auditor.best_step // every, int(np.argmin(distances)) + 1
        gain, most = distances[0] - distances[best - 1], distances[0] - min(distances)
        ratio = (gain / outcome[1]) / (most / (hindsight * every))
        say(
            f"| {name} | {seed} | {outcome[0]} | {outcome[1]} | {auditor.best_step} | {hindsight * every} | "
            f"{distances[best - 1]:.3f}, {min(distances):.3f}, {distances[0]:.3f} | {ratio:.2f} | "
            f"{closing.auc.value:.3f} ({closing.auc.low:.3f} to {closing.auc.high:.3f}) |"
        )


def energy(x: torch.Tensor, y: torch.Tensor) -> float:
    """The square root of 2 E|X-Y| - E|X-X'| - E|Y-Y'|, unbiased under the root."""
    n = len(x)
    inner = sum(float(torch.cdist(z, z).sum()) / (n * (n - 1)) for z in (x, y))
    return math.sqrt(max(0.0, 2 * float(torch.cdist(x, y).mean()) - inner))


def snapshots(
    data: toys.Toy, seed: int, steps: int, every: int = 100
) -> Iterator[tuple[int, Callable[[int], torch.Tensor]]]:
    """(step, sampler of the averaged generator), every `every` steps of a plain loop: pairing, R1 + R2, Adam."""
    rng = torch.Generator().manual_seed(1000 + seed)
    sizes, batch, gamma = ((4, 64, 64, data.d), (data.d, 64, 64, 1)), 128, 0.1
    generator, critic = (_mlp(size, rng) for size in sizes)
    average = _mlp(sizes[0], rng)
    average.load_state_dict(generator.state_dict())
    adam = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.0, 0.99)) for net in (generator, critic)]
    rows = data.sample(20_000, rng)
    for step in range(1, steps + 1):
        x = rows[torch.randint(len(rows), (batch,), generator=rng)].requires_grad_()
        y = generator(torch.randn(batch, 4, generator=rng))
        fake = y.detach().requires_grad_()
        a, b = critic(x), critic(fake)
        slopes = torch.autograd.grad(a.sum() + b.sum(), (x, fake), create_graph=True)
        charge = gamma / 2 * sum(slope.square().sum(1).mean() for slope in slopes)
        adam[1].zero_grad()
        (torch.nn.functional.softplus(b - a).mean() + charge).backward()
        adam[1].step()
        adam[0].zero_grad()
        torch.nn.functional.softplus(critic(x.detach()).detach() - critic(y)).mean().backward()
        adam[0].step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 0.01)
        if step % every == 0:
            noise = torch.Generator().manual_seed(step)
            yield step, lambda n, noise=noise: average(torch.randn(n, 4, generator=noise)).detach()


def _mlp(sizes: tuple[int, ...], rng: torch.Generator) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        linear = torch.nn.utils.skip_init(torch.nn.Linear, fan_in, fan_out)
        torch.nn.init.kaiming_normal_(linear.weight, nonlinearity="leaky_relu", generator=rng)
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.LeakyReLU(0.2)]
    return torch.nn.Sequential(*layers[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", nargs="+", choices=list(problems()))
    parser.add_argument("--watched", type=int, default=4000)
    parser.add_argument("--closing", type=int, default=2000)
    parser.add_argument("--errors", type=int, metavar="REPETITIONS")
    parser.add_argument("--gans", type=int, metavar="SEEDS")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.errors:
        errors(options.errors)
    elif options.gans:
        gans(options.gans)
    else:
        table(options)


if __name__ == "__main__":
    main()
