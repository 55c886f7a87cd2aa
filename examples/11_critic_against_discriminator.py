"""
A discriminator saturates, a critic of bounded slope does not
=============================================================

Put data and model far apart. The best discriminator :math:`p/(p + q)` is a cliff: flat at 0 wherever there is a sample
of the model, so nothing says which way to go, and 2 JSD stays near its bound, 2 log 2, however far apart they are. The
best 1-Lipschitz critic climbs at slope 1 from model to data, and its gap is :math:`W_1 = |m_0 - m_1|` itself.
"""

# %%
# Data N(4, 1), model N(-4, 1). Two networks of one size learn from the same samples: by the bound of the Jensen-Shannon
# divergence, and by that of W1 with a penalty on the slope.
import altair as alt
import polars as pl
import torch

import pushforward as pf
from pushforward.fitters import CriticFitter, LipschitzCriticFitter
from pushforward.links import LINKS
from pushforward.report import FAKE, REAL, SERIES, save_picture

ROWS = 4000  # 200 in the tests
STEPS = 800  # 30 in the tests
draw = torch.Generator().manual_seed(0)
p, q = (pf.closed_form.Gaussian(torch.tensor([m]), torch.eye(1)) for m in (4.0, -4.0))
x, y = p.sample(ROWS, generator=draw), q.sample(ROWS, generator=draw)
sharp = CriticFitter(link=LINKS["gan"], steps=STEPS)(x, y, generator=draw)
gentle = LipschitzCriticFitter(steps=STEPS)(x, y, generator=draw)

# %%
# What each says of new rows, beside the closed forms between the two normal distributions.
x, y = p.sample(ROWS, generator=draw), q.sample(ROWS, generator=draw)
jsd, w1 = sharp.gap(x, y) + torch.tensor(4.0).log(), gentle.gap(x, y)
exact = pf.closed_form.wasserstein1(p, q)
y.requires_grad_()
for name, reading in {"discriminator": sharp.phi(y).exp(), "critic": gentle.phi(y)}.items():
    print(f"median slope of the {name} at the model's samples: {torch.autograd.grad(reading.sum(), y)[0].median():.1g}")

# %%
# The discriminator sorts the two sets perfectly and teaches nothing; the critic says where to go, everywhere.
at = torch.linspace(-8, 8, 321)[:, None]
base = {"x": at[:, 0].numpy()}
density = pl.concat(
    pl.DataFrame({**base, "y": g.log_prob(at).exp().numpy(), "curve": name})
    for name, g in {"data": p, "model": q}.items()
)
axis = alt.X("x", scale=alt.Scale(domain=[-8, 8]))
colour = alt.Color("curve", title=None, scale=alt.Scale(range=[REAL, FAKE]), legend=alt.Legend(orient="top-right"))
clouds = alt.Chart(density, width=560, height=110).mark_area(opacity=0.6)
clouds = clouds.encode(axis, alt.Y("y", title="density"), colour)
discriminator = pl.DataFrame({**base, "y": sharp.phi(at).exp().numpy()})
critic = pl.DataFrame({**base, "y": (gentle.phi(at) - gentle.phi(torch.zeros(1, 1))).numpy()})
readings = (discriminator, "discriminator D(x)", SERIES[6]), (critic, "critic f(x) - f(0)", SERIES[2])
lines = [
    alt.Chart(rows, width=560, height=150).mark_line(color=tint).encode(axis, alt.Y("y", title=name))
    for rows, name, tint in readings
]
title = alt.Title(
    "The discriminator is flat where the samples are; the Lipschitz critic is not",
    subtitle=f"2 JSD = {jsd:.3f} (its bound: 2 log 2 = 1.386); W1 = {w1:.2f} by the critic, {exact:.0f} exactly",
)
save_picture(alt.vconcat(clouds, *lines, title=title), "11_critic_against_discriminator.png")
