"""Diagnostics of a game, as data: figures for every record (`Monitor`), and sentences made of them (`alarms`).

monitor = Monitor(train, held, seed=0)
record |= monitor(step, generator, average, critic, objective)
for alarm in alarms(history): print(alarm)
"""

from .alarms import Alarm, alarms
from .duality import DualityGap, duality_gap
from .monitor import Monitor

__all__ = ["Alarm", "DualityGap", "Monitor", "alarms", "duality_gap"]
