"""The JSON Schema of what `Comparison.to_json` writes, from the dataclasses themselves.

Keys may be added by later minor versions, so unknown ones are allowed everywhere; what is named here stays.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from .comparison import SCHEMA, Comparison

PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of `pushforward.compare/1`."""
    definitions: dict[str, Any] = {}
    whole = _object(Comparison, definitions)
    whole["properties"] = {"schema": {"const": SCHEMA}} | whole["properties"]
    whole["required"] = ["schema", "verdict", "metrics", "columns", "inputs", "made_by"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{SCHEMA}: the result of a comparison of two sets of samples",
        **whole,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a dataclass; those it is made of go into `definitions`."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    needed = [
        item.name
        for item in fields
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]
    return {
        "type": "object",
        "properties": {item.name: _type(hints[item.name], definitions) for item in fields},
        "required": needed,
    }


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in PLAIN:
        return dict(PLAIN[hint])
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is Mapping:
        return {"type": "object"}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_type(part, definitions) for part in arguments]}
    raise TypeError(f"no schema for {hint}")
