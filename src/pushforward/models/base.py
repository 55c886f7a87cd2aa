"""What every estimator has: scikit-learn's conventions, without importing scikit-learn.

Constructor arguments are stored unchanged under their own names; `get_params`, `set_params` and `sklearn.clone` work
from the constructor's signature; what is learned ends in `_`.
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from ..errors import InputError

Self = TypeVar("Self", bound="Estimator")


class Estimator:
    """Mixed into every model; a model's `__init__` does nothing but store its arguments."""

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        return tuple(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name (`deep` is scikit-learn's, and makes no difference here)."""
        return {name: getattr(self, name) for name in self.parameter_names()}

    def set_params(self: Self, **parameters: Any) -> Self:
        """Set constructor arguments by name; an unknown name raises `InputError`."""
        known = self.parameter_names()
        for name, value in parameters.items():
            if name not in known:
                raise InputError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def changed_params(self) -> dict[str, Any]:
        """The parameters that differ from their defaults, by name."""
        defaults = inspect.signature(type(self)).parameters
        return {name: value for name, value in self.get_params().items() if _differs(value, defaults[name].default)}

    def __repr__(self) -> str:
        """The call that makes it, with what differs from the defaults; long values are cut."""
        given = (f"{name}={brief(value)}" for name, value in self.changed_params().items())
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: what it is, its settings and, once fitted, how that went."""
        from ..report import card

        return card(self)

    def plot_history(self, **options: Any) -> Any:
        """The figures of training over its steps, as an Altair chart: see `report.plot`. `InputError` for a model that
        is not fitted, or was not fitted by steps."""
        from ..report import plot

        return plot(self, **options)


def _differs(value: Any, default: Any) -> bool:
    """Whether `value` is another than `default`; arrays, which do not compare as a whole, are."""
    if value is default:
        return False
    try:
        return bool(value != default)
    except (TypeError, ValueError, RuntimeError):
        return True


def brief(value: Any, most: int = 100) -> str:
    """`repr(value)` on one line of at most `most` characters; of a network only its class."""
    if hasattr(value, "parameters") and hasattr(value, "state_dict"):
        return f"{type(value).__name__}(...)"
    if isinstance(value, tuple | list) and len(value) < 8 and any(hasattr(one, "state_dict") for one in value):
        return f"({', '.join(brief(one, most) for one in value)})"
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
