"""
Moment generating and characteristic functions
==============================================

Two laws are equal if their characteristic functions (CF) :math:`E e^{itx}` are, or their moment generating functions
(MGF) :math:`E e^{tx}`, where these exist near 0. Either gives a distance: compare them over a range of t. The first is
a mean of numbers of size 1 and settles for every law. The second is a mean of exponentials: with light tails it is well
estimated near 0; with heavy tails it is infinite, and its estimate is whatever the largest row makes of it.
"""

# %%
# Of each law three samples. Light tails: a normal and a uniform law of one mean and variance; heavy ones: Student's t
# with 3 degrees of freedom and a Cauchy law.
from itertools import product

import altair as alt
import numpy as np
import polars as pl

import pushforward as pf
from pushforward.report import FAKE, REAL, save_picture

N = 2000  # 200 in the tests
rng = np.random.default_rng(0)
pairs = {
    "light tails": {"normal": rng.standard_normal, "uniform": lambda n: rng.uniform(-(3**0.5), 3**0.5, n)},
    "heavy tails": {"Student, 3 d.f.": lambda n: rng.standard_t(3, n), "Cauchy": rng.standard_cauchy},
}


# %%
# The library's distances: `cf` answers everywhere, `mgf` refuses where one row holds more than half of the mean.
def answer(x: np.ndarray, y: np.ndarray, method: str) -> str:
    try:
        found = pf.distance(x, y, method)
    except pf.InputError as refusal:
        print(refusal)
        return "refused: " + str(refusal).split(" of the")[0] + " of it"
    return f"distance {found.value:.4f}, interval {found.low:.4f} to {found.high:.4f}"


rows = []
for tails, pair in pairs.items():
    samples, panels = {law: draw((3, N)) for law, draw in pair.items()}, []
    law = alt.Color("law", sort=None, title=None, scale=alt.Scale(domain=list(pair), range=[REAL, FAKE]))
    for kind, t in {"MGF": np.linspace(0, 2.5, 51), "CF": np.linspace(0, 5, 101)}.items():
        curves = []
        for name, j in product(pair, range(3)):
            tx = t[:, None] * samples[name][j]
            value = np.logaddexp.reduce(tx, 1) - np.log(N) if kind == "MGF" else np.cos(tx).mean(1)
            curves.append(pl.DataFrame({"t": t, "value": value, "law": [name] * len(t), "sample": [j] * len(t)}))
        title = alt.Title(f"{kind}, {tails}", subtitle=answer(*[drawn[0] for drawn in samples.values()], kind.lower()))
        chart = alt.Chart(pl.concat(curves), title=title).mark_line(opacity=0.75).properties(width=300, height=180)
        y = alt.Y("value", title="ln mean exp(t x)" if kind == "MGF" else "mean cos(t x)")
        panels.append(chart.encode(x=alt.X("t").scale(nice=False), y=y, color=law, detail="sample"))
    rows.append(alt.hconcat(*panels))
title = "With heavy tails three samples of a law agree on the CF, not on the MGF"
picture = alt.vconcat(*rows, title=title).resolve_scale(color="independent")
save_picture(picture, "04_mgf_and_characteristic_function.png")
