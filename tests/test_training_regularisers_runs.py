"""Every regulariser and optimiser through `models.GAN`: resumed bit for bit, saved and loaded."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pushforward.models import GAN, load
from pushforward.training.optimisers import OPTIMISERS
from pushforward.training.progress import Event
from pushforward.training.regularisers import REGULARISERS, parse

TINY = {"steps": 8, "width": 8, "depth": 1, "batch_size": 12, "checkpoint_every": 100, "device": "cpu"}
OF_IMAGES = ("diffaugment", "ada")
WAYS: list[dict[str, Any]] = [
    {"regularise": "clip+dragan+noise+smooth+pack:3"},
    {"regularise": "minibatch-std+lecam+bcr", "lambda_1": 0.5, "regressions": 2},
    {"regularise": "spectral-norm+historical+replay:2+unroll:1", "optimiser": "lookahead"},
    {"regularise": "diffaugment+bcr"},
    {"regularise": "ada+r1+r2"},
    *({"optimiser": name, "n_critic": 2} for name in OPTIMISERS if name != "adam"),
]


def data(way: dict[str, Any]) -> np.ndarray:
    rng = np.random.default_rng(0)
    if any(name in way.get("regularise", "") for name in OF_IMAGES):
        return rng.integers(0, 256, size=(40, 12, 11, 1), dtype=np.uint8)
    return rng.normal(size=(60, 2)) * [3.0, 0.1]


def interrupt(event: Event) -> None:
    if event.kind == "log" and event.step == 3:
        os.kill(os.getpid(), signal.SIGINT)


def test_all_are_here() -> None:
    named = {part for way in WAYS for part, _ in parse(way.get("regularise", "none"))}
    assert named | {"gp", "gp-one-sided"} == set(REGULARISERS)  # the rest have no state, and tests elsewhere


def name_of(way: dict[str, Any]) -> str:
    return " ".join(way.get(key, "") for key in ("optimiser", "regularise"))


@pytest.mark.filterwarnings("ignore:weight clipping:UserWarning")
@pytest.mark.filterwarnings("ignore:minibatch-std:UserWarning")
@pytest.mark.parametrize("way", WAYS, ids=name_of)
def test_resumed_is_uninterrupted_bit_for_bit(way: dict[str, Any], tmp_path: Path) -> None:
    """Stopped after 3 of 8 steps, in the middle of a pair or cycle of steps, and gone on in another object."""
    rows, options = data(way), {**TINY, **way}
    whole = GAN("ns", **options).fit(rows, progress=False)
    begun = GAN("ns", **options).fit(rows, out=tmp_path / "run", progress=interrupt)
    assert begun.steps_done_ == 3
    resumed = GAN("ns", **options).fit(rows, out=tmp_path / "run", resume=True, progress=False)
    assert resumed.id_ == whole.id_  # of all the weights
    trained = [record for record in whole.history_ if np.isfinite(record["critic_loss"])]
    assert len(trained) == 8
    again = load(tmp_path / "run")
    assert np.array_equal(again.sample(30, seed=1), whole.sample(30, seed=1))


@pytest.mark.parametrize("words", ["spectral-norm", "pack:2", "minibatch-std", "spectral-norm+pack:3+minibatch-std"])
def test_the_critic_comes_back(words: str, tmp_path: Path) -> None:
    model = GAN("ns", regularise=words, **TINY).fit(data({}), out=tmp_path / "run", progress=False)
    x = torch.randn(36, 2, generator=torch.Generator().manual_seed(0))
    found = load(tmp_path / "run")
    assert model.critic_ is not None
    assert found.critic_ is not None
    scores = model.critic_(x)
    assert torch.equal(found.critic_(x), scores)
    assert len(scores) == 36 // (3 if "pack:3" in words else 2 if "pack" in words else 1)
    if "spectral" in words:
        norms = [torch.linalg.svdvals(layer.weight)[0] for layer in (found.critic_.leave, found.critic_.body.enter)]
        torch.testing.assert_close(torch.stack(norms), torch.ones(2), rtol=0.05, atol=0)
