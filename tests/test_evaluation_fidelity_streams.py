"""Streaming metrics: the same in one piece, in batches, in shards merged, from a saved state, and on two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.fidelity import (
    FrechetAccumulator,
    KernelDistanceAccumulator,
    Moments,
    Reservoir,
    ReservoirMetric,
    TorchMetric,
    frechet_distance,
    kernel_distance,
    torchmetrics_metric,
)
from pushforward.evaluation.fidelity.reservoir import hashed


def rows(n: int, d: int, seed: int, *, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = rows(900, 5, 0, mean=3.0), rows(700, 5, 1, mean=3.1)


def test_moments_are_those_of_all_rows_however_cut() -> None:
    x = rows(1000, 4, 2, mean=1e6)
    whole, cut, other = (Moments(4) for _ in range(3))
    whole.update(x)
    for part in x[:600].split(7):
        cut.update(part)
    other.update(x[600:])
    cut.merge(other)
    for moments in (whole, cut):
        torch.testing.assert_close(moments.covariance(), x.T.cov(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(moments.mean[0], x.mean(0), rtol=1e-14, atol=0)
    cut.merge(Moments(4))
    assert cut.count.tolist() == [1000]


def test_moments_of_unions_of_groups() -> None:
    x, group = rows(200, 3, 3, mean=50.0), torch.arange(200) % 4
    moments = Moments(3, groups=4)
    moments.update(x, group)
    count, mean, covariance = moments.union(torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]]).double())
    for k, chosen in enumerate((x[group % 2 == 0], x[group == 1])):
        assert int(count[k]) == len(chosen)
        torch.testing.assert_close(mean[k], chosen.mean(0))
        torch.testing.assert_close(covariance[k], chosen.T.cov())


def test_hashes_are_spread_evenly() -> None:
    """Each bit of 20,000 hashes is 1 in half of them: sd .0035, so .5 +- .025 but for 64 x 1e-12; neighbours and seeds
    are unlike."""
    numbers = torch.arange(20_000)
    found = hashed(numbers, 5)
    share = torch.stack([((found >> bit) & 1).double().mean() for bit in range(64)])
    assert float((share - 0.5).abs().max()) < 0.025
    assert len(found.unique()) == 20_000
    assert float(((hashed(numbers, 6) ^ found) & 1).double().mean()) == pytest.approx(0.5, abs=0.025)


def test_reservoir_is_uniform() -> None:
    """Over 400 seeds a row of 100 is among the 20 kept in a share .2: sd .02, six of them .12, for each of 100 rows."""
    kept = torch.zeros(100)
    for seed in range(400):
        sample = Reservoir(20, seed=seed)
        sample.update(torch.arange(100.0)[:, None])
        kept[sample.rows()[:, 0].long()] += 1
    assert float(kept.sum()) == 8000
    assert float((kept / 400 - 0.2).abs().max()) < 0.12


def test_reservoir_does_not_depend_on_order_batches_or_shards() -> None:
    x = rows(500, 2, 4)
    numbers = torch.arange(500)
    whole = Reservoir(60, seed=7)
    whole.update(x)
    shuffled, order = Reservoir(60, seed=7), torch.randperm(500, generator=torch.Generator().manual_seed(1))
    for part in order.split(33):
        shuffled.update(x[part], numbers[part])
    shards = [Reservoir(60, seed=7, shard=(k, 3)) for k in range(3)]
    for k, shard in enumerate(shards):
        for part in x[k::3].split(50):
            shard.update(part)
    shards[2].merge(shards[0])
    shards[2].merge(shards[1])
    for sample in (shuffled, shards[2]):
        assert torch.equal(sample.rows(), whole.rows())
        assert sample.seen == 500
    few = Reservoir(1000)
    few.update(x)
    assert torch.equal(few.rows(), x)


MAKERS = {
    "frechet": lambda shard=None: FrechetAccumulator(5, groups=16, seed=3, shard=shard),
    "plug-in": lambda shard=None: FrechetAccumulator(5, groups=1, shard=shard),
    "kid": lambda shard=None: KernelDistanceAccumulator(rows=300, seed=3, shard=shard),
    "any": lambda shard=None: ReservoirMetric(
        lambda *, real, fake: frechet_distance(real=real, fake=fake, correct=False), rows=400, shard=shard
    ),
}


def same(a: object, b: object) -> None:
    for name in ("value", "stderr", "low", "high"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9, abs=1e-10, nan_ok=True)


@pytest.mark.parametrize("name", list(MAKERS))
def test_accumulators_in_one_piece_batches_shards_and_from_a_state(name: str) -> None:
    make = MAKERS[name]
    whole, batches, left, right = make(), make(), make((0, 2)), make((1, 2))
    whole.update(real=X, fake=Y)
    for part in X.split(64):
        batches.update(real=part)
    for part in Y[:350].split(50):
        batches.update(fake=part)
    again = make()
    again.load_state_dict({key: value.clone() for key, value in batches.state_dict().items()})
    again.update(fake=Y[350:])
    left.update(real=X[::2], fake=Y[::2])
    right.update(real=X[1::2], fake=Y[1::2])
    left.merge(right)
    for other in (again, left):
        same(other.compute(), whole.compute())
    whole.reduce()  # one process: nothing to do
    same(whole.compute(), again.compute())
    whole.reset()
    with pytest.raises(InputError, match="real has had"):
        whole.compute()


def test_accumulators_give_the_metric_of_all_rows() -> None:
    plug_in = MAKERS["plug-in"]()
    plug_in.update(real=X, fake=Y)
    direct = frechet_distance(real=X, fake=Y, correct=False)
    assert plug_in.compute().value == pytest.approx(direct.value, rel=1e-9)
    whole = KernelDistanceAccumulator(rows=1000)
    whole.update(real=X, fake=Y)
    same(whole.compute(), kernel_distance(real=X, fake=Y))
    corrected, direct = FrechetAccumulator(5, groups=64), frechet_distance(real=X, fake=Y)
    corrected.update(real=X, fake=Y)
    found = corrected.compute()
    assert found.value == pytest.approx(direct.value, abs=0.5 * direct.stderr)  # other halves of the same rows
    assert found.high == pytest.approx(direct.high, rel=0.3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: FrechetAccumulator(5, groups=6), "groups 6"),
        (lambda: FrechetAccumulator(4).update(real=X), "of 4 values"),
        (lambda: FrechetAccumulator(5).merge(FrechetAccumulator(5, seed=1)), "groups or seeds"),
        (lambda: Moments(3).merge(Moments(2)), "cannot be merged"),
        (lambda: Reservoir(0), "size 0"),
        (lambda: Reservoir(5).merge(Reservoir(6)), "cannot be merged"),
        (lambda: Reservoir(5, shard=(2, 2)), "shard 2 of 2"),
        (lambda: Reservoir(5).update(X, torch.arange(3)), "numbers have shape"),
    ],
)
def test_bad_input_is_named(call: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()


SCRIPT = """
import json, sys, torch
torch.set_num_threads(1)
import torch.distributed as dist
from pushforward.evaluation.fidelity import FrechetAccumulator, KernelDistanceAccumulator, TorchMetric
rank, ranks = int(sys.argv[3]), 2
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}/meeting", rank=rank, world_size=ranks)
x, y = torch.load(sys.argv[1], weights_only=True)
metrics = [FrechetAccumulator(5, groups=16, seed=3), KernelDistanceAccumulator(rows=300, seed=3),
           KernelDistanceAccumulator(rows=2000)]
found = []
for metric in metrics:
    metric.update(real=x[rank::ranks])
    if metric is metrics[-1]:  # all fakes on the last rank: the others have none
        if rank == ranks - 1:
            metric.update(fake=y, fake_numbers=torch.arange(len(y)))
    else:
        metric.update(fake=y[rank::ranks])
    metric.reduce()
    estimate = metric.compute()
    found.append([estimate.value, estimate.low, estimate.high])
adapted = TorchMetric(lambda: FrechetAccumulator(5, groups=16, seed=3))
adapted.update(x[rank::ranks], real=True)
adapted.update(y[rank::ranks], real=False)
found.append([float(adapted.compute()), float(adapted.compute())])
open(f"{sys.argv[2]}/{rank}.json", "w").write(json.dumps(found))
dist.destroy_process_group()
"""


def test_two_processes_are_one(tmp_path: Path) -> None:
    script, data = tmp_path / "script.py", tmp_path / "data.pt"
    script.write_text(SCRIPT)
    torch.save((X, Y), data)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(data), str(tmp_path), str(rank)], env=environment, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for process in started:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said.decode()[-3000:]
    expected = []
    for make in (MAKERS["frechet"], MAKERS["kid"], lambda: KernelDistanceAccumulator(rows=2000)):
        metric = make()
        metric.update(real=X, fake=Y)
        found = metric.compute()
        expected.append([found.value, found.low, found.high])
    expected.append([expected[0][0]] * 2)  # the adapter's own state is not changed by computing
    for rank in range(2):
        for ours, theirs in zip(expected, json.loads((tmp_path / f"{rank}.json").read_text()), strict=True):
            assert theirs == pytest.approx(ours, rel=1e-9, abs=1e-11)


def test_adapter_without_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = TorchMetric(MAKERS["frechet"])
    metric.update(X, real=True)
    metric.update(Y, real=False)
    expected = MAKERS["frechet"]()
    expected.update(real=X, fake=Y)
    assert float(metric.compute()) == pytest.approx(expected.compute().value)
    metric.reset()
    with pytest.raises(InputError, match="real has had"):
        metric.compute()
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(InputError, match="torchmetrics cannot be imported"):
        torchmetrics_metric(MAKERS["frechet"])


def test_adapter_as_a_metric_of_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with torchmetrics' contract: declared states are all that `reset` restores."""

    class Metric:
        def __init__(self, sync_on_compute: bool = True) -> None:
            self.defaults: dict[str, Tensor] = {}

        def add_state(self, name: str, default: Tensor, dist_reduce_fx: object) -> None:
            self.defaults[name] = default
            setattr(self, name, default.clone())

        def reset(self) -> None:
            for name, value in self.defaults.items():
                setattr(self, name, value.clone())

    module = ModuleType("torchmetrics")
    module.Metric = Metric  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchmetrics", module)
    for make in (MAKERS["frechet"], MAKERS["kid"]):
        metric, expected = torchmetrics_metric(make), make()
        assert isinstance(metric, Metric)
        for _ in range(2):
            metric.reset()
            for part in X.split(100):
                metric.update(part, real=True)
            metric.update(Y, real=False)
        expected.update(real=X, fake=Y)
        assert float(metric.compute()) == pytest.approx(expected.compute().value)
        assert metric.higher_is_better is False
