"""What every setting of a model means, read from the docstrings that say so: for `pushforward models NAME`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

REFERS = re.compile(r"(?:see|as for) `(\w+)`", re.IGNORECASE)

ONLY_REFERS = re.compile(r"(?:see|as for) \w+\b[^:]{0,40}\.?$", re.IGNORECASE)


def meanings(family: type) -> dict[str, str]:
    """The sentences on each parameter of the constructor, "" where there are none: its own, else those of the classes
    that it builds on or refers to."""
    names = list(inspect.signature(family).parameters)
    found = dict.fromkeys(names, "")
    for one in _speakers(family):
        for name, text in _said(one, names):
            if not found[name] and not ONLY_REFERS.match(text):
                found[name] = text
    return found


def lead(family: type) -> str:
    """The docstring up to its first setting, its lines joined."""
    text = inspect.cleandoc(family.__doc__ or "")
    begins = next(iter(_places(text, list(inspect.signature(family).parameters))), None)
    kept = text if begins is None else text[: begins.start()]
    kept = kept.replace("; see the module's docstring", "")
    kept = re.split(r"\n\n(?=Learned:)|(?<=[.\n])\s*The others:", kept)[0]
    return "\n\n".join(_flowing(part) for part in kept.strip().replace("`", "").split("\n\n"))


def _flowing(paragraph: str) -> str:
    """The lines of a docstring's paragraph joined, for the terminal to break; a list of entries, each indented from its
    second line on, keeps one line an entry."""
    lines = paragraph.split("\n")
    entries = any(line.startswith("  ") for line in lines)
    told = lines[:1]
    for line in lines[1:]:
        if entries and not line.startswith(" "):
            told.append(line)
        else:
            told[-1] += " " + line.strip()
    return "\n".join(told)


def _speakers(family: type) -> list[type]:
    """The class, those it builds on, and those that their docstrings refer to, the nearest first."""
    from .. import models

    told = [one for one in family.__mro__ if one.__module__.startswith("pushforward.")]
    for one in list(told):
        for name in REFERS.findall(one.__dict__.get("__doc__") or ""):
            other = getattr(models, name, None)
            if inspect.isclass(other) and other not in told:
                told.append(other)
    return told


def _places(text: str, names: Sequence[str]) -> Iterator[re.Match[str]]:
    """Where the docstring begins to speak of settings: `name: ...` or `one, other: ...`, at the start of a sentence."""
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.finditer(rf"(?:^|(?<=[.;)]\s)|(?<=\n)|(?<=  )|(?<=or ))((?:{known})(?:, (?:{known}))*): ", text)


def _said(family: type, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(setting, what is said of it)."""
    text = inspect.cleandoc(family.__dict__.get("__doc__") or "")
    listed = [*names, *(one for one in inspect.signature(family).parameters if one not in names)]
    for paragraph in text.split("\n\n"):
        found = list(_places(paragraph, listed))
        for place, following in pairwise([*found, None]):
            assert place is not None
            said = paragraph[place.end() : following.start() if following else None]
            said = re.sub(r"(?:[;,] or|;)$", ".", " ".join(said.replace("`", "").split()))
            for name in place.group(1).split(", "):
                if name in names:
                    yield name, said
