"""Mode coverage: objectives x regularisers on ring-8, grid-25 and the 16-mode square, by PacGAN's protocol.

The data are PacGAN's (arXiv 1712.04086, section 4.1): radius 1, sigma .01; grid step 2, sigma .05; the square's step 2,
sigma .1; 100,000 rows each; 2,500 samples are judged. A sample is of high quality within 3 sigma of its nearest mode,
and a mode is captured by one such sample.

    python benchmarks/bench_modes.py leading [--seeds 5]     the default and its rivals, whole runs
    python benchmarks/bench_modes.py cross [--steps 1500]    every objective with every regulariser, short runs
    python benchmarks/bench_modes.py page                    docs/benchmarks/modes.md from what was measured

Every run is stored as soon as it has ended (docs/benchmarks/modes.json), and those that are there are not run again:
a bench that was interrupted goes on. `--part 0/2` and `--part 1/2` share the work between two processes, each with a
file of its own (`--store`), which `page` merges. `--pictures DIR` saves each run's samples (data grey, samples red).
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pages import FOLDER, machine, table, write
from pushforward.data import toys
from pushforward.errors import InputError
from pushforward.models import GAN, Drifting, FlowMatching, ScoreDifference
from pushforward.objectives import OBJECTIVES

ROWS, DRAWN, PIXELS = 100_000, 2500, 600
TOYS = ("ring", "grid", "square")
REGULARISERS = ("none", "r1+r2", "gp", "spectral-norm")
LEADING = (
    ("flow-matching", "", ""),
    ("gan", "rpgan", "default"),
    ("gan", "rpgan", "r1+r2"),
    ("gan", "ns", "default"),
    ("gan", "hinge", "default"),
    ("gan", "wgan", "gp"),
    ("gan", "ns", "none"),
    ("gan", "minimax", "none"),
    ("score-difference", "", ""),
    ("drifting", "", ""),
)
BEFORE = ("gan", "rpgan", "r1+r2, rows drawn independently")  # of an earlier state, kept for comparison
PUBLISHED = (
    ("GAN", "6.3", "98.2", ".45", "17.3", "94.8", ".70"),
    ("ALI", "6.6", "97.6", ".36", "24.1", "95.7", ".14"),
    ("Unrolled (5)", "7.6", "35.6", "", "23.6", "16", ""),
    ("VEEGAN", "8", "52.9", "", "24.6", "40", ""),
    ("PacGAN, best", "7.9", "95.6-97.7", ".07", "24.8", "93.6", ".04"),
    ("perfect sampler", "8", "98.9", ".0013", "25", "98.9", ".0047"),
)
PROTOCOL = "PacGAN's runs: 400,000 steps of 100 rows with networks 400 wide; means of 10."
Cell = dict[str, Any]


def picture(x: Tensor, y: Tensor) -> Image.Image:
    """Data `x` `(n, 2)` in grey and samples `y` `(m, 2)` in red, on one square."""
    low, high = x.min() - 0.3, x.max() + 0.3
    canvas = torch.full((PIXELS, PIXELS, 3), 255, dtype=torch.uint8)
    for points, colour in ((x[:5000], (170, 170, 170)), (y, (200, 30, 30))):
        place = ((points - low) / (high - low) * (PIXELS - 1)).round().long().clamp(0, PIXELS - 1)
        canvas[PIXELS - 1 - place[:, 1], place[:, 0]] = torch.tensor(colour, dtype=torch.uint8)
    return Image.fromarray(canvas.numpy())


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """The runs asked for."""
    games = LEADING if options.what == "leading" else cross()
    for seed in range(options.seeds):
        for name in options.toys:
            for model, objective, regularise in games:
                yield {
                    "table": options.what,
                    "toy": name,
                    "model": model,
                    "objective": objective,
                    "regularise": regularise,
                    "seed": seed,
                    "steps": options.steps,
                }


def cross() -> list[tuple[str, str, str]]:
    """Every objective that has a critic with every regulariser, and those without one by themselves."""
    games = []
    for name, row in OBJECTIVES.items():
        if name in ("gan", "gan-ns"):  # minimax and ns under other names
            continue
        games += [("gan", name, words) for words in (REGULARISERS if row.critic else ("none",))]
    return games


def measure(cell: Cell, pictures: Path | None) -> Cell:
    """Fit, draw, judge."""
    toy = toys.toy(cell["toy"])
    x = toy.sample(ROWS, torch.Generator().manual_seed(0))
    kinds = {"score-difference": ScoreDifference, "drifting": Drifting, "flow-matching": FlowMatching}
    if cell["model"] == "gan":
        words = None if cell["regularise"] == "default" else cell["regularise"]
        model = GAN(cell["objective"], regularise=words, steps=cell["steps"], seed=cell["seed"], device="cpu")
    else:
        model = kinds[cell["model"]](steps=cell["steps"], seed=cell["seed"], device="cpu")
    started = time.perf_counter()
    try:
        model.fit(x, progress=False)
    except InputError as error:
        return {**cell, "failed": str(error).split(":")[0], "seconds": time.perf_counter() - started}
    if model.interrupted_:  # what was asked for has not been measured
        raise SystemExit(130)
    seconds = time.perf_counter() - started
    y = model.sample(DRAWN, seed=cell["seed"])
    report = toys.mode_report(y, toy)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        name = "-".join(str(cell[part]) for part in ("toy", "model", "objective", "regularise", "seed"))
        picture(x, y).save(pictures / f"{name}.png")
    from pushforward.training.diagnostics import alarms

    return {
        **cell,
        "done": model.steps_done_,
        "captured": report.captured,
        "modes": report.modes,
        "high_quality": report.high_quality,
        "reverse_kl": report.reverse_kl,
        "alarms": sorted({alarm.name for alarm in alarms(model.history_)}),
        "seconds": seconds,
    }


def key(cell: Cell) -> str:
    return "/".join(str(cell[name]) for name in ("table", "toy", "model", "objective", "regularise", "seed", "steps"))


def stored(paths: list[Path]) -> dict[str, Cell]:
    return {name: cell for path in paths if path.exists() for name, cell in json.loads(path.read_text()).items()}


def keep(path: Path, found: dict[str, Cell]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text("{\n" + ",\n".join(f'"{name}": {json.dumps(cell)}' for name, cell in found.items()) + "\n}\n")
    fresh.replace(path)


# ---- the page


def summary(group: list[Cell]) -> list[str]:
    """Modes (least and most), high quality and reverse KL (means), steps and seconds of the runs of one row."""
    whole = [cell for cell in group if "failed" not in cell]
    if not whole:
        return ["diverged", "", "", "", ""]
    mean = {name: sum(c[name] for c in whole) / len(whole) for name in ("high_quality", "reverse_kl", "seconds")}
    captured = [cell["captured"] for cell in whole]
    modes = f"{min(captured)}" + ("" if min(captured) == max(captured) else f"-{max(captured)}")
    steps = sorted({cell["done"] for cell in whole})
    failed = f" ({len(group) - len(whole)} diverged)" if len(whole) < len(group) else ""
    return [
        f"{modes}/{whole[0]['modes']}{failed}",
        f"{100 * mean['high_quality']:.1f}",
        f"{mean['reverse_kl']:.4f}",
        "-".join(f"{done:,}" for done in dict.fromkeys((steps[0], steps[-1]))),
        f"{mean['seconds']:.0f}",
    ]


def leading_table(found: list[Cell]) -> list[str]:
    head = ["toy", "model", "objective", "regularisers", "seeds", "modes", "HQ %", "rev. KL", "steps", "s", "alarms"]
    rows = []
    for name in TOYS:
        for game in (*LEADING, BEFORE):
            group = [c for c in found if (c["toy"], c["model"], c["objective"], c["regularise"]) == (name, *game)]
            if group:
                alarms = sorted({alarm for cell in group for alarm in cell.get("alarms", [])})
                rows.append([name, *game, str(len(group)), *summary(group), ", ".join(alarms)])
    return table(head, rows)


def cross_table(found: list[Cell], toy: str) -> list[str]:
    """Modes, high quality and reverse KL in one entry, a column for each regulariser."""
    rows = []
    for name in dict.fromkeys(cell["objective"] for cell in found):
        row = [name]
        for words in REGULARISERS:
            group = [c for c in found if (c["toy"], c["objective"], c["regularise"]) == (toy, name, words)]
            parts = summary(group) if group else [""]
            row.append(" · ".join(parts[:3]) if len(parts) > 1 and parts[1] else parts[0])
        rows.append(row)
    return table(["objective", *REGULARISERS], rows)


def all_found(every: list[Cell]) -> list[str]:
    """How many of the objectives that have a critic found every mode, a column for each regulariser."""
    rows = []
    for name in TOYS:
        row = [name]
        for words in REGULARISERS:
            group = [c for c in every if (c["toy"], c["regularise"]) == (name, words)]
            group = [c for c in group if OBJECTIVES[c["objective"]].critic]
            whole = [c for c in group if "failed" not in c]
            diverged = f" ({len(group) - len(whole)} diverged)" if len(whole) < len(group) else ""
            row.append(f"{sum(c['captured'] == c['modes'] for c in whole)} of {len(group)}{diverged}")
        rows.append(row)
    return table(["toy", *REGULARISERS], rows)


def page(found: list[Cell]) -> list[str]:
    leading, every = ([c for c in found if c["table"] == what] for what in ("leading", "cross"))
    lines = [
        "# Mode coverage",
        "",
        "Made by `python benchmarks/bench_modes.py` (`leading`, `cross`, then `page`): its head says what is measured.",
        f"One thread a run; {machine()}. Modes: the least and the most over the seeds; high quality (HQ) and reverse",
        "KL: means; alarms: what the diagnostics raised in any of the runs.",
        "",
        "A mode drawn too narrow, or as a thread, is of high quality all the same: `compare` sees that, these do not.",
        "",
        "## Leading objectives and models, whole runs",
        "",
        *leading_table(leading),
        "",
        "Published, by the same protocol of data and measures (ring modes, HQ %, reverse KL; grid the same):",
        "",
        *table(["", "ring", "HQ %", "rev. KL", "grid", "HQ %", "rev. KL"], [list(row) for row in PUBLISHED]),
        "",
        PROTOCOL,
        "",
        "## How many objectives found every mode in a short run",
        "",
        *all_found(every),
    ]
    for name in TOYS:
        group = [c for c in every if c["toy"] == name]
        if group:
            steps = sorted({cell["done"] for cell in group if "done" in cell})
            lines += [
                "",
                f"## Every objective on the {name}, {' or '.join(f'{s:,}' for s in steps)} steps, one seed",
                "",
                "Modes · high quality % · reverse KL.",
                "",
                *cross_table(group, name),
            ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["leading", "cross", "page"])
    parser.add_argument("--toys", nargs="+", default=list(TOYS), choices=TOYS)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--only", nargs="*", help="objectives or models to run; all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--store", type=Path, nargs="+", default=[FOLDER / "modes.json"])
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = stored(options.store)
    if options.what == "page":
        keep(FOLDER / "modes.json", found)
        write("modes", page(list(found.values())))
        return
    cross_run = options.what == "cross"
    options.seeds = options.seeds or (1 if cross_run else 5)
    options.steps = options.steps or (1500 if cross_run else None)
    mine, parts = map(int, options.part.split("/"))
    only = set(options.only or ())
    wanted = [cell for cell in cells(options) if not only or {cell["objective"], cell["model"]} & only]
    for cell in wanted[mine::parts]:
        if key(cell) in found:
            continue
        found[key(cell)] = done = measure(cell, options.pictures)
        keep(options.store[0], found)
        shown = "diverged" if "failed" in done else f"{done['captured']}/{done['modes']} {done['high_quality']:.1%}"
        print(f"{key(cell)}: {shown} {done.get('reverse_kl', float('nan')):.4f} {done['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
