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

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default and value != defaults[name].default
        )
        return f"{type(self).__name__}({', '.join(given)})"
