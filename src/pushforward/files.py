"""Writing files and folders so that a crash, a kill or a full disk never leaves half of one.

A write goes to a temporary sibling, is flushed to the disk (`fsync`), and takes the final name in one `rename`: a
reader sees the whole old content or the whole new one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _unwritable(path: Path, error: OSError) -> InputError:
    if error.errno in _NO_SPACE:
        return InputError(
            f"{path}: no space left to write it; free some and run again (what was there before is untouched)"
        )
    return InputError(f"{path}: cannot be written ({error.strerror or error}); choose a place you may write to")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving, it becomes `path`, and on any error it is removed.

    The temporary name ends as `path` does, so that writers that go by the ending work. Raises `InputError` where the
    folder cannot be written or the disk is full.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        _fsync(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes private files; a saved file has the usual permissions
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on leaving, it takes the place of `path` as a whole."""
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield temporary
        for item in (*temporary.rglob("*"), temporary):  # folders too: their entries are data of their own
            _fsync(item)
        temporary.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            os.replace(target, old / "old")
            os.replace(temporary, target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8) to `path`, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
