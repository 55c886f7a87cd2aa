"""What any estimator must pass: ours and yours; each check raises `AssertionError` with the place where it fails.

    from pushforward.conformance import check_estimator
    check_estimator(MyModel(steps=3), rows)

`rows` is a little data of a kind that the model takes, as a user would give it: an array, a frame, or a `Dataset`. The
model is fitted a few times, so give it settings that are quick. No check is statistical: what a seed gives is compared
with what it gave, and shapes, types and refusals with what `models.Estimator` promises. What a model does not have
(`log_prob`, `encode`, ..., `fit(given=)`) is not asked of it.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from pushforward.conformance.noticing import (
    alike,
    as_array,
    as_told,
    check_form,
    check_numbers,
    close,
    content,
    copy_of,
    first_rows,
    nothing_global_moves,
    poor_data,
    refusal,
    same,
    schema_of,
    strange_rows,
    value_of,
)
from pushforward.data.dataset import Dataset
from pushforward.data.sources import read, to_container

READS = ("log_prob", "encode", "reconstruct")  # methods that take rows
LIKELIHOODS = ("exact", "lower_bound", "importance", "none")
N = 7  # rows drawn


def check_estimator(model: Any, data: Any, *, given: Sequence[Any] | None = None, bad_data: bool = True) -> Any:
    """Every check below, on copies of the unfitted `model`; the fitted one is returned.

    `given`: columns of `data` that `fit` can be given, where it can. `bad_data=False` leaves out what it makes of data
    that are degenerate, for models that a user could not fit to such anyway.
    """
    dataset = read(data)
    check_parameters(model)
    check_unfitted(model, dataset)
    fitted = check_fit(model, dataset)
    check_samples(fitted, dataset)
    check_repeatable(fitted, dataset)
    check_folder(fitted, dataset)
    check_log_prob(fitted, dataset)
    check_codes(fitted, dataset)
    if given:
        check_given(model, dataset, given)
    if bad_data:
        check_bad_data(model, dataset)
        check_strange_rows(fitted, dataset)
    return fitted


# ---- parameters


def check_parameters(model: Any) -> None:
    """Constructor arguments are kept as they are, are read and set by name, and make a copy that is equal."""
    from sklearn.base import clone

    name = type(model).__name__
    given = model.get_params()
    assert set(given) == set(inspect.signature(type(model)).parameters), f"{name}: get_params lacks some or has more"
    made = type(model)(**given)
    for key, value in given.items():
        assert getattr(made, key) is value, f"{name}: {key} is not stored under its name as it was given"
    copy = clone(model)
    assert copy is not model
    assert alike(copy.get_params(), given), f"{name}: a clone has other parameters"
    assert model.set_params(**given) is model, f"{name}: set_params must return the model"
    assert repr(model).startswith(f"{name}("), f"{name}: repr must look like the call that makes it"
    assert repr(copy) == repr(model), f"{name}: a clone prints otherwise"
    message = refusal(lambda: model.set_params(no_such_parameter=1), f"{name}.set_params of an unknown name")
    assert "no_such_parameter" in message, f"{name}: an unknown parameter must be named in the refusal"


def check_unfitted(model: Any, dataset: Dataset) -> None:
    """Before `fit` every method says that the model is not fitted."""
    fresh, name = copy_of(model), type(model).__name__
    rows = first_rows(dataset, 2)
    calls: dict[str, Callable[[], Any]] = {"save": lambda: fresh.save("nowhere")}
    if hasattr(fresh, "sample"):
        calls["sample"] = lambda: fresh.sample(1)
    for method in READS:
        if hasattr(fresh, method):
            calls[method] = lambda method=method: getattr(fresh, method)(rows)  # type: ignore[misc]
    for method, call in calls.items():
        message = refusal(call, f"{name}.{method} before fit")
        assert "fit" in message, f"{name}: {method} before fit must be refused, with the word fit in it"


# ---- fitting and drawing


def check_fit(model: Any, dataset: Dataset) -> Any:
    """`fit` returns the model itself, and leaves its parameters, the data and everything global alone."""
    fitted, name = copy_of(model), type(model).__name__
    before, rows = fitted.get_params(), to_container(dataset)
    with nothing_global_moves(f"{name}.fit"):
        returned = fitted.fit(rows, progress=False)
    assert returned is fitted, f"{name}: fit must return the model"
    assert alike(fitted.get_params(), before), f"{name}: fit changed its parameters"
    unchanged = same(content(read(rows, kind=dataset.kind)), content(dataset))
    assert unchanged, f"{name}: fit changed the data it was given"
    learned = [key for key in vars(fitted) if key.endswith("_") and not key.startswith("_")]
    assert learned, f"{name}: what is learned must be kept under names that end in _"
    assert getattr(fitted, "likelihood", "none") in LIKELIHOODS, f"{name}: likelihood must be one of {LIKELIHOODS}"
    return fitted


def check_samples(fitted: Any, dataset: Dataset) -> None:
    """Samples are of the data's container, form and types; a seed holds, and fewer rows are the first of more."""
    name = type(fitted).__name__
    if not hasattr(fitted, "sample"):
        return
    with nothing_global_moves(f"{name}.sample"):
        drawn = fitted.sample(N, seed=3)
    assert type(drawn) is type(to_container(dataset)), f"{name}: samples come as {type(drawn).__name__}"
    found = fitted.sample_dataset(N, seed=3)
    check_form(found, dataset, N, f"{name}: samples")
    assert same(content(found), content(read(drawn, kind=dataset.kind))), f"{name}: sample and sample_dataset differ"
    assert same(content(fitted.sample_dataset(N, seed=3)), content(found)), f"{name}: one seed drew two samples"
    few = fitted.sample_dataset(2, seed=3)
    first = found.take(torch.arange(2))
    assert same(content(few), content(first), exact=False), f"{name}: fewer rows are not the first of more"
    made_by = found.made_by or {}
    assert made_by.get("seed") == 3, f"{name}: made_by of samples must have the seed they were drawn with"
    assert made_by.get("model"), f"{name}: made_by of samples must name the model"
    json.dumps(dict(made_by))
    for wrong in (0, -1):
        assert refusal(lambda n=wrong: fitted.sample(n), f"{name}.sample({wrong})"), f"{name}: drew {wrong} rows"  # type: ignore[misc]


def check_repeatable(fitted: Any, dataset: Dataset) -> None:
    """Two fits with the same seed learn the same."""
    name = type(fitted).__name__
    again = copy_of(fitted).fit(to_container(dataset), progress=False)
    if hasattr(fitted, "sample_dataset"):
        one, two = (content(part.sample_dataset(N, seed=5)) for part in (fitted, again))
        assert same(one, two), f"{name}: two fits with one seed draw different rows"
    for method in answering(fitted, dataset):
        one, two = (as_told(getattr(part, method)(first_rows(dataset, 5))) for part in (fitted, again))
        assert same(one, two), f"{name}: two fits with one seed differ in {method}"


def check_folder(fitted: Any, dataset: Dataset) -> None:
    """Saved and loaded, by its class or by whatever class it is, a model is the same, also where a device is named."""
    from pushforward import load, models

    name = type(fitted).__name__
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        fitted.save(folder)
        loaded = {"load": type(fitted).load(folder)}
        if name in models.__all__:
            loaded["pushforward.load"] = load(folder)
        if "device" in inspect.signature(type(fitted).load).parameters:
            for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
                loaded[f"load(device={device!r})"] = type(fitted).load(folder, device=device)
        refused = refusal(lambda: type(fitted).load(Path(place) / "none"), f"{name}.load of no folder")
        assert refused, f"{name}: loaded from a folder that is not there"
        for how, other in loaded.items():
            if type(other) is type(fitted) and "device" not in how:
                assert alike(other.get_params(), fitted.get_params()), f"{name}: {how} changed its parameters"
            _check_same_model(fitted, other, dataset, f"{name}: {how}", exact="cuda" not in how)


def answering(fitted: Any, dataset: Dataset, methods: Sequence[str] = READS) -> list[str]:
    """Those of `methods` that the model has and does not refuse, in one sentence, for data of this kind."""
    rows, name = first_rows(dataset, 1), type(fitted).__name__
    return [
        method
        for method in methods
        if hasattr(fitted, method)
        and not refusal(lambda method=method: getattr(fitted, method)(rows), f"{name}.{method}")  # type: ignore[misc]
    ]


def _check_same_model(one: Any, other: Any, dataset: Dataset, where: str, *, exact: bool) -> None:
    if hasattr(one, "sample_dataset") and exact:
        drawn = (content(part.sample_dataset(N, seed=5)) for part in (one, other))
        assert same(*drawn), f"{where}: draws other rows"
    for method in answering(one, dataset):
        assert hasattr(other, method), f"{where}: lacks {method}"
        told = (as_told(getattr(part, method)(first_rows(dataset, 5))) for part in (one, other))
        assert same(*told, exact=exact), f"{where}: differs in {method}"


# ---- what only some models have


def check_log_prob(fitted: Any, dataset: Dataset) -> None:
    """`log_prob` is `(n,)` float64, a number or -inf, of every row by itself, and says how exact it is."""
    name = type(fitted).__name__
    said = getattr(fitted, "likelihood", "none")
    if not hasattr(fitted, "log_prob"):
        assert said == "none", f"{name}: likelihood {said!r}, and no log_prob"
        return
    assert said != "none", f"{name}: has log_prob, so its likelihood cannot be 'none'"
    if "log_prob" not in answering(fitted, dataset):
        return
    with nothing_global_moves(f"{name}.log_prob"):
        found = fitted.log_prob(first_rows(dataset, 6))
    assert isinstance(found, Tensor), f"{name}: log_prob must give a tensor"
    assert tuple(found.shape) == (6,), f"{name}: log_prob of 6 rows has shape {tuple(found.shape)}"
    assert found.dtype == torch.float64, f"{name}: log_prob must be float64, not {found.dtype}"
    assert not found.requires_grad, f"{name}: log_prob must not carry a gradient"
    check_numbers(found, f"{name}: log_prob")
    assert same(found, fitted.log_prob(first_rows(dataset, 6))), f"{name}: log_prob of the same rows changed"
    alone = fitted.log_prob(first_rows(dataset, 1))
    assert tuple(alone.shape) == (1,), f"{name}: log_prob of one row has shape {tuple(alone.shape)}"
    if said == "exact":  # others draw, and draw for the rows together
        assert same(alone, found[:1], exact=False), f"{name}: log_prob of a row depends on the rows beside it"


def check_codes(fitted: Any, dataset: Dataset) -> None:
    """`encode` gives finite numbers `(n, k)`, `decode` and `reconstruct` rows like the data's; all of it repeats."""
    name = type(fitted).__name__
    for method in answering(fitted, dataset, ("encode", "reconstruct")):
        with nothing_global_moves(f"{name}.{method}"):
            found, again = (as_told(getattr(fitted, method)(first_rows(dataset, 6))) for _ in range(2))
        assert same(found, again), f"{name}: {method} of the same rows changed"
        alone = getattr(fitted, method)(first_rows(dataset, 1))
        if method == "reconstruct":
            check_form(read(alone, kind=dataset.kind), dataset, 1, f"{name}: reconstruct of one row")
            continue
        z = as_array(found)
        assert z.ndim == 2, f"{name}: encode must give (n, k), not {z.shape}"
        assert len(z) == 6, f"{name}: encode of 6 rows gave {len(z)}"
        assert np.isfinite(z).all(), f"{name}: encode gave something that is not finite"
        first = as_array(alone)
        assert first.shape == (1, z.shape[1]), f"{name}: encode of one row has shape {first.shape}"
        assert same(first, z[:1], exact=False), f"{name}: encode of a row depends on the rows beside it"
    if hasattr(fitted, "encode") and hasattr(fitted, "decode"):
        z = as_array(fitted.encode(first_rows(dataset, 6)))
        check_form(read(fitted.decode(z), kind=dataset.kind), dataset, 6, f"{name}: decode")
        wide = np.concatenate([z, z[:, :1]], 1)
        assert refusal(lambda: fitted.decode(wide), f"{name}.decode of too wide latents"), f"{name}: decoded them"


def check_given(model: Any, dataset: Dataset, given: Sequence[Any]) -> None:
    """Samples given columns of a table or of points: a mapping and a frame or array of conditions give one layout, with
    what was asked in its place."""
    name = type(model).__name__
    if "given" not in inspect.signature(model.fit).parameters:
        return
    fitted = copy_of(model).fit(to_container(dataset), given=list(given), progress=False)
    if not hasattr(fitted, "sample_dataset"):
        return
    values = {column: value_of(dataset, column) for column in given}
    if dataset.kind == "table":
        rows: Any = pl.DataFrame(
            {column: [value] * 4 for column, value in values.items()}, schema=schema_of(dataset, given)
        )
    else:
        rows = np.array([[float(value) for value in values.values()]] * 4)
    for what, asked in (("a mapping", values), ("conditions", rows)):
        with nothing_global_moves(f"{name}.sample given {what}"):
            found = fitted.sample_dataset(4, given=asked, seed=1)
        check_form(found, dataset, 4, f"{name}: samples given {what}")
        for column, value in values.items():
            column_of = found.values[column] if dataset.kind == "table" else found.values[:, column]
            there = (
                all(close(one, value) for one in column_of.to_list())
                if dataset.kind == "table"
                else bool(torch.allclose(column_of.double(), torch.tensor(float(value)).double(), rtol=1e-4, atol=1e-4))
            )
            assert there, f"{name}: given {what}, samples do not have {column} = {value}"
        assert same(content(fitted.sample_dataset(4, given=asked, seed=1)), content(found)), (
            f"{name}: given {what}, one seed drew two samples"
        )
    unknown = {"no such column": 1}
    assert refusal(lambda: fitted.sample(2, given=unknown), f"{name}.sample given an unknown column")


def check_bad_data(model: Any, dataset: Dataset) -> None:
    """Data that cannot teach much are learned or refused in a sentence: never another error, never NaN."""
    name = type(model).__name__
    one = copy_of(model)
    message = refusal(lambda: one.fit(first_rows(dataset, 1), progress=False), f"{name}.fit to one row")
    assert message, f"{name}: one row must be refused"
    for what, poor in poor_data(dataset):
        fitted = copy_of(model)
        with nothing_global_moves(f"{name}.fit to {what}"):
            if refusal(lambda fitted=fitted, poor=poor: fitted.fit(poor, progress=False), f"{name}.fit to {what}"):  # type: ignore[misc]
                continue
        if hasattr(fitted, "sample_dataset"):
            found = fitted.sample_dataset(N, seed=0)
            check_form(found, read(poor, kind=dataset.kind), N, f"{name}: samples after {what}")
        if "log_prob" in answering(fitted, read(poor, kind=dataset.kind)):
            check_numbers(fitted.log_prob(poor)[:3], f"{name}: log_prob after {what}")
    if dataset.kind != "table":
        hole = to_container(dataset).copy() if dataset.container == "numpy" else to_container(dataset).clone()
        hole = hole / 255.0 if dataset.kind == "images" else hole
        hole[(1,) + (0,) * (hole.ndim - 1)] = np.nan
        told = refusal(lambda: copy_of(model).fit(hole, progress=False), f"{name}.fit to a NaN")
        assert told, f"{name}: a NaN in {dataset.kind} must be refused"


def check_strange_rows(fitted: Any, dataset: Dataset) -> None:
    """Rows outside of what was learned get -inf, a low number, or a sentence: never NaN."""
    name = type(fitted).__name__
    for what, strange in strange_rows(dataset):
        for method in READS:
            if not hasattr(fitted, method):
                continue
            told: list[Any] = []
            refusal(
                lambda method=method, strange=strange, told=told: told.append(getattr(fitted, method)(strange)),  # type: ignore[misc]
                f"{name}.{method} of {what}",
            )
            if told and method == "log_prob":
                check_numbers(told[0], f"{name}: log_prob of {what}")
            if told and method == "encode":
                assert not np.isnan(as_array(told[0])).any(), f"{name}: encode of {what} is NaN"
