"""`pushforward models NAME`: every setting has a default and a sentence."""

import inspect
import json

import pytest

from pushforward.cli import main
from pushforward.cli.settings import lead, meanings
from pushforward.models import NAMES, by_name


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name: str) -> None:
    family = by_name(name)
    found = meanings(family)
    assert list(found) == list(inspect.signature(family).parameters)
    for setting, said in found.items():
        assert len(said) > 8, f"{setting} of {name}: {said!r}"
        assert said.count("(") == said.count(")")
    assert len(lead(family)) > 20


def test_what_other_classes_say_of_a_setting_is_found() -> None:
    found = meanings(by_name("flow-matching"))
    assert "ODE" in found["sampling_steps"]  # its own
    assert "kept back" in found["validation"]  # Neural's
    assert "auditor" in found["until"]  # GAN's


def test_settings_are_listed_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gan"]) == 0
    shown = capsys.readouterr().out
    assert "see Neural" not in shown
    line = next(line for line in shown.splitlines() if line.startswith("n_critic"))
    assert line.split()[1] == "1"
    assert "critic steps" in line
    assert not any(line.endswith(" ") for line in shown.splitlines())  # piped: no padding
    assert main(["models", "gan", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["meanings"]["n_critic"].startswith("critic steps")
    assert told["settings"]["n_critic"] == 1
    assert main(["models", "var"]) == 2
    assert "known:" in capsys.readouterr().err
