"""Encoders: what reaches the network (against Pillow), what comes back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.evaluation.encoders import ENCODERS, Preparation, encoder


def pictures(n: int, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


# ---- what reaches the network


@pytest.mark.parametrize("size", [(12, 9), (28, 28), (96, 64)])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 31)])
def test_resizing_is_pillows(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    images = pictures(3, shape)
    ours = Preparation(size, scale="bytes")(images).numpy()
    for image, found in zip(images.numpy(), ours, strict=True):
        for channel, mine in zip(image, found, strict=True):
            theirs = Image.fromarray(channel.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC)
            np.testing.assert_allclose(mine, np.asarray(theirs).clip(0, 255), atol=2e-3)  # float32 sums, 0..255


def test_shrinking_does_not_alias() -> None:
    stripes = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    found = Preparation((8, 8), scale="bytes")(stripes)
    assert (found[..., 1:-1] - 127.5).abs().max() < 3  # grey; picking pixels would give all black or all white
    naive = torch.nn.functional.interpolate(stripes.float(), size=(8, 8), mode="nearest")
    assert naive.std() == 0
    assert abs(float(naive.mean()) - 127.5) > 100


def test_scales_and_colours() -> None:
    grey, colour = pictures(2), pictures(2, (3, 8, 8))
    as_rgb = Preparation(channels=3, scale="bytes")(grey)
    assert torch.equal(as_rgb, grey.float().expand(-1, 3, -1, -1))
    luma = Preparation(channels=1, scale="bytes")(colour)[0, 0].numpy()
    pillow = Image.fromarray(colour[0].permute(1, 2, 0).numpy()).convert("L")
    assert np.abs(luma - np.asarray(pillow)).max() <= 1.0  # Pillow cuts to whole shades
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    for scale, expected in {
        "bytes": (255.0, 255.0, 255.0),
        "unit": (1.0, 1.0, 1.0),
        "signed": (1.0, 1.0, 1.0),
        "lite": (1.0, 1.0, 1.0),
        "imagenet": tuple((1 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)),
    }.items():
        np.testing.assert_allclose(Preparation(scale=scale)(white)[0, :, 0, 0].numpy(), expected, rtol=1e-6)
    halved = Preparation((4, 4), scale="bytes", quantise=True)(grey)
    assert torch.equal(halved, halved.round())
    assert "rounded to bytes" in Preparation((4, 4), quantise=True).reads((1, 8, 8))


@pytest.mark.parametrize("wrong", [{"scale": "tanh"}, {"channels": 2}, {"size": (0, 3)}])
def test_impossible_preparations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Preparation(**wrong)


# ---- encoders that are always there


def test_pixels_are_the_pixels() -> None:
    images = pictures(5)
    fitted = encoder("pixels").fit(images)
    assert torch.equal(fitted(images), images.flatten(1) / 255)
    assert fitted.width == 64
    assert fitted.reads == "pixels of pictures of 8x8, bytes scaled to 0..1; 64 numbers"
    large = encoder("pixels").fit(pictures(2, (3, 64, 96)))
    assert large.width == 3 * 15 * 23
    assert "resized to 23x15 (bicubic, antialiased, not rounded again)" in large.reads


def test_pca_is_sklearns_and_knows_no_order() -> None:
    from sklearn.decomposition import PCA

    images = pictures(90)
    fitted = encoder("pca:7").fit(images)
    theirs = PCA(7, svd_solver="full").fit(images.flatten(1).double().numpy() / 255)
    ours, other = fitted(images).numpy(), theirs.transform(images.flatten(1).double().numpy() / 255)
    np.testing.assert_allclose(np.abs(ours), np.abs(other), atol=1e-4)
    assert f"{theirs.explained_variance_ratio_.sum():.0%} of the variance of all 90 rows" in fitted.reads
    mixed = encoder("pca:7").fit(images[torch.randperm(90, generator=torch.Generator().manual_seed(1))])
    assert mixed.key == fitted.key
    np.testing.assert_allclose(mixed(images).numpy(), ours, atol=1e-5)
    with pytest.raises(InputError, match="not fitted yet"):
        encoder("pca")(images)
    assert encoder("pca").fit(images[:5]).width == 4  # no more axes than rows less one


def test_axes_of_pooled_rows_keep_relabelling_exact() -> None:
    """Real and fake from one distribution, 20 rows each of 64 pixels: E|score|^2 must not differ.

    100 repetitions; a mean beyond 5.5 standard errors has p < 4e-8 for correct code. Axes fitted on the real rows alone
    differ by far more than that, which is what the check is for.
    """
    gaps: dict[str, list[float]] = {"pooled": [], "real": []}
    for seed in range(100):
        rows = pictures(40, seed=seed)
        for name, of in (("pooled", rows), ("real", rows[:20])):
            scores = encoder("pca:5").fit(of)(rows)
            scores = scores - scores.mean(0)
            gaps[name].append(float(scores[:20].square().sum(1).mean() - scores[20:].square().sum(1).mean()))
    z = {name: np.mean(gap) / (np.std(gap, ddof=1) / 10) for name, gap in gaps.items()}
    assert abs(z["pooled"]) < 5.5
    assert z["real"] > 20


def test_random_convolutions_follow_from_the_seed() -> None:
    images = pictures(10, (3, 17, 12))
    first, again, other = (encoder(name).fit(images) for name in ("random-conv", "random-conv:0", "random-conv:1"))
    features = first(images)
    assert features.shape == (10, 128)
    assert torch.equal(features, again(images))
    assert not torch.allclose(features, other(images))
    torch.testing.assert_close(replace(first, batch=3)(images), features, rtol=1e-4, atol=1e-5)
    assert "128 numbers" in first.reads
    shades = torch.full((3, 1, 8, 8), 100, dtype=torch.uint8)
    shades[1] += 5
    shades[2] += 100
    near, far = encoder("random-conv").fit(shades)(shades)[1:] - encoder("random-conv").fit(shades)(shades)[0]
    torch.testing.assert_close(far.norm() / near.norm(), torch.tensor(20.0), rtol=0.5, atol=0)
    assert encoder("random-conv").fit(pictures(4, (1, 1, 1))).width == 128


def test_batches_and_progress() -> None:
    images, seen = pictures(10), []
    small = replace(encoder("pixels"), batch=4)
    torch.testing.assert_close(small(images, report=lambda *done: seen.append(done)), encoder("pixels")(images))
    assert seen == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("regularise", ["r1+r2", "r1+pack:2"])
def test_the_critic_of_a_run(tmp_path: Path, regularise: str) -> None:
    from pushforward.models import GAN

    data = pictures(64)
    model = GAN(steps=2, width=8, batch_size=16, regularise=regularise).fit(data, out=tmp_path / "run", progress=False)
    found = encoder(f"critic:{tmp_path / 'run'}").fit(data[:9])
    assert model.critic_ is not None
    copies = 2 if "pack" in regularise else 1
    expected = model.critic_.features((data[:9].float() / 127.5 - 1).repeat_interleave(copies, 0)).detach()  # type: ignore[operator]
    torch.testing.assert_close(found(data[:9]), expected)
    assert "not trained on" in found.reads
    with pytest.raises(InputError, match=r"reads rows \(1, 8, 8\), not \(1, 9, 9\)"):
        found(pictures(3, (1, 9, 9)))
    with pytest.raises(InputError, match="has no encoder; take critic:"):
        encoder(f"encoder:{tmp_path / 'run'}")
    with pytest.raises(InputError, match="leave size, scale and channels out"):
        encoder(f"critic:{tmp_path / 'run'}", size=9)
    with pytest.raises(InputError, match="no such folder"):
        encoder(f"critic:{tmp_path / 'none'}")


# ---- networks of others


def test_a_module_is_copied_and_evaluated() -> None:
    module = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.BatchNorm1d(64))
    found = encoder(module)
    before = found(pictures(3))
    with torch.no_grad():
        module[2].bias.add_(1)  # type: ignore[operator]
    torch.testing.assert_close(found(pictures(3)), before)
    torch.testing.assert_close(before, pictures(3).flatten(1) / 255, rtol=1e-4, atol=1e-4)
    assert module.training


def test_points_go_through_a_module() -> None:
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = nn.Linear(3, 2, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.0)
    found = encoder(layer).fit(points)
    torch.testing.assert_close(found(points), points.sum(1, keepdim=True).float().expand(-1, 2))
    with pytest.raises(InputError, match=r"reads images, uint8 .* not float64 \(6, 3\)"):
        encoder("pixels").fit(points)
    with pytest.raises(InputError, match="nothing to encode"):
        encoder("pixels").fit(pictures(0))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: x, r"gives \(4, 1, 8, 8\) for 4 rows, but a tensor \(4, d\) is expected"),
        (lambda x: x.sum(), r"gives \(\) for 4 rows"),
        (lambda x: x[:2].flatten(1), r"gives \(2, 64\) for 4 rows"),
        (lambda x: (x, x), "gives a tuple for 4 rows"),
        (lambda x: x.flatten(1).log() * 0, "NaN or infinite features for row 3"),
        (nn.Conv2d(3, 2, 3, device="meta").to_empty(device="cpu"), r"cannot take float32 \(4, 1, 8, 8\).*channels"),
    ],
)
def test_what_is_no_row_of_features_is_refused(network: Callable[[Tensor], Any], message: str) -> None:
    images = pictures(4).clamp(min=1)
    images[2, 0, 3, 3] = 0
    with pytest.raises(InputError, match=message):
        encoder(network)(images)


def test_trailing_ones_are_no_dimensions() -> None:
    assert encoder(lambda x: x.mean((2, 3), keepdim=True))(pictures(4, (3, 8, 8))).shape == (4, 3)


# ---- names


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"unknown encoder .*; known: pixels, pca") as found:
        encoder("vgg")
    assert all(name in str(found.value) for name in ENCODERS)
    with pytest.raises(InputError, match="'many' is no whole number; write pca:64"):
        encoder("pca:many")
    with pytest.raises(InputError, match="at least 1"):
        encoder("pca:0")
    with pytest.raises(InputError, match="device 'abacus' cannot be used here"):
        encoder("pixels", device="abacus")
