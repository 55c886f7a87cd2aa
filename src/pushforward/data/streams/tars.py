"""Pictures in tars, one after another as they lie there (the layout of WebDataset; members that are no pictures, such
as labels, are passed over). Sizes and colours are looked at first, so that all chunks have one form.
"""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from .. import pictures
from ..dataset import Dataset
from ..provenance import KEY, made_by_of, parse
from .progress import Progress
from .stream import CHUNK, CHUNK_BYTES, Stream, numbered, size

_END = 512  # bytes: a tar ends with blocks of zeros


def open_tars(files: list[Path], name: str, *, progress: Progress | None) -> Stream:
    """The pictures in the tars `files`, one part each."""
    sizes: dict[tuple[int, int], list[str]] = {}
    grey, record, counts, seen = True, None, [], 0
    for file in files:
        count = 0
        for member, opener in _members(file):
            with pictures.open_picture(member, opener) as image:
                sizes.setdefault(image.size, [])
                if len(sizes[image.size]) < 2:
                    sizes[image.size].append(member)
                grey = grey and image.mode in pictures.GREY
                if not seen:
                    text = image.info.get(KEY)
                    record = parse(str(text)) if text else None
            count, seen = count + 1, seen + 1
            if progress is not None and seen % 1000 == 0:
                progress(seen, None)
        if not count:
            raise InputError(f"{file}: the tar holds no images ({', '.join(sorted(pictures.ENDINGS))}); remove it")
        counts.append(count)
    if len(sizes) > 1:
        told = ", ".join(f"{w} x {h} ({names[0]})" for (w, h), names in list(sizes.items())[:4])
        raise InputError(f"{name}: images of several sizes, {told}; bring them to one size")
    ((width, height),) = sizes
    shape = (1 if grey else 3, height, width)
    found = [(str(file), str(file), count, _reader(file, shape)) for file, count in zip(files, counts, strict=True)]
    parts, rows = numbered(found, name)
    empty = Dataset("images", torch.empty((0, *shape), dtype=torch.uint8), name, "numpy", made_by_of(record))
    return Stream(empty, parts, rows, size(files), lambda values, file, row: values)


def _reader(file: Path, shape: tuple[int, int, int]) -> Callable[[], Iterator[Any]]:
    return lambda: _chunks(file, shape)


def _chunks(file: Path, shape: tuple[int, int, int]) -> Iterator[Tensor]:
    most = max(1, min(CHUNK, CHUNK_BYTES // math.prod(shape)))
    held: list[np.ndarray] = []
    for member, opener in _members(file):
        with pictures.open_picture(member, opener) as image:
            held.append(pictures.pixels_of(image, shape[0] == 1))
        if len(held) == most:
            yield torch.from_numpy(np.stack(held))
            held = []
    if held:
        yield torch.from_numpy(np.stack(held))


def _members(file: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The name and the opener of each picture, in the order in which they lie in the tar."""
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isfile() or path.suffix.lower() not in pictures.ENDINGS:
                    continue
                if pictures.hidden_name(member.name):
                    continue
                if member.size > pictures.MAX_MEMBER:
                    raise InputError(
                        f"{file}: the entry {member.name!r} holds {member.size / 2**20:.0f} MiB, more than 256; "
                        "leave it out"
                    )
                yield f"{file}:{member.name}", _opener(archive, member, file)
            assert archive.fileobj is not None
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(_END) != bytes(_END):  # tarfile itself ends silently between two members
                raise tarfile.ReadError("it does not end as a tar does")
    except tarfile.TarError as error:
        raise _cut(file, str(error)) from error


def _opener(archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> Callable[[], Any]:
    def read() -> io.BytesIO:
        opened = archive.extractfile(member)
        assert opened is not None
        content = opened.read()
        if len(content) != member.size:
            raise _cut(file, f"the entry {member.name!r} is not whole")
        return io.BytesIO(content)

    return read


def _cut(file: Path, reason: str) -> InputError:
    return InputError(f"{file}: is not a whole tar ({reason}); copy or make it again")
