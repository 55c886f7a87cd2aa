"""Pictures to look at: a fake, the training image nearest to it, and the nearest one that was not trained on.

A generator that copies shows it here: its fakes match a training image far better than any held-out one. One that
learned the distribution finds neighbours as good on either side, where both sides have as many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import InputError
from ...twosample.neighbours import nearest
from ..figures import LeftOut
from ..thumbnails import thumbnail

if TYPE_CHECKING:
    from ..job import Job


def nearest_pairs(job: Job, rows: Sequence[int]) -> list[dict[str, Any]]:
    """For each of the fakes `rows` its thumbnail and its nearest `train` and `holdout` image, in `job.space`.

    Each entry is JSON-able: `fake`, `train`, `holdout`, each `{"row", "image"}`, the latter two with a `distance`, and
    `rows`, how many were searched. Without a holdout, REAL takes its place, unless it repeats the training rows. Raises
    `LeftOut` where either side is missing.
    """
    if job.kind != "images":
        raise LeftOut("these data are no images")
    if "train" not in job.data:
        raise LeftOut("the training images were not given; give them as --train")
    held = "holdout" if "holdout" in job.data else "real"
    if held == "real" and job.contained:
        raise LeftOut("REAL repeats the training images; give images that were not trained on as --holdout")
    wrong = [row for row in rows if not 0 <= row < len(job.data["fake"])]
    if wrong:
        raise InputError(f"fake row {wrong[0]}: there are rows 0 to {len(job.data['fake']) - 1}")
    if not len(rows):
        return []
    asked = torch.from_numpy(job.space.rows["fake"][np.asarray(rows, dtype=np.int64)])
    sides = {
        name: nearest(asked, torch.from_numpy(job.space.rows[role]), 1)
        for name, role in (("train", "train"), ("holdout", held))
    }
    roles = {"train": "train", "holdout": held}
    found = []
    for k, row in enumerate(rows):
        entry: dict[str, Any] = {"fake": {"row": int(row), "image": thumbnail(job.data["fake"].values[row])}}
        for name, near in sides.items():
            index, data = int(near.index[k, 0]), job.data[roles[name]]
            entry[name] = {
                "row": index,
                "image": thumbnail(data.values[index]),
                "distance": float(f"{float(near.distance[k, 0]):.4g}"),
                "rows": len(data),
            }
        found.append(entry)
    return found
