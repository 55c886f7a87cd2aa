"""`pushforward demo`: the main job, once through, on data that ship with the package."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .comparing import print_comparison
from .options import SUFFIXES
from .shared import terminal
from .work import clear_run

SOURCES = {"table": "sample:diamonds", "images": "sample:digits", "points": "toy:ring"}


def run_demo(kind: str, out: Path, *, steps: int | None, seed: int, force: bool) -> None:
    """Fit a generator to a built-in source, draw samples, compare them with held-out rows, write the report.

    Leaves in `out`: `run/` (the model), `train`, `holdout` and `samples` as files of the data's kind, `report.html`,
    `report.json`, and for images `samples.png`.
    """
    from ..data import sources
    from ..evaluation import compare
    from ..models import GAN

    if out.exists() and not force:
        raise InputError(f"{out}: already exists; give --force to replace it, or choose another --out")
    clear_run(out)
    console = terminal()

    def say(text: str) -> None:
        console.print(text, highlight=False)

    started = time.perf_counter()
    dataset = sources.read(SOURCES[kind])
    train, holdout = dataset.split(0.2, seed=seed)
    say(f"Data: {SOURCES[kind]}, {len(train):,} rows to train on, {len(holdout):,} held out.")
    model = GAN(steps=steps, seed=seed)
    model.fit(train, out=out / "run", progress=True)
    if model.interrupted_:
        say(f"Stopped at step {model.steps_done_:,}; the run is in {out / 'run'}.")
        raise KeyboardInterrupt
    samples = model.sample_dataset(len(holdout), seed=seed)
    suffix = SUFFIXES[kind]
    split = {"split_of": SOURCES[kind], "share": 0.2, "seed": seed}
    sources.write(train, out / f"train{suffix}", made_by=split, synthetic=False)
    sources.write(holdout, out / f"holdout{suffix}", made_by=split, synthetic=False)
    sources.write(samples, out / f"samples{suffix}", made_by=samples.made_by)
    if kind == "images":
        from ..report import write_sheet

        write_sheet(samples, out / "samples.png", made_by=samples.made_by)
    say(f"Drew {len(samples):,} samples; comparing them with the held-out rows ...")
    real, fake = replace(holdout, name=f"{SOURCES[kind]}, held out"), replace(samples, name="samples")
    result = compare(real, fake, train=train, seed=seed)
    result.to_json(out / "report.json")
    result.to_html(out / "report.html")
    print_comparison(result)
    say(f"Done in {time.perf_counter() - started:.0f} s. The report: {(out / 'report.html').resolve()}")
