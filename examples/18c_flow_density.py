"""
A flow's density is exact
=========================

A normalising flow maps rows to noise by an invertible network, z = f(x) with z ~ N(0, I). Its density is no bound and
no estimate: :math:`\\ln q(x) = \\ln N(f(x); 0, I) + \\ln |\\det df/dx|`. So q integrates to one whatever the network
has learned, maximum likelihood descends KL(p || q) itself, and where p is known the KL is a mean over rows,
:math:`E_p[\\ln p - \\ln q]`. What a flow cannot do is cut: f is continuous, so threads join what the data keep apart.
"""

# %%
# Two moons, whose density is known, and a flow of splines.
import altair as alt
import numpy as np
import polars as pl
import torch

import pushforward as pf
from pushforward.data.toys import toy
from pushforward.report import FAKE, REAL, save_picture

STEPS = 800  # 4 in the tests
moons = toy("moons")
rows, fresh = (moons.sample(n, torch.Generator().manual_seed(n)) for n in (20_000, 10_000))
model = pf.models.Flow(steps=STEPS, batch_size=256, learning_rate=0.002).fit(rows, progress=False)
off = moons.log_prob(fresh) - model.log_prob(fresh)
kl, error = off.mean().item(), off.std().item() / len(off) ** 0.5

# %%
# Both densities in the middles of small squares, over which q is summed as well.
STEP = 0.05
places = np.meshgrid(np.arange(-1.5, 2.49, STEP) + STEP / 2, np.arange(-1.1, 1.59, STEP) + STEP / 2)
x, y = (one.ravel() for one in places)
at = torch.from_numpy(np.stack([x, y], 1))
p, q = moons.log_prob(at), model.log_prob(at)
mass = q.exp().sum().item() * STEP**2
print(
    f"q sums to {mass:.4f} over the window, p to {p.exp().sum().item() * STEP**2:.4f}; KL {kl:.4f} +- {error:.4f} nats"
)


def field(values: torch.Tensor, name: str, ends: list[float], colour: str) -> alt.Chart:
    cells = pl.DataFrame({"x": x - STEP / 2, "x2": x + STEP / 2, "y": y - STEP / 2, "y2": y + STEP / 2})
    shade = alt.Scale(domain=ends, range=["white", colour], interpolate="rgb", clamp=True)
    across = alt.X("x", scale=alt.Scale(domain=[-1.5, 2.5]), axis=alt.Axis(grid=False, tickCount=5))
    up = alt.Y("y", scale=alt.Scale(domain=[-1.1, 1.6]), axis=alt.Axis(grid=False, tickCount=5))
    chart = alt.Chart(cells.with_columns(value=values.numpy())).mark_rect().properties(width=320, height=216)
    return chart.encode(across, up, x2="x2", y2="y2", color=alt.Color("value", scale=shade, title=name))


rows = [
    alt.hconcat(*(field(of, name, ends, colour) for of, name, colour in columns)).resolve_scale(color="independent")
    for ends, columns in (
        ([0, 0.65], ((p.exp(), "density p", REAL), (q.exp(), "density q", FAKE))),
        ([-12, 0], ((p, "ln p", REAL), (q, "ln q", FAKE))),
    )
]
title = alt.Title("A flow tells its density exactly, and so how far it is from the truth")
title.subtitle = (
    f"left p, the moons; right q, the flow; KL(p || q) = {kl:.3f} ± {error:.3f} nats; ln q shows the threads"
)
save_picture(alt.vconcat(*rows, title=title).resolve_scale(color="independent"), "18c_flow_density.png")
