"""
Mode collapse and hopping, and five remedies side by side
=========================================================

Sixteen equal modes, sd 0.1, on a square. Against a plain critic the generator gives modes up, takes others, and reaches
only some. Five others with the same networks, steps and rates, none tuned: here gradient penalties help, the rest
not. A mode is reached when 2 % of the samples lie within 3 sd of it. Takes a minute.
"""

# %%
# The generator itself is watched, not its average, on 640 points of noise that stay the same.
import altair as alt
import numpy as np
import polars as pl
import torch

from pushforward.data.toys import toy
from pushforward.models import GAN
from pushforward.report import FAKE, REAL, save_picture
from pushforward.training.progress import Event

STEPS = 800  # 8 in the tests
FRAMES = 40  # 2 in the tests
GAMES = {
    "plain": ("ns", "none"),
    "packing, 4 rows": ("ns", "pack:4"),
    "minibatch deviation": ("ns", "minibatch-std"),
    "R1 + R2": ("ns", "r1+r2"),
    "pairing, R1 + R2": ("rpgan", "r1+r2"),
    "no critic: energy": ("energy", None),
}
SMALL = {"batch_size": 128, "width": 64, "depth": 1, "learning_rate": 2e-3, "seed": 0}
square = toy("square")
x = square.sample(5000, torch.Generator().manual_seed(0))
seen = {name: {} for name in GAMES}
for name, (objective, words) in GAMES.items():

    def watch(event: Event, drawn=seen[name]) -> None:
        if event.kind == "log":
            drawn[event.step] = event.sample(640, averaged=False).numpy()

    GAN(objective, regularise=words, steps=STEPS, **SMALL).fit(x, progress=watch)

# %%
scale = alt.Scale(domain=[-4, 4])
axes = {"x": alt.X("x:Q", scale=scale, axis=None), "y": alt.Y("y:Q", scale=scale, axis=None)}
rings = alt.Chart(pl.DataFrame(square.modes.numpy(), schema=["x", "y"])).mark_point(size=110, filled=False, color=REAL)


def panel(name: str, step: int) -> alt.LayerChart:
    fake = seen[name][step]
    near = np.linalg.norm(fake[:, None] - square.modes.numpy(), axis=2) < 3 * square.sigma
    dots = alt.Chart(pl.DataFrame(fake, schema=["x", "y"])).mark_circle(size=9, color=FAKE, clip=True)
    title = alt.Title(f"{name}: {(near.mean(0) >= 0.02).sum()} of 16", fontSize=13)
    return alt.layer(rings, dots, title=title).encode(**axes).properties(width=230, height=230)


logged, frames = sorted(seen["plain"]), []
for step in sorted({logged[round((len(logged) - 1) * (k / FRAMES) ** 1.5)] for k in range(FRAMES + 1)}):
    title = alt.Title(f"Modes reached at step {step}", subtitle="circles: the data's modes; dots: samples")
    frames.append(alt.concat(*(panel(name, step) for name in GAMES), columns=3, title=title))
save_picture(frames, "12_mode_collapse.gif", scale=1, seconds=8)
