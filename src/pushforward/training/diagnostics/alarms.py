"""Alarms: what the records of a run say has gone wrong, each a sentence with a remedy.

`alarms` reads the records alone, in order, and raises each alarm at the first record where what is known so far
supports it: an alarm of the first half of a history is an alarm of the whole, whose sentence may add that it passed.
Each has a null under which it is false, with a probability of at most about `LEVEL` in a whole run:

collapse      clusters were missing throughout the window, and at its end still more than half as many as at its start;
              false if every cluster gets at least half of its share
hopping       clusters were lost in several records of the window; false in the same case
oscillation   a loss has a peak in its spectrum, in the second half of the run so far; false if it is red noise
overfitting   the critic scores training rows above held-out ones, twice running; false if it cannot tell them apart
saturation    nine tenths of the generator's gradient were lost throughout the window (a definition, not a test)

The window is the second half of the steps so far (for a collapse, the last third), with at least `LEAST` records: what
a run does while it begins is not held against it. Looking again and again is paid for: at the r-th record overfitting
spends LEVEL / (r (r + 1)), and oscillation, looked for whenever the records have doubled, half of what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, final

from . import collapse, oscillation

LEVEL = 0.01  # of each alarm, over a run
LEAST = 8  # records in a window
GONE = 0.9  # of the generator's gradient
HOPS = 3  # records at least in which clusters are lost
LOSSES = ("critic_loss", "generator_loss")

Record = Mapping[str, Any]
History = Sequence[Record]


@final
@dataclass(frozen=True)
class Alarm:
    """What went wrong, at the `step` where the records first showed it, and what to try."""

    name: str
    step: int
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence}; {self.remedy}"


def alarms(history: History) -> list[Alarm]:
    """All alarms of a run's records (those of `Monitor` with `step` and the losses), in order of their steps.

    Records without a figure are passed over by the detectors that need it.
    """
    found = [detect(history) for detect in DETECTORS]
    return sorted((alarm for alarm in found if alarm is not None), key=lambda alarm: alarm.step)


def _with(history: History, *names: str) -> list[Record]:
    return [r for r in history if all(isinstance(r.get(name), int | float) for name in ("step", *names))]


def _windows(records: list[Record], after: float = 1 / 2) -> Sequence[list[Record]]:
    """For each record, those after this share of the steps up to it, where there are `LEAST`."""
    found = []
    first = 0
    for last, record in enumerate(records):
        while records[first]["step"] <= after * record["step"] and first < last:
            first += 1
        if last - first + 1 >= LEAST:
            found.append(records[first : last + 1])
    return found


def _mean(records: Sequence[Record], name: str) -> float:
    return sum(float(r[name]) for r in records) / len(records)


def _gaining(window: list[Record], name: str) -> bool:
    """Whether `name` halved over the window, from its first third to its last: at that pace it will soon be gone."""
    third = len(window) // 3
    return _mean(window[-third:], name) <= _mean(window[:third], name) / 2


def _at(record: Record) -> str:
    return f"(step {record['step']:,})"


def _collapse(history: History) -> Alarm | None:
    records = _with(history, "modes", "modes_missing", "modes_missing_share", "modes_effective", "modes_effective_data")
    for window in _windows(records, 2 / 3):
        if min(r["modes_missing"] for r in window) > 0 and not _gaining(window, "modes_missing"):
            now = window[-1]
            sentence = (
                f"the samples hardly reach {now['modes_missing']:.0f} of {now['modes']:.0f} clusters of the data, "
                f"which hold {now['modes_missing_share']:.0%} of it, and have gained little on them since step "
                f"{window[0]['step']:,}: they are worth {now['modes_effective']:.1f} clusters, the data "
                f"{now['modes_effective_data']:.1f} {_at(now)}"
            )
            if not any(r["modes_missing"] for r in records[-LEAST:]):
                sentence += f", though later they reach all {_at(records[-1])}"
            remedy = (
                "take the objective rpgan with the regulariser r1+r2, raise gamma, show the critic several samples at "
                "a time (packing), or train longer"
            )
            return Alarm("collapse", now["step"], sentence, remedy)
    return None


def _hopping(history: History) -> Alarm | None:
    from scipy.stats import binom

    records = _with(history, "modes_lost", "hopping_share")
    for window in _windows(records):
        lost = [r for r in window if r["modes_lost"] > 0]
        by_chance = float(binom.sf(len(lost) - 1, len(window), collapse.LEVEL))
        if len(lost) >= HOPS and by_chance <= LEVEL / (len(window) * (len(window) + 1)):
            now = window[-1]
            total = sum(r["modes_lost"] for r in lost)
            sentence = (
                f"the generator hops between modes: since step {window[0]['step']:,} it has given up clusters that it "
                f"held {total:.0f} times, and from one record to the next {_mean(window, 'hopping_share'):.0%} of the "
                f"same noise goes to another cluster {_at(now)}"
            )
            late = [r for r in records if 2 * r["step"] > records[-1]["step"]]
            if len(late) >= LEAST and not any(r["modes_lost"] for r in late):
                sentence += f", though no longer after step {late[0]['step']:,}"
            remedy = "lower the generator's learning rate, raise gamma (regulariser r1+r2), or take the objective rpgan"
            return Alarm("hopping", now["step"], sentence, remedy)
    return None


def _oscillation(history: History) -> Alarm | None:
    records = _with(history, *LOSSES)
    length, level = 2 * oscillation.SHORTEST, LEVEL / 2
    while length <= len(records):
        window = records[length // 2 : length]
        for name in LOSSES:
            peak = oscillation.peak([float(r[name]) for r in window])
            if peak.pvalue <= level / len(LOSSES):
                now, steps = window[-1], window[-1]["step"] - window[0]["step"]
                sentence = (
                    f"the {name.replace('_', ' ')} goes round in circles of about "
                    f"{peak.period * steps / (len(window) - 1):,.0f} steps: its spectrum has a peak {peak.ratio:.0f} "
                    f"times what red noise has there (p = {peak.pvalue:.2g}) {_at(now)}"
                )
                apart = [r for r in _with(history, "ema_distance") if r["step"] <= now["step"]]
                if apart:
                    sentence += (
                        f", and the generator's samples are {apart[-1]['ema_distance']:.2f} deviations of the data "
                        "from those of its average"
                    )
                remedy = (
                    "sample from the averaged weights, lower the learning rate, raise gamma, or take an optimiser for "
                    "saddle points (optimistic or extragradient)"
                )
                return Alarm("oscillation", now["step"], sentence, remedy)
        length, level = 2 * length, level / 2
    return None


def _overfitting(history: History) -> Alarm | None:
    records = _with(history, "holdout_z", "holdout_auc", "critic_auc_train", "critic_auc_held")
    for r, (before, now) in enumerate(pairwise(records), 1):
        if min(before["holdout_z"], now["holdout_z"]) > -NormalDist().inv_cdf(LEVEL / (r * (r + 1))):
            sentence = (
                f"the critic has stopped seeing held-out data as it sees the rows it was trained on: against samples "
                f"its AUC is {now['critic_auc_train']:.2f} on training rows and {now['critic_auc_held']:.2f} on rows "
                f"it never saw, and it puts a training row above one of these with probability "
                f"{now['holdout_auc']:.2f} {_at(now)}"
            )
            remedy = "lower the critic's capacity, raise gamma, augment what it sees, or stop here"
            return Alarm("overfitting", now["step"], sentence, remedy)
    return None


def _saturation(history: History) -> Alarm | None:
    for window in _windows(_with(history, "saturation", "critic_auc_train")):
        if min(r["saturation"] for r in window) >= GONE:
            now = window[-1]
            sentence = (
                f"the generator hardly gets a gradient: {now['saturation']:.1%} of it is lost where its samples are, "
                f"since step {window[0]['step']:,}, for the critic tells them from data too well (AUC "
                f"{now['critic_auc_train']:.2f}) {_at(now)}"
            )
            remedy = "take an objective that does not saturate (ns, rpgan), train the critic less, or raise gamma"
            return Alarm("saturation", now["step"], sentence, remedy)
    return None


DETECTORS: tuple[Callable[[History], Alarm | None], ...] = (
    _collapse,
    _hopping,
    _oscillation,
    _overfitting,
    _saturation,
)
