"""
Fixed statistics fail, one after the other
==========================================

Compare means, and a law of another variance passes. Compare mean squares too, and a Laplace law of the same mean and
variance passes. Compare fourth powers, and a law with the same first five moments passes: for every finite list of
statistics there is such a law. A statistic learned from the rows, the score of a cross-fitted ridge classifier, finds
each of these once there are enough of them. On equal laws every test errs with chance 5 % (type I).
"""

# %%
# The last law has its modes at the nodes of a Gauss-Hermite rule, which integrates polynomials of degree 5 exactly.
import altair as alt
import numpy as np
import polars as pl
from scipy.stats import laplace, norm

import pushforward as pf
from pushforward.report import FAKE, REAL, SERIES, save_picture

REPEATS = 100  # 5 in the tests
ROWS = [50, 100, 200, 400, 800]  # [50, 100] in the tests
POWERS = {"mean": 1, "mean square": 2, "mean fourth power": 4}
rng = np.random.default_rng(0)
modes, shares, at = 2.52**0.5 * np.array([-1, 0, 1]), [1 / 6, 2 / 3, 1 / 6], np.linspace(-4, 4, 161)
bumps = norm.pdf(at[:, None], modes, 0.4) @ shares
laws = {  # the draws and the density of the model; the data are standard normal
    "the same law": (rng.standard_normal, norm.pdf(at)),
    "another variance": (lambda n: 1.3 * rng.normal(size=n), norm.pdf(at, scale=1.3)),
    "Laplace, same variance": (lambda n: rng.laplace(size=n) / 2**0.5, laplace.pdf(at, scale=0.5**0.5)),
    "same five moments": (lambda n: rng.choice(modes, p=shares, size=n) + 0.4 * rng.normal(size=n), bumps),
}


# %%
# One call tests all three powers, with a p-value for each; a second one learns. All are permutation tests.
def rejected(x: np.ndarray, y: np.ndarray) -> dict[str, bool]:
    functions = [lambda rows, power=power: rows[:, 0] ** power for power in POWERS.values()]
    parts = sorted(pf.two_sample(x, y, "ipm", functions=functions, permutations=99).parts, key=lambda part: part.name)
    learned = pf.two_sample(x, y, "c2st-ridge", landmarks=32, bandwidths=3, permutations=99)
    fixed = {name: part.pvalue <= 0.05 for name, part in zip(POWERS, parts, strict=True)}
    return {**fixed, "learned": learned.detected(0.05)}


rows, columns = [], []
for law, n in [(law, n) for law in laws for n in ROWS]:
    found = pl.DataFrame([rejected(rng.normal(size=n), laws[law][0](n)) for _ in range(REPEATS)])
    rows += [(law, n, name, found[name].mean()) for name in found.columns]
rates = pl.DataFrame(rows, schema=["law", "rows", "statistic", "rejected"], orient="row")
x = alt.X("rows", title="rows a side", scale=alt.Scale(type="log", domain=[40, 1000]), axis=alt.Axis(values=ROWS))
colour = alt.Color("statistic", title=None, sort=None).scale(range=SERIES[2:6]).legend(orient="bottom")
for law, (_, density) in laws.items():
    shape = pl.DataFrame({"x": at, "data": norm.pdf(at), "model": density})
    height = alt.Y("data", title=None if columns else "density", scale=alt.Scale(domain=[0, 0.8]))
    curve = alt.Chart(shape, title=law).encode(x=alt.X("x", title=None), y=height)
    both = curve.mark_line(color=REAL) + curve.mark_line(color=FAKE).encode(y="model")
    y = alt.Y("rejected", title=None if columns else "rejected at 5 %", axis=alt.Axis(format="%"))
    rate = alt.Chart(rates.filter(pl.col("law") == law), width=170, height=170).mark_line(point=True)
    columns.append(both.properties(width=170, height=90) & rate.encode(x=x, y=y.scale(domain=[0, 1]), color=colour))
subtitle = "above: data (blue), model (vermilion); below: share of tests that reject (first column: false alarms)"
title = alt.Title("Each fixed statistic misses a law that the learned one finds", subtitle=subtitle)
save_picture(alt.hconcat(*columns, title=title), "02_fixed_statistics_fail.png")
