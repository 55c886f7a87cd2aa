"""`space_with`: the space of a comparison, put into an encoder's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.dataset import Dataset
from ...errors import InputError
from ..frames import Frame
from ..spaces import Space, space_of
from .encoder import Encoder, Report
from .names import encoder
from .text import TextEncoder, text_encoder


def space_with(
    which: str | Path | Encoder | TextEncoder | Callable[..., Any],
    datasets: Mapping[str, Dataset],
    frame: Frame | None = None,
    *,
    device: str = "cpu",
    download: bool = False,
    report: Report | None = None,
) -> Space:
    """The space in which images (or points) are an encoder's features `(n, k)`; all roles of `datasets` are encoded.

    The encoder is fitted on the pooled rows of all roles, so that tests stay valid. For tables `which` is
    `minilm:COLUMN,...` or a `TextEncoder`: the columns named become embeddings, in place of one-hot levels, and all
    others stay as they are; `frame` is then needed.
    """
    if isinstance(which, TextEncoder) or (isinstance(which, str) and which.partition(":")[0] == "minilm"):
        found = which if isinstance(which, TextEncoder) else text_encoder(which, device=device)
        return _with_texts(found, datasets, frame)
    kind = next(iter(datasets.values())).kind
    if kind == "table":
        raise InputError(
            f"encoder {getattr(which, 'name', which)}: reads images or points, and these data are a table; for its "
            "text columns give minilm:COLUMN,..."
        )
    made = encoder(which, device=device, download=download)
    made = made.fit(torch.cat([data.values for data in datasets.values()]))
    total, before, rows = sum(len(data) for data in datasets.values()), 0, {}
    for role, data in datasets.items():
        told = _shifted(report, before, total)
        rows[role] = made(data.values, report=told).double().numpy()
        before += len(data)
    return Space(rows, made.reads)


def _shifted(report: Report | None, before: int, total: int) -> Report | None:
    return None if report is None else lambda done, _: report(before + done, total)


def _with_texts(found: TextEncoder, datasets: Mapping[str, Dataset], frame: Frame | None) -> Space:
    if frame is None or next(iter(datasets.values())).kind != "table":
        raise InputError(f"encoder {found.name}: embeds the text columns of tables, and these data are none")
    base = space_of(datasets, frame)
    texts = found.of_frame(frame)
    pooled = np.concatenate(list(base.rows.values()))
    parts, spans, start = [], [], 0
    for j, name in enumerate(frame.names):
        block = texts[name] if name in texts else pooled[:, list(base.blocks[j]) if base.blocks else []]
        parts.append(block)
        spans.append(tuple(range(start, start + block.shape[1])))
        start += block.shape[1]
    ends = np.cumsum([len(rows) for rows in base.rows.values()])[:-1]
    split = dict(zip(base.rows, np.split(np.concatenate(parts, 1), ends), strict=True))
    return Space(split, f"{base.reads}, {found.reads}", tuple(spans))
