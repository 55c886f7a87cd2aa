"""
Point masses: what a divergence says of laws that do not meet
=============================================================

Data at 0, a model at theta. While theta is not 0, KL is infinite, JS = ln 2 and TV = 1 (JS as the mean of two KL to the
middle): none says which theta is nearer, and none has a gradient to follow. The earth mover's distance W1 = abs(theta)
does. It is the least mean distance over which mass must be carried: over all plans that take the one law to the other.
"""

# %%
# The divergences count how often each value occurs (the library's JS is 2 JSD, twice the JS meant here).
import altair as alt
import numpy as np
import ot
import polars as pl

import pushforward as pf
from pushforward.report import FAKE, REAL, SERIES, save_picture

THETAS = 81  # 9 in the tests
POINTS = 12  # 5 in the tests
rows = []
for theta in np.linspace(-2, 2, THETAS).round(3):
    data, model = np.zeros((4, 1)), np.full((4, 1), theta)
    kl, js, tv = (pf.distance(data, model, "discrete", divergence=d).value for d in ("kl", "js", "tv"))
    w1 = pf.distance(data, model, "wasserstein-1d").value
    rows += [(theta, np.sign(theta), "KL (infinite)", 2.3 if np.isinf(kl) else kl), (theta, np.sign(theta), "TV", tv)]
    rows += [(theta, np.sign(theta), "W1 = |theta|", w1), (theta, np.sign(theta), "JS = ln 2", js / 2)]
found = pl.DataFrame(rows, schema=["theta", "side", "of", "value"], orient="row")
x, y = alt.X("theta"), alt.Y("value", title="distance", scale=alt.Scale(domain=[0, 2.4]))
order = ["KL (infinite)", "W1 = |theta|", "TV", "JS = ln 2"]
colour = alt.Color("of", scale=alt.Scale(domain=order, range=[SERIES[6], FAKE, *SERIES[2:4]]), legend=None)
base = alt.Chart(found.filter(pl.col("theta") != 0)).encode(x=x, y=y, color=colour)
text = base.transform_filter("datum.theta == 2").mark_text(align="left", dx=6, fontSize=12).encode(text="of")
dot = alt.Chart(found.filter(pl.col("theta") == 0)).mark_point(color="black", size=60, opacity=1).encode(x=x, y=y)
told = alt.Title("Data at 0, the model at theta", subtitle="the dot: all four are 0 at theta = 0")
left = (base.mark_line(strokeWidth=2.5).encode(detail="side") + text + dot).properties(
    width=320, height=300, title=told
)

# %%
# In more dimensions the plan is solved for. Between as many points of one weight it is a matching.
rng = np.random.default_rng(2)
data, model = rng.normal(size=(POINTS, 2)) * [0.9, 0.4], rng.normal(size=(POINTS, 2)) * [0.4, 1.0] + [3.2, 0.0]
cost = ot.dist(data, model, metric="euclidean")
plan = ot.emd(ot.unif(POINTS), ot.unif(POINTS), cost)
w1, mean = pf.distance(data, model, "exact-ot").value, cost.mean()
assert np.isclose((plan * cost).sum(), w1)
start, end = plan.nonzero()
moves = pl.DataFrame({"x": data[start, 0], "y": data[start, 1], "to x": model[end, 0], "to y": model[end, 1]})
x, y = alt.X("x", title="x").scale(domain=[-2, 5], nice=False), alt.Y("y", title="y").scale(domain=[-3, 3], nice=False)
carried = alt.Chart(moves).mark_rule(color="#9aa3af", strokeWidth=1.5).encode(x=x, y=y, x2="to x", y2="to y")
clouds = pl.concat(pl.DataFrame({"x": c[:, 0], "y": c[:, 1], "of": n}) for n, c in (("data", data), ("model", model)))
of = alt.Color("of", title=None, scale=alt.Scale(range=[REAL, FAKE]), legend=alt.Legend(orient="top-left"))
dots = alt.Chart(clouds).mark_point(size=70, opacity=1).encode(x=x, y=y, color=of)
told = alt.Title("The plan of least work", subtitle=f"mean way {w1:.2f} = W1; over all pairs {mean:.2f}")
right = (carried + dots).properties(width=350, height=300, title=told)
picture = alt.hconcat(left, right, title="Of these only W1 says how far the model is").resolve_scale(
    color="independent"
)
save_picture(picture, "10_point_masses.png")
