"""Checkpoints: whole or absent; a torn one is noticed and an earlier one used."""

import json
from pathlib import Path

import pytest
import torch

from pushforward.errors import InputError
from pushforward.training import checkpoint


def tree(step: int) -> dict:
    return {
        "network": {"a.weight": torch.full((3, 2), float(step)), "scalar": torch.tensor(0.1 + step)},
        "adam": [{"step": torch.tensor(4.0)}, {}],
        "seconds": 0.1 + step,
        "names": ["x", None, True],
        "half": torch.arange(4, dtype=torch.bfloat16),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_tree_comes_back_exactly(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 7, tree(7))
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found[0] == 7
    assert same(found[1], tree(7))


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    checkpoint.save(tmp_path, 1, {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 3).T})
    _, found = checkpoint.latest(tmp_path) or (0, {})
    assert torch.equal(found["part"], whole[2:4])
    assert torch.equal(found["turned"], whole.view(2, 3).T)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 300):
        checkpoint.save(tmp_path, step, tree(step))
    kept = sorted(item.name for item in (tmp_path / checkpoint.FOLDER).iterdir())
    assert kept == ["step-000000010", "step-000000300"]


def test_an_abandoned_future_is_removed(tmp_path: Path) -> None:
    """Resumed from 2 since 9 is torn: what is saved next must not lose to 9 when the oldest are removed."""
    checkpoint.save(tmp_path, 2, tree(2))
    torn = checkpoint.save(tmp_path, 9, tree(9))
    (torn / "state.json").unlink()
    for step in (3, 4, 5):
        checkpoint.save(tmp_path, step, tree(step))
    kept = sorted(item.name for item in (tmp_path / checkpoint.FOLDER).iterdir())
    assert kept == ["step-000000004", "step-000000005"]


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["missing", "empty", "half", "flipped"])
def test_torn(tmp_path: Path, name: str, harm: str) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, tree(step))
    path = tmp_path / checkpoint.FOLDER / "step-000000002" / name
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]
        path.write_bytes({"empty": b"", "half": content[:middle], "flipped": flipped}[harm])
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found[0] == 1
    assert same(found[1], tree(1))
    with pytest.raises(InputError, match="step-000000002"):
        checkpoint.load(path.parent)


def test_all_torn_names_the_newest(tmp_path: Path) -> None:
    for step in (1, 2):
        folder = checkpoint.save(tmp_path, step, tree(step))
        (folder / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"step-000000002.*truncated"):
        checkpoint.latest(tmp_path)


def test_newer_version(tmp_path: Path) -> None:
    folder = checkpoint.save(tmp_path, 1, tree(1))
    state = json.loads((folder / "state.json").read_text())
    state["schema"] = "pushforward.checkpoint/99"
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="upgrade"):
        checkpoint.load(folder)


def test_leftovers_of_a_killed_writer_are_passed_over_and_removed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, tree(1))
    left = tmp_path / checkpoint.FOLDER / ".step-000000002-abc"
    left.mkdir()
    (left / "tensors.safetensors").write_bytes(b"half")
    assert (checkpoint.latest(tmp_path) or (0,))[0] == 1
    checkpoint.save(tmp_path, 3, tree(3))
    assert not left.exists()
