"""
Particles that follow the score difference
==========================================

The gradient of a GAN's loss at a sample says where that sample should rather have been. For an optimal critic that is
up the score difference :math:`\\nabla \\ln p - \\nabla \\ln q`: towards the data, and away from where samples crowd. No
generator is needed to follow it. Here 400 particles do, both scores estimated by kernel sums whose width falls from the
whole cloud's to the finest. The others follow the drifting field, which pulls to data near by and pushes from particles
near by. A generator would next be regressed onto where its samples went: that is the other half of a GAN's step.
"""

# %%
# ``transport`` moves both clouds from the same blob to eight normals on a ring, and keeps snapshots of the way.
import altair as alt
import numpy as np
import polars as pl
import torch

from pushforward import distance, flow
from pushforward.report import FAKE, REAL, save_picture

STEPS = 150  # 6 in the tests
FRAMES = 32  # 4 in the tests
draw = torch.Generator().manual_seed(0)
angle = 2 * np.pi * torch.randint(8, (2000,), generator=draw) / 8
data = torch.stack([angle.cos(), angle.sin()], 1) + 0.07 * torch.randn(2000, 2, generator=draw)
start = 0.15 * torch.randn(400, 2, generator=draw) + torch.tensor([0.2, 0.1])
paths = {}
for field, name in {"score-difference": "score difference", "drift": "drifting field"}.items():
    paths[name] = flow.transport(start, data, field, steps=STEPS, rate=0.2, keep=FRAMES).path
    print(name, "energy distance from the data:", distance(data, paths[name][-1], "energy"))

# %%
# A frame: the data (blue), the particles (vermilion), and the whole way of forty of them so far.
axes = {axis: alt.Scale(domain=[-1.6, 1.6]) for axis in "xy"}
x, y = (alt.X("x", scale=axes["x"]), alt.Y("y", scale=axes["y"]))


def rows(points: torch.Tensor, **more) -> alt.Chart:
    return alt.Chart(pl.DataFrame({"x": points[:, 0], "y": points[:, 1], **more})).encode(x, y)


def panel(name: str, frame: int) -> alt.Chart:
    path = paths[name][: frame + 1]
    ways = path[:, :40].transpose(0, 1).reshape(-1, 2)
    which, time = np.repeat(np.arange(40), len(path)), np.tile(np.arange(len(path)), 40)
    lines = rows(ways, way=which, time=time).mark_line(color=FAKE, strokeWidth=0.8, opacity=0.45, clip=True)
    chart = rows(data[:400]).mark_circle(color=REAL, size=10, opacity=0.35, clip=True)
    chart += lines.encode(detail="way", order="time") + rows(path[-1]).mark_circle(color=FAKE, size=14, clip=True)
    return chart.properties(width=300, height=300, title=alt.Title(name, fontSize=13, fontWeight="normal"))


title = "Particles find all eight modes without a generator"
frames = [alt.hconcat(*(panel(name, k) for name in paths)).properties(title=title) for k in range(FRAMES)]
save_picture(frames, "14_particles.gif", scale=1, seconds=5)
