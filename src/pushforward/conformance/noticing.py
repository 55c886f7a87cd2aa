"""What the checks of estimators share: noticing refusals and what moves globally, comparing, and data that are poor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pushforward.data.dataset import Dataset
from pushforward.data.sources import read, to_container
from pushforward.errors import InputError

FAR = 1e6  # standard deviations


def refusal(call: Callable[[], Any], where: str) -> str:
    """The sentence by which `call` is refused, or an empty one where it is not; any other error fails the check."""
    try:
        call()
    except InputError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, f"{where}: a refusal is one sentence, not {message!r}"
        return message
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__} ({error}) instead of an InputError") from error
    return ""


@contextmanager
def nothing_global_moves(where: str) -> Iterator[None]:
    """Fail where the block moves global random state, torch's defaults or what torch.distributions checks."""
    before = _globals()
    yield
    after = _globals()
    moved = [name for name in before if before[name] != after[name]]
    assert not moved, f"{where}: changed {', '.join(moved)}"


def _globals() -> dict[str, Any]:
    import torch.distributions as d

    laws = [getattr(d, one) for one in d.__all__ if inspect.isclass(getattr(d, one))]
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "NumPy's random state": str(np.random.get_state(legacy=False)),  # noqa: NPY002
        "the default dtype": torch.get_default_dtype(),
        "whether gradients are on": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "torch.distributions' validation": d.Distribution._validate_args,
        "torch.distributions' constraints": [(law.__name__, id(vars(law).get("arg_constraints"))) for law in laws],
    }


def copy_of(model: Any) -> Any:
    return type(model)(**model.get_params())


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Equal parameters; a folder knows lists only, so that a tuple may come back as one."""
    return set(a) == set(b) and all(a[key] is b[key] or repr(_listed(a[key])) == repr(_listed(b[key])) for key in a)


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value


def first_rows(dataset: Dataset, n: int) -> Any:
    """The first `n` rows as the user would give them."""
    return to_container(dataset.take(torch.arange(n)))


def content(dataset: Dataset) -> Any:
    return dataset.values.clone() if isinstance(dataset.values, Tensor | pl.DataFrame) else dataset.values


def as_told(found: Any) -> Any:
    """What a method returned, as something that `_same` compares."""
    if isinstance(found, Tensor | np.ndarray | pl.DataFrame):
        return found
    return content(read(found))


def as_array(found: Any) -> np.ndarray:
    array: np.ndarray = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
    return array


def same(one: Any, two: Any, *, exact: bool = True) -> bool:
    """Equal, NaN and null being equal to themselves; not exact: to rounding, as where a matrix has another number of
    rows and its products are summed in another order."""
    if isinstance(one, pl.DataFrame):
        if exact or one.shape != two.shape:
            return bool(one.equals(two))
        floats = [name for name, dtype in one.schema.items() if dtype.is_float()]
        close = all(same(one[name].to_numpy(), two[name].to_numpy(), exact=False) for name in floats)
        return close and bool(one.drop(floats).equals(two.drop(floats)))
    a, b = (np.asarray(as_array(part), dtype=np.float64) for part in (one, two))
    return a.shape == b.shape and bool(
        np.array_equal(a, b, equal_nan=True) if exact else np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True)
    )


def check_numbers(found: Tensor, where: str) -> None:
    assert not bool(found.isnan().any()), f"{where} is NaN"
    assert not bool((found == torch.inf).any()), f"{where} is +inf"


def check_form(found: Dataset, dataset: Dataset, n: int, where: str) -> None:
    """`n` rows of the form of `dataset`: columns and their types, or shape and dtype; numbers finite."""
    assert found.kind == dataset.kind, f"{where} are {found.kind}, not {dataset.kind}"
    assert len(found) == n, f"{where}: {len(found)} rows instead of {n}"
    if dataset.kind == "table":
        want = dict(dataset.values.schema)
        assert list(found.values.columns) == list(want), f"{where} have the columns {found.values.columns}"
        for column, dtype in want.items():
            got = found.values.schema[column]
            assert got == dtype, f"{where}: column {column!r} is {got}, not {dtype}"
            known = set(dataset.values[column].cast(pl.String).to_list())
            if dtype in (pl.String, pl.Categorical, pl.Boolean):
                strange = set(found.values[column].cast(pl.String).to_list()) - known
                assert not strange, f"{where}: column {column!r} has {strange}, which the data lack"
        return
    assert found.values.shape[1:] == dataset.values.shape[1:], f"{where} have the shape {tuple(found.values.shape)}"
    assert found.values.dtype == dataset.values.dtype, f"{where} are {found.values.dtype}, not {dataset.values.dtype}"
    assert bool(torch.isfinite(found.values.double()).all()), f"{where} are not all finite"


def value_of(dataset: Dataset, column: Any) -> Any:
    """What the first row has in `column`, a value that can be asked for."""
    if dataset.kind == "table":
        return dataset.values[column].drop_nulls()[0]
    return float(dataset.values[0, column])


def schema_of(dataset: Dataset, columns: Sequence[Any]) -> dict[str, Any]:
    return {column: dataset.values.schema[column] for column in columns}


def close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=1e-4))
    return bool(a == b)


def poor_data(dataset: Dataset) -> list[tuple[str, Any]]:
    """Data that cannot teach much, by what ails them."""
    if dataset.kind == "table":
        frame = dataset.values
        constant = frame.with_columns(pl.lit("only").alias("word"), pl.lit(7.5).alias("number"))
        missing = frame.with_columns(
            pl.lit(None, dtype=pl.String).alias("no words"), pl.lit(None, dtype=pl.Float64).alias("no numbers")
        )
        return [("constant columns", constant), ("columns that are all missing", missing)]
    same = dataset.values.clone()
    if dataset.kind == "points":
        same[:, -1] = 7.5
        return [("a constant column", same.numpy())]
    same[:] = 128
    return [("images that are all grey", Dataset("images", same, container="numpy"))]


def strange_rows(dataset: Dataset) -> list[tuple[str, Any]]:
    """Rows of the data's form that no training row is like."""
    if dataset.kind == "table":
        frame = dataset.values[:3]
        words = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
        found = (
            [("a category that was not learned", frame.with_columns(pl.lit("never").alias(words[0])))] if words else []
        )
        if numbers:
            found.append(("a number far away", frame.with_columns(pl.lit(1e12).alias(numbers[0]))))
            found.append(
                ("a value that is missing", frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(numbers[0])))
            )
        return found
    if dataset.kind == "points":
        rows = dataset.values[:3]
        spread = dataset.values.std(0)
        return [("points far away", (rows + FAR * spread).numpy())]
    return [("pictures of other shades", Dataset("images", 255 - dataset.values[:3] // 2, container="numpy"))]
