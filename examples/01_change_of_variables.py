"""
Change of variables: one sampler makes another
==============================================

Draw z from a simple law and return x = T(z): x has the pushforward law of T. Equal shares of z become equal shares of
x, thin where T spreads them and dense where it presses them together. For an invertible T the density is
:math:`p(x) = p_z(T^{-1}(x)) |dT^{-1}(x)/dx|`. With z uniform and T the inverse of a distribution function F, x has the
law F (inverse transform sampling): every law on the line can be drawn from in this way.
"""

# %%
# Three maps: an affine one of a normal z, the inverse of F(x) = 1 - exp(-x) of a uniform u, and a sigmoid, which makes
# two modes of the one mode of a normal z.
import altair as alt
import numpy as np
import polars as pl
from scipy.stats import norm
from torch.distributions.transforms import AffineTransform, SigmoidTransform

from pushforward import models
from pushforward.report import FAKE, REAL, save_picture

N = 20_000  # 500 in the tests
LEVELS = np.arange(1, 20) / 20  # cut the source into twenty equal shares

affine = models.Pushforward(AffineTransform(2.0, 0.7), d=1)
inverse = models.InverseTransform(lambda u: -np.log1p(-u), cdf=lambda x: 1 - np.exp(-x))
sigmoid = models.Pushforward([AffineTransform(0.0, 2.0), SigmoidTransform()], d=1)


# %%
# Above, the map with x along the horizontal axis: every grey line carries a twentieth of the source to x. Below, draws
# and the density by the formula, which has seen none of them.
def panel(law, title: str, source: str, z: np.ndarray, high: float, low: float = 0.0) -> alt.Chart:
    cuts = norm.ppf(LEVELS) if source == "z" else LEVELS
    x_axis = alt.X("x:Q", title="x", scale=alt.Scale(domain=[low, high], nice=False))
    y_axis = alt.Y("z:Q", title=source, scale=alt.Scale(domain=[z[0], z[-1]], nice=False))
    moved = pl.DataFrame({"z": cuts, "x": law.decode(cuts).ravel(), "left": low, "foot": z[0]})
    curve = pl.DataFrame({"z": z, "x": law.decode(z).ravel()}).filter(pl.col("x").is_between(low, high))
    across = alt.Chart(moved).mark_rule(color="#b9c0ca").encode(y=y_axis, x=alt.X("left:Q"), x2="x:Q")
    down = alt.Chart(moved).mark_rule(color="#b9c0ca").encode(x=x_axis, y=alt.Y("foot:Q"), y2="z:Q")
    line = alt.Chart(curve).mark_line(color=FAKE, strokeWidth=2.5).encode(x=x_axis, y=y_axis, order="z:Q")
    edges = np.linspace(low, high, 41)
    count, _ = np.histogram(law.sample(N, seed=0), edges)
    drawn = pl.DataFrame({"x": edges[:-1], "to": edges[1:], "density": count / N / np.diff(edges)})
    at = np.linspace(low, high, 301)[1:-1]
    density = pl.DataFrame({"x": at, "density": law.log_prob(at).exp().numpy()})
    bars = alt.Chart(drawn).mark_rect(color=REAL, opacity=0.45).encode(x=x_axis, x2="to:Q", y="density:Q")
    formula = alt.Chart(density).mark_line(color="black").encode(x=x_axis, y="density:Q")
    upper = (across + down + line).properties(width=230, height=210, title=title)
    return upper & (bars + formula).properties(width=230, height=150)


normal = np.linspace(-3, 3, 201)
panels = [
    panel(affine, "x = 2 + 0.7 z, z normal", "z", normal, 4.0),
    panel(inverse, "x = −ln(1 − u), u uniform", "u", np.linspace(0.0, 0.995, 201), 5.0),
    panel(sigmoid, "x = sigmoid(2 z), z normal", "z", normal, 1.0),
]
subtitle = "grey: twentieths of the source; blue: draws; black: density by the change of variables"
title = alt.Title("Where the map spreads its source, its draws are thin", subtitle=subtitle)
save_picture(alt.hconcat(*panels, title=title), "01_change_of_variables.png")
