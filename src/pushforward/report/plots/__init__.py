"""Charts of results, runs, models and data: `plot(thing)`, which `result.plot()` looks up.

    plot(two_sample(x, y))                                # the null sample and the statistic in it
    plot(compare(real, fake), "columns")                  # the ranked columns
    plot({"GAN": distance(x, y, "mmd"), "VAE": ...})      # estimates below one another
    save_picture(plot(model), "training.png")

Every chart's title is a sentence that states the result. A chart is Altair's: it can be layered, resized, saved by
`report.save_picture`, and shows itself in a notebook. Altair refuses to layer or concatenate charts that carry a look
of their own; `look=False` leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ...errors import InputError
from ..kinds import found

_PLOTS = {  # class -> its file here, and the function in it
    "pushforward.twosample.result.TestResult": "results.of_test",
    "pushforward.witness.Estimate": "results.of_estimate",
    "pushforward.evaluation.comparison.Comparison": "comparisons.of_comparison",
    "pushforward.evaluation.leaderboard.Leaderboard": "boards.of_leaderboard",
    "pushforward.evaluation.contest.Contest": "boards.of_contest",
    "pushforward.objectives.several.front.Front": "fronts.of_front",
    "pushforward.models.several.TradeOff": "fronts.of_trade_off",
    "pushforward.flow.particles.Transported": "data.of_transported",
    "pushforward.models.choosing.auto.Auto": "runs.of_choice",
    "pushforward.models.base.Estimator": "runs.of_model",
    "pushforward.training.history.History": "runs.of_history",
    "pushforward.data.dataset.Dataset": "data.of_dataset",
}

__all__ = ["plot"]


def plot(thing: Any, what: str | None = None, *, look: bool = True, **options: Any) -> Any:
    """`thing` as an Altair chart.

    thing: a `TestResult`, an `Estimate` or estimates by name, a `Comparison`, `Leaderboard` or `Contest`, a `Front` or
        `TradeOff`, a fitted model or the records of its history, a `Transported`, or a `Dataset`.
    what: which chart of several: of a test "null" or "parts"; of a comparison "figures", "columns", "roc", "scores",
        "scatter" or the name of a column; of moved rows "rows" or "speed".
    look: whether it carries the colours and sizes of this library; without, charts can be put together.
    options: `width` and `height` in pixels, and those of the function that draws (`alpha`, `most`, `names`, ...).

    Raises `InputError` for a thing or a chart that there is not.
    """
    draw = getattr(import_module(f".{where[0]}", __name__), where[1]) if (where := _home(thing)) else None
    if draw is None:
        raise InputError(f"{type(thing).__name__} has no chart; results, fitted models, histories and data have")
    try:
        chart = draw(thing, **({} if what is None else {"what": what}), **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise InputError(f"{type(thing).__name__}: {str(error).partition(') ')[2] or error}") from None
    if not look:
        return chart
    from ..standing import LOOK

    return chart.configure(**LOOK)


def _home(thing: Any) -> list[str] | None:
    where = found(_PLOTS, thing)
    if where is None and isinstance(thing, Mapping) and thing and all(_estimate(one) for one in thing.values()):
        where = "results.of_estimates"
    if where is None and isinstance(thing, Sequence) and thing and all(isinstance(one, Mapping) for one in thing):
        where = "runs.of_history"
    return None if where is None else where.split(".")


def _estimate(one: Any) -> bool:
    return all(hasattr(one, name) for name in ("value", "low", "high"))
