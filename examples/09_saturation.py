"""
Saturating and non-saturating gradients
=======================================

A generator sees the critic only through its score b = D(y) of a sample, where sigma(b) is the chance of being taken
for real. The minimax loss log(1 - sigma(b)) has slope -sigma(b), which vanishes where samples are obviously fake; the
non-saturating loss -log sigma(b) has slope -sigma(-b), which does not. The direction is the same, only the strength
differs: that decides how training starts.
"""

# %%
# The slopes, by automatic differentiation of the library's own losses.
import altair as alt
import polars as pl
import torch

import pushforward as pf
from pushforward.report import FAKE, REAL, save_picture

STEPS = 300  # 20 in the tests
ROWS, RATE = 4000, 0.1
LOSSES = {name: pf.objectives.objective(name).generator for name in ("minimax", "ns")}
b = torch.linspace(-8, 8, 161).requires_grad_()
slope = {name: torch.autograd.grad(loss(b, b).sum(), b)[0].abs() for name, loss in LOSSES.items()}
torch.testing.assert_close(slope, {"minimax": b.detach().sigmoid(), "ns": (-b.detach()).sigmoid()})

# %%
# The start of training: data N(4, 1) and the generator G(z) = z + theta, from theta = 0. Before every step the critic
# is made perfect, log p/q in closed form, so the critic is not to blame for what follows.
noise = torch.randn(ROWS, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
data, path = pf.closed_form.Gaussian.univariate(4.0, 1.0), []
for name, loss in LOSSES.items():
    theta = 0.0
    for step in range(STEPS + 1):
        path.append({"step": step, "theta": theta, "loss": name})
        critic = pf.closed_form.log_ratio(data, pf.closed_form.Gaussian.univariate(theta, 1.0))
        moved = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        score = critic(noise + moved)
        theta -= RATE * float(torch.autograd.grad(loss(score, score).mean(), moved)[0])
half = {name: min((r["step"] for r in path if r["loss"] == name and r["theta"] > 2), default=None) for name in LOSSES}
print("steps until theta is half of the way:", half)

# %%
# Both arrive; the saturating loss starts slowly for want of slope.
colour = alt.Color(
    "loss", legend=alt.Legend(title=None, labelExpr="datum.label == 'ns' ? 'non-saturating' : 'minimax'")
).scale(domain=["ns", "minimax"], range=[REAL, FAKE])
slopes = pl.concat(
    pl.DataFrame({"b": b.detach().numpy(), "slope": s.numpy(), "loss": name}) for name, s in slope.items()
)
left = alt.Chart(slopes, width=330, height=260, title="how strongly a sample is pulled").mark_line()
right = alt.Chart(pl.DataFrame(path), width=330, height=260, title="where the model's mean is").mark_line()
goal = alt.Chart(pl.DataFrame({"goal": [4.0]})).mark_rule(strokeDash=[4, 4], color="#4a4a4a").encode(y="goal")
left = left.encode(x=alt.X("b", title="score b = D(y): obviously fake to obviously real"), color=colour)
right = right.encode(x="step", y=alt.Y("theta", title="theta (dashed: the data's mean)"), color=colour)
both = left.encode(y=alt.Y("slope", title="|d loss / d b|")) | (right + goal)
title = "Where fakes are obvious the minimax loss has hardly any slope, and training starts slowly"
save_picture(both.properties(title=alt.Title(title)), "09_saturation.png")
