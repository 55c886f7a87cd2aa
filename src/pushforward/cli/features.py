"""What `encode-features` does once its words are parsed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .shared import terminal


def encode_features_command(
    data: str,
    encoder: str,
    out: Path,
    *,
    size: int | None = None,
    scale: str | None = None,
    channels: int | None = None,
    fit: Sequence[str] = (),
    device: str = "cpu",
    download: bool = False,
    force: bool = False,
) -> None:
    """Write the features of `data` to `out`, and say what they are and how to compare them."""
    from ..evaluation.encoders import encode_features
    from ..evaluation.encoders import encoder as made

    which = made(encoder, size=size, scale=scale, channels=channels, device=device, download=download)
    errors = terminal(stderr=True)
    columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("encoding", total=None)
        points = encode_features(
            data,
            which,
            out,
            fit=list(fit),
            force=force,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console = terminal()
    record = (points.made_by or {})["features"]
    console.print(
        f"Wrote {len(points):,} rows of {record['width']:,} numbers to {out}: {record['reads']}.", highlight=False
    )
    console.print(
        "Compare them with features of the same encoder: pushforward compare REAL.npz FAKE.npz", highlight=False
    )
