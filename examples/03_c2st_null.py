"""
A classifier that cannot tell: its null distribution
====================================================

Train a classifier to tell two samples apart and count its hits on M rows that it has not seen. Where both samples come
from one distribution every hit is a fair coin, so its accuracy is Binomial(M, 1/2)/M, close to N(1/2, 1/(4M)): whatever
the classifier, and whatever the data. Where they differ, accuracy leaves that curve.
"""

# %%
# Five hundred comparisons of 200 rows with 200 others: logistic regression learns on half of them and is tested on the
# other half, M = 200. First both samples are standard normal, then one of them is moved by a quarter.
import altair as alt
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from pushforward.report import FAKE, REAL, save_picture

REPEATS = 500  # 20 in the tests
N, TICKS = 200, [0.4, 0.45, 0.5, 0.55, 0.6, 0.65]
rng = np.random.default_rng(0)


def accuracy(shift: float) -> float:
    x, y = rng.normal(size=(N, 2)), rng.normal(size=(N, 2)) + np.array([shift, 0.0])
    label = np.repeat([1, 0], N // 2)  # as many of each in both halves, or the halves would tell on each other
    learned = LogisticRegression().fit(np.concatenate([x[::2], y[::2]]), label)
    return learned.score(np.concatenate([x[1::2], y[1::2]]), label)


found = pl.concat(
    pl.DataFrame({"accuracy": [accuracy(shift) for _ in range(REPEATS)], "samples": name})
    for name, shift in {"same distribution": 0.0, "one moved by 0.25": 0.25}.items()
)

# %%
# The law is that of the coin, not of the classifier: the curve has no free number.
width = 0.01
at = np.linspace(0.35, 0.75, 201)
law = np.exp(-((at - 0.5) ** 2) * 2 * N) * np.sqrt(2 * N / np.pi) * width * REPEATS
bars = (
    alt.Chart(found)
    .mark_bar(opacity=0.6)
    .encode(
        x=alt.X("accuracy", bin=alt.Bin(step=width), title="accuracy on held-out rows", axis=alt.Axis(values=TICKS)),
        y=alt.Y("count()", stack=None, title="comparisons"),
        color=alt.Color("samples", scale=alt.Scale(range=[FAKE, REAL]), legend=alt.Legend(orient="top-right")),
    )
)
curve = alt.Chart(pl.DataFrame({"x": at, "y": law})).mark_line(color="black").encode(x="x", y="y")
title = alt.Title("Under the null every classifier is a fair coin", subtitle="black: N(1/2, 1/(4M)), M = 200")
save_picture((bars + curve).properties(title=title, width=480, height=280), "03_c2st_null.png")
