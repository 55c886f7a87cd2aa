"""The published schema is that of the code, and results obey it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pushforward.evaluation import compare
from pushforward.evaluation.schema import json_schema

PUBLISHED = Path(__file__).parents[1] / "docs" / "schema" / "compare-1.json"


def test_the_published_schema_is_the_current_one() -> None:
    """Where this fails after a field was added: `make schema`."""
    assert json.loads(PUBLISHED.read_text()) == json_schema()


def test_results_obey_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    rng = np.random.default_rng(0)
    earlier = compare(rng.normal(size=(80, 2)), rng.normal(size=(80, 2)))
    result = compare(
        rng.normal(size=(80, 2)),
        rng.normal(size=(80, 2)),
        train=rng.normal(size=(90, 2)),
        methods=["mmd"],
        against=earlier,
    )
    check = jsonschema.Draft202012Validator(json_schema())
    found = json.loads(result.to_json())
    check.validate(found)
    assert not check.is_valid({**found, "verdict": {**found["verdict"], "auc": "high"}})
    assert not check.is_valid({name: part for name, part in found.items() if name != "metrics"})
