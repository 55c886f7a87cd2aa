"""
The convex conjugate, and the bound that a critic climbs
========================================================

An f-divergence is :math:`D_f = E_Q f(p/q)` with f convex and f(1) = 0. A convex f is the highest of its lines
t u - f*(t), where :math:`f^*(t) = \\sup_u tu - f(u)` is its conjugate. So every T bounds the divergence from below,
:math:`D_f \\ge E_P T - E_Q f^*(T)`, by samples alone (Nguyen, Wainwright, Jordan 2010), with equality at T = f'(p/q):
the richer the critics, the nearer the best of them comes.
"""

# %%
# A link of the library holds both parts as functions of v = ln u: slope t = phi(v) and f*(t) = psi(v).
import altair as alt
import polars as pl
import torch

from pushforward import fitters, links, readings
from pushforward.report import SERIES, save_picture

STEPS = 1000  # 5 in the tests
ROWS = 4000  # 200 in the tests
WIDTHS = [1, 2, 4, 8, 16]  # [1, 2] in the tests
kl, names = links.link("kl"), ["kl", "reverse-kl", "js", "hellinger", "tv"]
u = torch.linspace(0.02, 3, 150, dtype=torch.float64)
x, y = alt.X("u", title="ratio u = p/q"), alt.Y("value", title="f(u) = u ln u", scale=alt.Scale(domain=[-1, 3.5]))
first = alt.layer(title="Supporting lines t u − f*(t)", width=230, height=230)
for v in torch.tensor([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5]).double().log():
    line = alt.Chart(pl.DataFrame({"u": u, "value": kl.phi(v) * u - kl.psi(v)})).encode(x=x, y=y)
    first += line.mark_line(clip=True, color="#9aa3af", strokeWidth=1.2)
first += alt.Chart(pl.DataFrame({"u": u, "value": kl.f(u)})).mark_line(color="black", strokeWidth=3).encode(x=x, y=y)

# %%
# Adding c (u - 1) to f changes no divergence: with c = -f'(1) each f is at least 0, and 0 at u = 1 only.
zero, lifted = torch.zeros(1, dtype=torch.float64), []
for link in map(links.link, names):
    lifted.append(pl.DataFrame({"u": u, "value": link.f(u) - link.phi(zero) * (u - 1), "of": [link.name] * len(u)}))
colour = alt.Color("of", title=None, sort=names, scale=alt.Scale(domain=names, range=SERIES))
y = alt.Y("value", title="f(u) − f'(1)(u − 1)", scale=alt.Scale(domain=[0, 1.5]))
second = alt.Chart(pl.concat(lifted), title="One family of divergences", width=230, height=230)
second = second.mark_line(clip=True).encode(x=x, y=y, color=colour)

# %%
# P has two modes, Q = N(0, 4). Critics of growing width learn from samples; the bound is taken on fresh ones.
normal, at, found = torch.distributions.Normal, torch.linspace(-12, 12, 24001, dtype=torch.float64), []
q = normal(0.0, 2.0).log_prob(at).exp()
ratio = (normal(-1.5, 0.4).log_prob(at).exp() + normal(1.5, 0.4).log_prob(at).exp()) / (2 * q)
noise = torch.randn(2, 20 * ROWS, 1, generator=torch.Generator().manual_seed(0))
data, model = 0.4 * noise[0] + 1.5 - 3.0 * (torch.arange(20 * ROWS)[:, None] % 2), 2 * noise[1]
for link in map(links.link, ["kl", "js", "hellinger"]):
    truth = torch.trapezoid(q * link.f(ratio), at).item()
    for width in WIDTHS:
        fit = fitters.CriticFitter(link, width=width, steps=STEPS)
        witness = fit(data[:ROWS], model[:ROWS], generator=torch.Generator().manual_seed(1))
        share = readings.estimate(witness, data[ROWS:], model[ROWS:]).value / truth
        found.append({"width": width, "share": share, "of": link.name})
x = alt.X("width", title="units in a layer").scale(type="log", nice=False).axis(values=WIDTHS)
y = alt.Y("share", title="bound, of the divergence", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[-0.05, 1.05]))
third = alt.Chart(pl.DataFrame(found), title="The bound by larger critics", width=230, height=230)
third = third.mark_line(point=True).encode(x=x, y=y, color=colour)
title = "Lines below f become a bound below D; larger critics come near to D"
save_picture(alt.hconcat(first, second, third, title=title), "06_convex_conjugate.png")
