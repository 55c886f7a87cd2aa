"""
Translation without pairs
=========================

A CycleGAN learns a map from domain A to domain B from rows of each, none of which correspond: critics ask that
translations look like the other domain, and the cycle :math:`F(G(a)) = a` that nothing is lost. That leaves many maps,
for B may be mapped onto itself. Here the data have a known best one, the map that moves rows least (Monge's), which is
the gradient of a convex function. The translators start at the best linear map and are gradients too.
"""

# %%
# A is a square. B is its image under a bent map T, of other rows, so that no row of A has its partner in B.
import altair as alt
import polars as pl
import torch

from pushforward import models
from pushforward.data.whitened import monge
from pushforward.report import FAKE, REAL, save_picture

STEPS = 500  # 3 in the tests
draw = torch.Generator().manual_seed(0)
turn = torch.linalg.qr(torch.randn(2, 2, generator=draw))[0]


def true(x: torch.Tensor) -> torch.Tensor:
    u = x @ turn
    return (0.3 * u + torch.tensor([2.0, 0.5]) * (2 * u).tanh()) @ turn.T + torch.tensor([6.0, 1.0])


a, other, unseen = (3**0.5 * (2 * torch.rand(n, 2, generator=draw) - 1) for n in (4000, 3000, 400))
b = true(other)
model = models.CycleGAN(steps=STEPS, seed=0).fit(a, to=b, progress=False)

# %%
# Of 400 unseen rows: where the best linear map of two moments has them, and where the translator that began there has.
straight = (unseen - a.mean(0)) @ monge(a.T.cov().double(), b.T.cov().double()).float() + b.mean(0)
found = {"best linear map": straight, "CycleGAN": model.translate(unseen)}
goal, spread = true(unseen), (b - b.mean(0)).square().sum(1).mean().sqrt()
back = model.translate(found["CycleGAN"], to="A")
print(f"there and back: off by {float((back - unseen).norm(dim=1).mean()):.3f}")


def panel(name: str, y_hat: torch.Tensor) -> alt.Chart:
    off = float((y_hat - goal).norm(dim=1).mean() / spread)
    rows = pl.DataFrame({"x": y_hat[:, 0], "y": y_hat[:, 1], "x2": goal[:, 0], "y2": goal[:, 1]})
    scale = {axis: alt.Scale(domain=[float(c) - 3.6, float(c) + 3.6]) for axis, c in zip("xy", b.mean(0), strict=True)}
    base = alt.Chart(rows).encode(alt.X("x", scale=scale["x"]), alt.Y("y", scale=scale["y"]))
    chart = base.mark_rule(color="#b9c0ca", clip=True).encode(x2="x2", y2="y2")
    chart += base.mark_circle(color=REAL, size=16, clip=True).encode(x="x2", y="y2")
    chart += base.mark_circle(color=FAKE, size=16, clip=True)
    head = alt.Title(f"{name}: off by {off:.2f} of the spread", fontSize=13, fontWeight="normal")
    return chart.properties(width=330, height=330, title=head)


title = alt.Title("The game finds what two moments do not say", subtitle="vermilion: translations, blue: the best map")
save_picture(alt.hconcat(*(panel(*one) for one in found.items())).properties(title=title), "16b_cyclegan.png")
