"""What a model is given: columns of the data, or labels, vectors or a table beside them. Read at `fit`, coded, kept,
and made into networks (`nets.conditional`).

Inside: the given columns of a table or of points stay where they are; the generator copies them and makes the rest, and
the critic sees whole rows. Beside: rows are joint rows (x, c), see `data.joint`.

`balance` b in [0, 1] draws training rows, and conditions with them, with a chance that falls with how frequent their
level is: a column is taken at random, then one of its levels with probability ~ p^(1 - b), then a row of that level,

    chance of row i  ~  mean over columns of  p(level_i)^(-b) / sum over levels of p^(1 - b)

(Xu et al. 2019, section 4.3, with a power in place of the logarithm). 0 leaves the data as they are; with 1 every level
of a column is met equally often. Data and conditions alike, so that the game stays one about p(x | c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.joint import JointCodec
from ..data.points import PointsCodec
from ..data.sources import read as read_data
from ..data.tables import TableCodec
from ..errors import InputError
from ..nets import ConvCritic, ConvGenerator, MLPCritic, MLPGenerator, Shape, TabularCritic, TabularGenerator
from ..nets.conditional import (
    ConditionalCritic,
    ConditionalGenerator,
    Conditions,
    Film,
    Layout,
    parse_ways,
    planes,
    sees,
)
from ..nets.conv import widths_of
from ..nets.critic import Critic
from ..nets.joint import Joint
from ..training.regularisers import Regulariser
from ..training.regularisers.base import Scene
from .drawing import rng
from .folder import MODEL, read_model
from .networks import TINY

KEPT, NUMBERS = 100_000, 10_000_000  # conditions kept with a model, and numbers in them, at most
LABEL, ANY = "label", "any"
DEFAULT_WAYS = {"points": "concat", "table": "concat", "images": "film+projection"}


# ---- reading what is given


def attach(data: Dataset, given: Any) -> tuple[Dataset, tuple[str, ...]]:
    """`data` and the names of its columns that are given; or `data` with `.given` beside them, and no names."""
    if isinstance(given, str) and given == ANY and not (data.kind == "table" and ANY in data.values.columns):
        raise InputError("given='any', whatever happens to be there, is learned by models.Imputer, not by this model")
    if isinstance(given, str | Path) and data.kind != "table":
        given = read_file(Path(given))
    if data.kind == "table":
        return data, _columns(data, given)
    if data.kind == "points" and not isinstance(given, Dataset):
        places = np.atleast_1d(np.asarray(given)) if isinstance(given, int | list | tuple | range) else np.zeros(0)
        if places.ndim == 1 and places.dtype.kind == "i" and len(places) != len(data):
            return data, _places(data, [int(place) for place in places])
    beside = replace(_beside(given), path=None)
    if len(beside) != len(data):
        raise InputError(
            f"{len(beside):,} conditions are given for the {len(data):,} rows of {data.name}; give one for every row"
        )
    return replace(data, given=beside), ()


def attach_held(data: Dataset, held: Any, columns: Sequence[str]) -> Dataset:
    """The rows held out, with what is given for them."""
    if isinstance(held, tuple) and len(held) == 2:
        return attach(read_data(held[0]), held[1])[0]
    found = read_data(held)
    if data.given is not None and found.given is None:
        raise InputError("holdout: what is given is missing for these rows; give holdout=(rows, their conditions)")
    missing = [name for name in columns if found.kind == "table" and name not in found.values.columns]
    if missing:
        raise InputError(f"holdout: lacks the given column {missing[0]!r}; it has {', '.join(found.values.columns)}")
    return found


def _columns(data: Dataset, given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list | tuple) or not given or not all(isinstance(name, str) for name in given):
        raise InputError(
            f"{data.name}: is a table, of which given names columns, such as given=['{data.values.columns[0]}']; "
            "put what stands beside it into the table"
        )
    names = data.values.columns
    for name in given:
        if name not in names:
            raise InputError(f"{data.name}: there is no column {name!r} to be given; it has {', '.join(names)}")
    if len(set(given)) == len(names):
        raise InputError(f"{data.name}: all of its columns are given, which leaves nothing to learn; leave one out")
    return tuple(name for name in names if name in given)


def _places(data: Dataset, given: Sequence[int]) -> tuple[str, ...]:
    d = data.values.shape[1]
    wrong = [place for place in given if not 0 <= place < d]
    if wrong:
        raise InputError(f"{data.name}: there is no column {wrong[0]}; its points have columns 0 to {d - 1}")
    if not given or len(set(given)) == d:
        raise InputError(f"{data.name}: give some of its {d} columns, and leave at least one to learn")
    return tuple(str(place) for place in sorted(set(given)))


def _beside(given: Any) -> Dataset:
    """Labels `(n,)` as a table of one column, vectors `(n, k)` as points, a frame as a table."""
    if isinstance(given, Dataset):
        return given
    if isinstance(given, pl.Series):
        given = given.to_numpy()
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    if isinstance(array, list | tuple):
        array = np.asarray(array)
    if not isinstance(array, np.ndarray):
        found = read_data(array, name="given")
        if found.kind == "images":
            raise InputError("given: images cannot be a condition as they are; give vectors of them (n, k)")
        return found
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim == 1:
        if array.dtype.kind == "O":
            array = np.array([str(value) for value in array])
        whole = array.dtype.kind != "f" or bool((array == np.rint(array)).all())
        array = array.astype(np.int64) if array.dtype.kind == "f" and whole else array
        columns = {LABEL: "categorical"} if whole and array.dtype.kind != "b" else None
        return replace(read_data(pl.DataFrame({LABEL: array}), columns=columns), name="given")
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise InputError(f"given: labels (n,) or vectors (n, k) are expected, not {array.dtype} {array.shape}")
    return read_data(array.astype(np.float32), kind="points", name="given")


def read_file(path: Path) -> Any:
    """Labels or vectors of a .npy or .npz (`labels`, `y`, `given`, or its only array); a table of anything else."""
    if path.suffix.lower() not in (".npy", ".npz"):
        return read_data(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of conditions; check the path")
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        key = next((name for name in ("labels", "y", "given") if name in found.files), None)
        if key is None and len(found.files) != 1:
            raise InputError(f"{path}: has no array labels, y or given; it has {', '.join(found.files)}")
        return found[key or found.files[0]]
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error}); save plain numbers or text with numpy.save") from error


# ---- coding it


@dataclass(frozen=True, eq=False)
class Given:
    """The conditions of a fit: their codec, where they lie in an expanded row (beside: nowhere), and their codes."""

    codec: Codec
    places: tuple[int, ...]
    codes: Tensor  # of all training rows, compact (n, m)

    @property
    def layout(self) -> Layout:
        return layout_of(self.codec)

    def chances(self, balance: float) -> Tensor | None:
        """`(n,)` float64: how often each training row is to be drawn; None for all alike."""
        if not balance:
            return None
        groups = categories(self.codec)
        if not groups:
            raise InputError("balance is about how often categories are met, and no category is given; leave it out")
        total = torch.zeros(len(self.codes), dtype=torch.float64)
        for place in groups:
            code = self.codes[:, place].long().cpu()
            p = torch.bincount(code).double() / len(code)
            total += (p[code] ** -balance) / (p[p > 0] ** (1 - balance)).sum()
        return total

    def keep(self, conditions: Conditions, chances: Tensor | None, *, seed: int) -> None:
        """Give the generator its conditions: all, or as many at random as it keeps."""
        kept = len(conditions.codes)
        some = torch.randperm(len(self.codes), generator=rng(seed, "conditions"))[:kept].sort().values
        conditions.hold(self.codes[some.to(self.codes.device)], None if chances is None else chances[some])


def find(codec: Codec, columns: Sequence[str], rows: Tensor) -> Given:
    """What is given, of encoded compact `rows`."""
    if isinstance(codec, JointCodec):
        found = Given(codec.given, (), codec.parts(rows)[1])
    elif isinstance(codec, TableCodec):
        inner = of_conditions(codec, columns)
        assert isinstance(inner, TableCodec)
        where = {(b.column, b.kind): (b, i) for i, b in enumerate(codec.blocks)}
        mine = [where[b.column, b.kind] for b in inner.blocks]
        compact = [i for _, i in mine]  # numeric slots, then codes: one place each in a compact row
        places = tuple(place for b, _ in mine for place in range(b.start, b.stop))
        found = Given(inner, places, rows[:, compact])
    else:
        places = tuple(int(name) for name in columns)
        found = Given(of_conditions(codec, columns), places, rows[:, list(places)])
    if not found.layout.size:
        what = ", ".join(columns) or "it"
        raise InputError(f"given: {what} holds one value throughout, which says nothing; leave it out")
    return found


def of_conditions(codec: Codec, columns: Sequence[str]) -> Codec:
    """The codec of the conditions alone."""
    if isinstance(codec, JointCodec):
        return codec.given
    if isinstance(codec, TableCodec):
        return replace(codec, fields=tuple(f for f in codec.fields if f.column.name in columns), coordinates=None)
    assert isinstance(codec, PointsCodec)
    places = [int(name) for name in columns]
    return replace(codec, mean=codec.mean[places], std=codec.std[places], restore=None)


def of_data(codec: Codec) -> Codec:
    """The codec of the rows alone."""
    return codec.data if isinstance(codec, JointCodec) else codec


def layout_of(codec: Codec) -> Layout:
    """How a condition's numbers lie."""
    if isinstance(codec, TableCodec):
        return Layout(codec.n_numeric, tuple(b.levels for b in codec.blocks[codec.n_numeric :]))
    return Layout(math.prod(codec.event_shape))


def categories(codec: Codec) -> list[int]:
    """The places of categories in compact codes, those left out that only say whether a number is there."""
    if not isinstance(codec, TableCodec):
        return []
    numbers = {b.column for b in codec.blocks if b.kind == "numeric"}
    return [i for i, b in enumerate(codec.blocks) if b.kind == "category" and b.column not in numbers]


def describe(given: Given, columns: Sequence[str], ways: str, balance: float) -> dict[str, Any]:
    """What `networks` needs of it, JSON-able."""
    layout = given.layout
    kept = min(len(given.codes), KEPT, max(1, NUMBERS // layout.compact))
    return {
        "columns": list(columns),
        "places": list(given.places),
        "numeric": layout.numeric,
        "levels": list(layout.levels),
        "kept": kept,
        "rows": len(given.codes),
        "balanced": bool(balance),
        "ways": ways,
    }


def same(folder: Path, columns: Sequence[str]) -> None:
    """`InputError` where the run in `folder`, if there is one, was given other columns."""
    if not (folder / MODEL).exists():
        return
    then = tuple(read_model(folder)["network"].get("given", {}).get("columns", ()))
    if then != tuple(columns):
        was, now = (", ".join(names) or "no columns" for names in (then, columns))
        raise InputError(f"{folder}: this run was started with {was} given, now {now}; resume it with its own")


# ---- networks


def networks(
    codec: Codec, network: Mapping[str, Any], generator: torch.Generator, *, class_weight: float
) -> tuple[nn.Module, nn.Module | None]:
    """(generator, critic) as `network` says, where something is given."""
    said = network["given"]
    ways, layout = parse_ways(said["ways"]), Layout(said["numeric"], tuple(said["levels"]))
    conditions = Conditions(layout, said["kept"], balanced=said["balanced"], device=generator.device)
    joint = Joint(codec.shapes) if isinstance(codec, JointCodec) else None
    data = of_data(codec)
    make = _of_table if isinstance(data, TableCodec) else _of_tensors
    made, core = make(data, network, conditions, ways, joint, generator)
    if network["shape"] is None:
        return made, None
    critic = ConditionalCritic(core, layout, ways=ways, joint=joint, places=said["places"], generator=generator)
    if "auxiliary" in ways:
        made.pay(class_weight)
    return made, critic


def _of_table(
    data: Any,
    network: Mapping[str, Any],
    conditions: Conditions,
    ways: Sequence[str],
    joint: Joint | None,
    generator: torch.Generator,
) -> tuple[TabularGenerator, Critic]:
    """A table's generator, and the critic of its whole rows."""
    sizes = {"width": network["width"], "depth": network["depth"]}
    made = TabularGenerator(
        data.blocks,
        noise_size=network["noise_size"],
        **sizes,
        conditions=conditions,
        places=network["given"]["places"],
        film="film" in ways,
        generator=generator,
    )
    shape = Shape(**(network["shape"] or {}))
    return made, TabularCritic(data.blocks, **sizes, shape=shape, generator=generator)


def _of_tensors(
    data: Codec,
    network: Mapping[str, Any],
    conditions: Conditions,
    ways: Sequence[str],
    joint: Joint | None,
    generator: torch.Generator,
) -> tuple[ConditionalGenerator, Critic]:
    """The generator of points or images, and the critic of them, with the condition beside them or without."""
    sizes, shape = {"width": network["width"], "depth": network["depth"]}, Shape(**(network["shape"] or {}))
    noise_size, event, size = network["noise_size"], data.event_shape, conditions.layout.size
    tiny = data.kind == "images" and math.prod(event) <= TINY
    beside = size if joint and sees(ways) else 0  # conditions inside the row are seen as part of it
    own: nn.Module
    core: Critic
    if data.kind == "points" or tiny:
        steep, waves = network.get("steep", 0.0), network.get("frequencies", ())
        own = MLPGenerator(event, noise_size=noise_size + size, **sizes, bounded=tiny, steep=steep, generator=generator)
        widths = [sizes["width"]] * sizes["depth"]
        seen = (math.prod(event) + beside,) if joint else event
        core = MLPCritic(seen, **sizes, frequencies=waves, shape=shape, generator=generator)
    else:
        own = ConvGenerator(event, noise_size=noise_size + size, **sizes, generator=generator)
        widths = widths_of(event, sizes["width"])
        core = ConvCritic((event[0] + planes(beside), *event[1:]), **sizes, shape=shape, generator=generator)
    film = Film(size, widths, generator=generator) if "film" in ways else None
    places = network["given"]["places"]
    return (
        ConditionalGenerator(own, conditions, noise_size=noise_size, joint=joint, places=places, film=film),
        core,
    )


class Auxiliary(Regulariser):
    """The critic's classifier of conditions learns from data: see `ConditionalCritic.surprise`."""

    name = "auxiliary"

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def charge(self, scene: Scene) -> Tensor:
        found: Tensor = scene.network.surprise(scene.x)  # type: ignore[operator]
        return self.weight * found
