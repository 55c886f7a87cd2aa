"""
The optimal discriminator is a density ratio
============================================

Against a fixed generator the best discriminator is :math:`D^*(x) = p(x) / (p(x) + q(x))`, the sigmoid of the score
log p/q. There the value of the game, E log D(x) + E log(1 - D(y)), is V* = 2 JSD(P, Q) - log 4, and any other
discriminator reaches less. A small network that knows both only by samples comes near the curve and the value.
"""

# %%
# P is a mixture of two normal distributions and Q one broad one; both densities are known, so D* and V* are too: V* by
# the trapezium rule. The link ``gan`` reads a critic's score v as log p/q, with log sigma(v) and -log(1 - sigma(v)).
import altair as alt
import polars as pl
import torch
from torch.distributions import Normal

from pushforward.fitters import CriticFitter
from pushforward.links import LINKS
from pushforward.report import FAKE, REAL, SERIES, save_picture

ROWS = 20000  # 400 in the tests
STEPS = 1500  # 40 in the tests
at = torch.linspace(-4.5, 5.5, 401)
p = 0.4 * Normal(-1.5, 0.5).log_prob(at).exp() + 0.6 * Normal(1.0, 0.7).log_prob(at).exp()
q = Normal(0.5, 1.5).log_prob(at).exp()
exact = p / (p + q)
best = torch.trapezoid(p * exact.log() + q * (1 - exact).log(), at)

# %%
# The critic is trained on the value itself. Its witness at a point is phi = log D, from which D follows. The value is
# then estimated on new rows, as rows that it was trained on would flatter it.
rng = torch.Generator().manual_seed(0)


def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    left, noise = torch.rand(n, 1, generator=rng) < 0.4, torch.randn(2, n, 1, generator=rng)
    return torch.where(left, -1.5 + 0.5 * noise[0], 1.0 + 0.7 * noise[0]), 0.5 + 1.5 * noise[1]


witness = CriticFitter(link=LINKS["gan"], steps=STEPS)(*draw(ROWS), generator=rng)
learned = witness.phi(at[:, None]).exp()
value = float(witness.gap(*draw(10 * ROWS)))
print(f"2 JSD - log 4 = {best:.4f}, reached by the critic {value:.4f}, by D = 1/2 {-torch.tensor(4.0).log():.4f}")

# %%
# Where neither density leaves rows, in the far tails, the network had nothing to learn from.
curves = {"data p": p, "model q": q, "exact p/(p + q)": exact, "learned D": learned}
rows = pl.concat(pl.DataFrame({"x": at.numpy(), "y": c.numpy(), "curve": name}) for name, c in curves.items())
colour = alt.Color("curve", title=None, scale=alt.Scale(domain=list(curves), range=[REAL, FAKE, SERIES[6], SERIES[2]]))
dash = alt.StrokeDash("curve", title=None, scale=alt.Scale(domain=list(curves), range=[[1, 0], [1, 0], [1, 0], [5, 4]]))
base = alt.Chart(rows).mark_line().encode(x=alt.X("x", scale=alt.Scale(nice=False)), color=colour, strokeDash=dash)
upper = base.transform_filter(alt.FieldOneOfPredicate("curve", list(curves)[2:])).encode(
    y=alt.Y("y", title="discriminator D(x)", scale=alt.Scale(domain=[0, 1]))
)
lower = base.transform_filter(alt.FieldOneOfPredicate("curve", list(curves)[:2])).encode(y=alt.Y("y", title="density"))
title = alt.Title(
    "A discriminator learns p/(p + q) from samples alone",
    subtitle=f"value: 2 JSD - log 4 = {best:.3f} by quadrature, {value:.3f} reached on new rows, -1.386 by D = 1/2",
)
chart = alt.vconcat(upper.properties(width=560, height=220), lower.properties(width=560, height=130), title=title)
save_picture(chart, "07_optimal_discriminator.png")
