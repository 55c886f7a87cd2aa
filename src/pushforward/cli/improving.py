"""The commands that make another model of a fitted diffusion: one corrected by a critic, one that draws in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .options import column_types, must_be_new
from .shared import FORMS, ColumnOption, ForceOption, SeedOption, app, terminal

Teacher = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a fitted diffusion or flow-matching model.")
]
Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the new run.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training steps; by default from the data.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted RUN.")]


@app.command()
def guide(
    run: Teacher,
    out: Out,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DATA", help=f"Real rows for the critic: {FORMS}.")
    ] = None,
    weight: Annotated[float, typer.Option("--weight", min=0.0, help="Of the critic's correction; 1 is exact.")] = 1.0,
    steps: Steps = None,
    column: ColumnOption = None,
    resume: Resume = False,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Train a critic between DATA and what RUN draws, and let it correct the sampler at every noise level."""
    from ..data import sources
    from ..models import Guided

    teacher = _teacher(run, out, resume=resume, force=force)
    where = data or _training_rows(run)
    dataset = sources.read(where, kind=teacher.codec_.kind, columns=column_types(column))
    made = Guided(weight=weight, steps=steps, seed=seed)
    made.fit(dataset, model=teacher, out=out, resume=resume)
    _told(made, out)


@app.command()
def distill(
    run: Teacher,
    out: Out,
    steps: Steps = None,
    resume: Resume = False,
    seed: SeedOption = 0,
    force: ForceOption = False,
) -> None:
    """Teach a generator of one pass to draw what RUN draws in many steps."""
    from ..models import Distilled

    teacher = _teacher(run, out, resume=resume, force=force)
    made = Distilled(steps=steps, seed=seed)
    made.fit(teacher, out=out, resume=resume)
    _told(made, out)


def _teacher(run: Path, out: Path, *, resume: bool, force: bool) -> Any:
    """The model in `run`; `InputError` for one that is no diffusion, before anything is removed."""
    from ..models import Diffusion, FlowMatching, load
    from .work import clear_run

    if out.resolve() == run.resolve():
        raise InputError(f"{out}: is the run that the new one is made from; choose another folder")
    if not resume:
        must_be_new(out, "--out RUN", force=force)
    model = load(run)
    if not isinstance(model, Diffusion | FlowMatching):
        raise InputError(
            f"{run}: a {type(model).__name__} undoes no noise; fit one that does: "
            "pushforward fit DATA --model diffusion --out RUN"
        )
    if force and not resume:
        clear_run(out)
    return model


def _training_rows(run: Path) -> str:
    found = sorted(run.glob("data/train.*"))
    if not found:
        raise InputError(f"{run}: keeps no training rows; give the critic some: --data DATA")
    return str(found[0])


def _told(model: Any, out: Path) -> None:

    if model.interrupted_:
        terminal().print(f"Stopped at step {model.steps_done_:,}; go on by the same command with --resume.")
        raise typer.Exit(130)
    terminal().print(f"Saved in {out}. Draw from it: pushforward sample {out} -n 1000 --out FILE", highlight=False)
