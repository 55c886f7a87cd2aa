"""What is given with rows is written where `--given` finds it again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pushforward.cli import main
from pushforward.cli.given import as_written
from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.models.given import attach

N = 12
IMAGES = np.random.default_rng(0).integers(0, 255, (N, 8, 8), dtype=np.uint8)
POINTS = np.random.default_rng(1).normal(size=(N, 2)).astype(np.float32)
NAMES = np.array(["left", "right", "up"])[np.arange(N) % 3]
VECTORS = np.random.default_rng(2).normal(size=(N, 2)).astype(np.float32)


def given(rows: np.ndarray, beside: object) -> Dataset:
    return replace(attach(sources.read(rows), beside)[0], path=None)


def pairs(rows: Dataset) -> set[tuple[float, ...]]:
    """(sum of a row, what is given with it): rows of a folder come back in another order."""
    assert rows.given is not None
    sums = rows.values.flatten(1).double().sum(1).tolist()
    beside = rows.given.values.rows() if rows.given.kind == "table" else rows.given.values.tolist()
    return {
        (round(a, 3), *(str(v) if isinstance(v, str) else round(float(v), 3) for v in b))
        for a, b in zip(sums, beside, strict=True)
    }


@pytest.mark.parametrize(
    ("rows", "beside", "name", "also"),
    [
        (IMAGES, NAMES, "set", None),
        (IMAGES, NAMES, "set.zip", None),
        (IMAGES, NAMES, "set.npz", None),
        (IMAGES, NAMES, "set.npy", "set.npy.given.csv"),
        (IMAGES, VECTORS, "set", "set.given.npy"),
        (IMAGES, VECTORS, "set.zip", "set.zip.given.npy"),
        (POINTS, NAMES, "set.csv", "set.csv.given.csv"),
        (POINTS, NAMES, "set.npy", "set.npy.given.csv"),
        (POINTS, VECTORS, "set.npy", "set.npy.given.npy"),
    ],
)
def test_rows_and_what_is_given_come_back(
    rows: np.ndarray, beside: np.ndarray, name: str, also: str | None, tmp_path: Path
) -> None:
    written = given(rows, beside)
    path = tmp_path / name
    sources.write(written, path, made_by=None)
    assert {one.name for one in tmp_path.iterdir() if ".given." in one.name and one.suffix != ".json"} == (
        {also} if also else set()
    )
    found = as_written(str(path), sources.read(path, kind=written.kind))
    assert pairs(found) == pairs(written)


def test_vectors_stand_in_an_npz(tmp_path: Path) -> None:
    sources.write(given(IMAGES, VECTORS), tmp_path / "set.npz", made_by=None)
    with np.load(tmp_path / "set.npz") as found:
        np.testing.assert_allclose(found["given"], VECTORS)


def test_whole_numbers_stay_numbers_in_an_npz(tmp_path: Path) -> None:
    sources.write(given(IMAGES, np.arange(N) % 4), tmp_path / "set.npz", made_by=None)
    with np.load(tmp_path / "set.npz") as found:
        assert found["labels"].tolist() == [k % 4 for k in range(N)]


def test_a_class_that_can_name_no_folder_goes_beside(tmp_path: Path) -> None:
    labels = np.where(np.arange(N) % 2, "a/b", "..")
    sources.write(given(IMAGES, labels), tmp_path / "set", made_by=None)
    assert sorted(pl.read_csv(tmp_path / "set.given.csv")["label"].unique()) == ["..", "a/b"]
    assert all(one.is_file() for one in (tmp_path / "set").iterdir())


def test_a_folder_of_classes_is_replaced_only_by_force_and_one_with_other_files_never(tmp_path: Path) -> None:
    images = given(IMAGES, NAMES)
    sources.write(images, tmp_path / "set", made_by=None)
    with pytest.raises(InputError, match="already exists"):
        sources.write(images, tmp_path / "set", made_by=None)
    sources.write(images, tmp_path / "set", made_by=None, force=True)
    (tmp_path / "set" / "left" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds more than images"):
        sources.write(images, tmp_path / "set", made_by=None, force=True)
    assert (tmp_path / "set" / "left" / "notes.txt").read_text() == "mine"


def test_samples_of_classes_go_around(tmp_path: Path) -> None:
    """A folder of classes to a model, its samples to a folder of classes, those to a model again; its critic refines
    by the rows held out, which have their classes too."""
    sources.write(given(np.tile(IMAGES, (25, 1, 1)), np.tile(NAMES, 25)), tmp_path / "first", made_by=None)
    small = ["--given", "label", "--steps", "4", "--batch-size", "8", "--set", "width=8"]
    run, drawn = tmp_path / "run", tmp_path / "drawn"
    assert main(["fit", str(tmp_path / "first"), *small, "--holdout", "0.2", "--out", str(run)]) == 0
    assert main(["sample", str(run), "-n", "30", "--out", str(drawn), "--seed", "0"]) == 0
    assert {one.name for one in drawn.iterdir()} <= {"left", "right", "up"}
    assert len(list(drawn.rglob("*.png"))) == 30
    assert main(["fit", str(drawn), *small, "--out", str(tmp_path / "again")]) == 0

    assert (
        main(["sample", str(run), "-n", "4", "--refine", "resample", "--out", str(tmp_path / "r"), "--seed", "0"]) == 0
    )
