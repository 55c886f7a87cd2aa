"""Batches and noise that lie evenly: the right law for every row, hardly any chance in what a batch has of a part."""

import pytest
import torch

from pushforward.data.toys import toy
from pushforward.models import GAN
from pushforward.nets.even import MOST, even_normal
from pushforward.training.batches import Batches
from pushforward.training.even import along_a_curve, even_pass


def ring(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows, and the mode of each."""
    law = toy("ring")
    x = law.sample(n, torch.Generator().manual_seed(0))
    return x, torch.cdist(x, law.modes.float()).argmin(1)


def batches(x: torch.Tensor, size: int, *, even: bool) -> Batches:
    """They carry the number of each row, beside it."""
    numbered = torch.cat([x, torch.arange(len(x))[:, None]], 1)
    made = Batches(x, lambda rows: rows, size, seed=3, device=torch.device("cpu"), even=even)
    made.rows = numbered
    return made


@pytest.mark.parametrize("n", [512, 700, 1023, 1024, 5000])
def test_a_pass_has_no_row_twice_and_leaves_out_less_than_a_batch(n: int) -> None:
    x, _ = ring(n)
    order = even_pass(along_a_curve(x), 512, torch.Generator().manual_seed(1))
    assert len(order) == n // 512 * 512 == len(order.unique())


def test_every_row_comes_equally_often() -> None:
    """700 rows, one batch of 512 a pass: each comes in 512 of 700 passes. Over 2,000 passes the counts are binomial at
    most, so 5.5 standard deviations fail once in 10^4 for 700 rows; rows left out for good would come 0 times."""
    x, _ = ring(700)
    curve, draw = along_a_curve(x), torch.Generator().manual_seed(2)
    counts = torch.zeros(700)
    for _ in range(2000):
        counts[even_pass(curve, 512, draw)] += 1
    p = 512 / 700
    assert (counts - 2000 * p).abs().max() < 5.5 * (2000 * p * (1 - p)) ** 0.5


def test_a_batch_has_each_mode_at_its_share() -> None:
    """Independent rows: a mode's count has variance 512 / 8 * 7 / 8 = 56. Even ones: two windows hold several modes."""
    x, mode = ring(20_000)
    found = {}
    for even in (False, True):
        make = batches(x, 512, even=even)
        counts = [torch.bincount(mode[make()[:, 2].long()], minlength=8) for _ in range(39)]
        found[even] = torch.stack(counts).double().var(0).mean()
    assert 30 < found[False] < 90
    assert found[True] < 4


def test_batches_are_functions_of_their_number() -> None:
    x, _ = ring(3000)
    one, other = batches(x, 256, even=True), batches(x, 256, even=True)
    seen = [one() for _ in range(30)]
    other.drawn = 25
    assert torch.equal(other(), seen[25])


def test_processes_share_one_batch() -> None:
    x, _ = ring(3000)
    device = torch.device("cpu")
    whole = Batches(x, lambda rows: rows, 256, seed=0, device=device, even=True)()
    parts = [
        Batches(x, lambda rows: rows, 256, seed=0, device=device, rank=rank, world_size=2, even=True)()
        for rank in range(2)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_rows_of_a_batch_are_in_random_order() -> None:
    """Neighbours in a batch are no nearer than strangers; along the curve they would be ten times nearer."""
    x, _ = ring(20_000)
    make = batches(x, 512, even=True)
    gaps = torch.cat([make()[:, :2].diff(dim=0).norm(dim=1) for _ in range(20)])
    strangers = (x[:10_000] - x[10_000:]).norm(dim=1)
    assert abs(gaps.mean() / strangers.mean() - 1) < 0.05


@pytest.mark.parametrize("m", [1, 2, 16])
def test_noise_is_standard_normal_and_even(m: int) -> None:
    draw = torch.Generator().manual_seed(0)
    batches_of = torch.stack([even_normal(512, m, draw) for _ in range(400)])
    pooled = batches_of.flatten(0, 1)
    assert pooled.mean(0).abs().max() < 0.01  # independent rows: standard error .0022
    assert (pooled.var(0) - 1).abs().max() < 0.02  # independent rows: .0031
    for quantile in (0.001, 0.1, 0.5, 0.9, 0.999):
        z = torch.special.ndtri(torch.tensor(quantile))
        assert abs((pooled < z).float().mean() - quantile) < 0.003
    means = batches_of.mean(1)
    assert means.var(0).max() < 0.1 / 512  # a tenth of independent rows' at most


def test_noise_of_many_dimensions_is_independent() -> None:
    draw, same = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    assert torch.equal(even_normal(8, MOST + 1, draw), torch.randn(8, MOST + 1, generator=same))


@pytest.mark.parametrize(
    ("settings", "even"),
    [
        ({}, True),
        ({"objective": "mmd"}, False),  # reads pairs of rows off a batch
        ({"regularise": "r1+r2+pack:2"}, False),
        ({"regularise": "minibatch-std"}, False),
        ({"objective": "energy", "regularise": None}, False),
    ],
)
def test_only_critics_of_single_rows_see_even_batches(
    settings: dict[str, object], even: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    first = Batches.__init__
    monkeypatch.setattr(
        Batches, "__init__", lambda self, *a, **k: made.append(k.get("even", False)) or first(self, *a, **k)
    )
    x, _ = ring(600)
    GAN(**settings, steps=2, batch_size=64, width=8, seed=0, device="cpu").fit(x, progress=False)
    assert made == [even]


def test_points_are_seen_with_noise_that_falls() -> None:
    """By default; a user's own regularisers are left as they are."""
    x, _ = ring(600)
    small = {"steps": 4, "batch_size": 64, "width": 8, "seed": 0, "device": "cpu"}
    model = GAN(**small).fit(x, progress=False)
    assert [round(record["noise"], 3) for record in model.history_] == [0.5, 0.25, 0.0, 0.0]
    assert "noise" not in GAN(**small, regularise="r1+r2").fit(x, progress=False).history_[0]
    assert "noise" not in GAN(**small, objective="wgan").fit(x, progress=False).history_[0]
