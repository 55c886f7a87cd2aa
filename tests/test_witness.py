"""A witness, its gap and its tags."""

import dataclasses

import pytest
import torch

from pushforward.links import LINKS
from pushforward.witness import Estimate, Link, Witness


def test_gap_is_mean_phi_on_data_less_mean_psi_on_model() -> None:
    w = Witness(phi=lambda x: 2.0 * x[:, 0], psi=lambda y: y[:, 0] ** 2)
    x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0], [2.0]])
    assert float(w.gap(x, y)) == 4.0 - 4.0
    assert float(w.gap(y, x)) == 4.0 - 5.0


def test_gap_is_differentiable_in_both_samples() -> None:
    w = LINKS["js"](lambda x: x.sum(1))
    x, y = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 2)
    x.requires_grad_()
    y.requires_grad_()
    gx, gy = torch.autograd.grad(w.gap(x, y), (x, y))
    assert bool((gx > 0).all())
    assert torch.allclose(gy, torch.full_like(y, -0.5 / 3))


def test_results_are_frozen() -> None:
    w = Witness(phi=torch.sum, psi=torch.sum)
    with pytest.raises(dataclasses.FrozenInstanceError):
        w.phi = torch.mean  # type: ignore[misc]


def test_a_link_hands_its_tags_to_its_witnesses() -> None:
    assert LINKS["js"](torch.sum).tags == {"certified", "log_ratio", "differentiable"}
    assert LINKS["js"](torch.sum, differentiable=False).tags == {"certified", "log_ratio"}
    assert "differentiable" not in LINKS["tv"](torch.sum).tags  # a step has no useful gradient
    assert Link(phi=torch.exp, psi=torch.exp)(torch.sum).tags == {"differentiable"}


def test_normal_interval() -> None:
    e = Estimate.normal(1.0, 0.5, level=0.95)
    assert e.low == pytest.approx(1.0 - 0.5 * 1.959964, abs=1e-6)
    assert e.high == pytest.approx(1.0 + 0.5 * 1.959964, abs=1e-6)
