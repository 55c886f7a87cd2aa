"""Flow: move model rows towards the data along a velocity.

- `transport(x0, data, velocity)`: particles;
- `VELOCITIES`, `velocity_by_name`: score difference, critic, denoisers, MMD, drifting field, Wasserstein;
- `of_witness(fitter)`: a velocity of any fitter;
- `velocity(w, y)`: the velocity of one witness, grad psi;
- `widths(x)`: from coarse to fine, the widths at which rows are compared.
"""

from pushforward.flow.networks import CriticField, DenoiserField
from pushforward.flow.particles import Transported, transport
from pushforward.flow.velocities import (
    VELOCITIES,
    DriftField,
    Learner,
    MMDField,
    ScoreDifferenceField,
    Velocity,
    VelocityRow,
    WassersteinField,
    WitnessField,
    of_witness,
    velocity_by_name,
)
from pushforward.flow.widths import Widths, widths
from pushforward.readings.flow import velocity

__all__ = [
    "VELOCITIES",
    "CriticField",
    "DenoiserField",
    "DriftField",
    "Learner",
    "MMDField",
    "ScoreDifferenceField",
    "Transported",
    "Velocity",
    "VelocityRow",
    "WassersteinField",
    "Widths",
    "WitnessField",
    "of_witness",
    "transport",
    "velocity",
    "velocity_by_name",
    "widths",
]
