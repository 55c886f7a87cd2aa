"""`--given`: what a model is fitted to be given, and what is asked of its samples."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from ..data.dataset import Dataset

LABEL = "label"


def check_model(name: str, family: type) -> None:
    """Refuse, before the data are read, a model that cannot be given anything."""
    if "given" not in inspect.signature(family.fit).parameters:  # type: ignore[attr-defined]
        raise InputError(f"--given is not for --model {name}; leave it out, or take --model gan")


def attach(data: str, dataset: Dataset, words: Sequence[str] | None) -> tuple[Dataset, list[Any] | None]:
    """The data with what stands beside them, and the columns that are given, as `fit` takes them.

    `words`: names of a table's columns, numbers of points' columns, a file of labels or vectors, or `label` for the
    classes that come with a folder, zip or npz of images.
    """
    from ..models import given

    if not words:
        return dataset, None
    asked: Any = list(words)
    if dataset.kind == "points" and all(word.lstrip("-").isdigit() for word in words):
        asked = [int(word) for word in words]
    elif dataset.kind != "table":
        if len(words) > 1:
            raise InputError(f"--given {words[1]}: beside {dataset.kind} one file is given; put all into it")
        asked = _labels(data, dataset) if words[0] == LABEL and not Path(LABEL).exists() else words[0]
    found, columns = given.attach(dataset, asked)
    if columns:
        return found, [int(name) for name in columns] if dataset.kind == "points" else list(columns)
    return replace(found, path=None), None


def as_written(data: str, dataset: Dataset) -> Dataset:
    """Rows with what was written with them (`data.writing`): the classes of images, or a file beside; else as is."""
    from ..data.writing import conditions_beside
    from ..evaluation.encoders.labels import labels_of

    if dataset.kind == "table" or dataset.given is not None:
        return dataset
    if (beside := conditions_beside(Path(data))) is not None:
        return attach(data, dataset, [str(beside)])[0]
    return attach(data, dataset, [LABEL])[0] if labels_of(data) is not None else dataset


def labels(name: str, family: type, data: str, dataset: Dataset, word: str) -> Any:
    """What `fit` takes as labels: a column of a table, a file of labels, or `label` for the classes of DATA itself."""
    from ..models.given import read_file

    if "labels" not in inspect.signature(family.fit).parameters:  # type: ignore[attr-defined]
        raise InputError(f"--labels is not for --model {name}; leave it out, or take --model simclr")
    if dataset.kind == "table" and word in dataset.values.columns:
        return word
    if word == LABEL and not Path(LABEL).exists():
        return _labels(data, dataset)
    return read_file(Path(word))


def _labels(data: str, dataset: Dataset) -> Any:
    import numpy as np

    from ..data.builtin import builtin_labels
    from ..evaluation.encoders.labels import labels_of

    known = builtin_labels(data)
    if known is not None:
        return known
    found = labels_of(data)
    if found is None:
        raise InputError(
            f"{data}: has no labels; lay the pictures of each class into a folder of its own, or give --given FILE"
        )
    if len(found) != len(dataset):
        raise InputError(f"{data}: {len(found):,} labels for {len(dataset):,} rows; give one for each row")
    return np.array(found.names)[found.codes]


def asked(model: Any, words: Sequence[str] | None) -> Any:
    """What `sample` takes for these words: `COLUMN=VALUE`, `COLUMN>NUMBER`, ..., or one file of conditions."""
    from ..data import conditions
    from ..models.asked import Subject
    from ..models.given import read_file

    if not words:
        return None
    if hasattr(model, "fill"):
        if len(words) > 1 or not Path(words[0]).exists():
            raise InputError(f"--given {words[0]}: an imputer is given one file, of rows with holes; check the path")
        return words[0]
    if len(words) == 1 and Path(words[0]).is_file():
        return read_file(Path(words[0]))
    return conditions.words(words, list(Subject(model).known))


def told(made_by: Mapping[str, Any]) -> Iterator[str]:
    """How samples that were asked for something, or refined, came about: sentences."""
    report = made_by.get("given")
    if isinstance(report, Mapping) and "asked" in report:
        sentence = f"Asked: {report['asked']}."
        if report["tried"] > report["kept"] or report["share"] < 1:
            sentence += f" {report['kept']:,} of {report['tried']:,} drawn rows met it ({100 * report['share']:.3g} %)."
        yield sentence + (f" Note: {report['note']}." if "note" in report else "")
    if "refinement" in made_by:
        yield str(made_by["refinement"]["sentence"])
