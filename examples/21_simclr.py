"""
Features without labels, read with few
======================================

SimCLR (Chen et al. 2020) learns from pictures alone: of two random views of each, which belong together? A batch of N
gives 2N views, and for the two views i, j of a picture the features descend
:math:`-\\ln (e^{s(i, j) / \\tau} / \\sum_{k \\neq i} e^{s(i, k) / \\tau})`, s being the cosine. What the views change
is forgotten, what they leave is kept. With few labels, a linear probe of the features is better than one of the pixels.
"""

# %%
# Digits: 1,437 to learn from, without labels, and 360 held out.
import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from sklearn.model_selection import train_test_split

import pushforward as pf
from pushforward.models.representation import few_labels
from pushforward.report import FAKE, REAL, SERIES, save_picture

DRAWS = 20  # 2 in the tests
HELD = 360  # 60 in the tests
STEPS = 200  # 3 in the tests
LABELS = [1, 2, 5, 10, 20, 50]  # [1, 5] in the tests
digits = load_digits()
images = (digits.images * 255 / 16).round().astype(np.uint8)
train, held, y, y_held = train_test_split(images, digits.target, test_size=HELD, random_state=0, stratify=digits.target)
model = pf.models.SimCLR(steps=STEPS, validation=0.0).fit(train, progress=False)
seen = {"pixels": (train.reshape(-1, 64) / 255, held.reshape(-1, 64) / 255)}
seen["features"] = (model.encode(train), model.encode(held))

# %%
# A linear probe of both, with few labels of each digit: the mean and spread of 20 choices of them.
found = []
for name, (x, x_held) in seen.items():
    for count in LABELS:
        told = few_labels(x, y, per_class=count, draws=DRAWS, held=(x_held, y_held))
        low, high = told.accuracy - told.spread, told.accuracy + told.spread
        found.append({"of": name, "labels": count, "accuracy": told.accuracy, "low": low, "high": high})
        print(f"{name}, {count} labels of each digit: {told.accuracy:.3f}")

# %%
# The held-out digits in a plane, near where they are near in the features or the pixels (t-SNE, which knows no labels).
x = alt.X("labels", title="labels of each digit", axis=alt.Axis(values=LABELS, grid=False)).scale(type="log")
y = alt.Y("accuracy", title="accuracy on held-out digits", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0.4, 1]))
colour = alt.Color("of", legend=alt.Legend(orient="bottom-right", title=None)).scale(range=[FAKE, REAL])
chart = alt.Chart(pl.DataFrame(found)).encode(x, color=colour)
panels = [chart.mark_line(point=True).encode(y=y) + chart.mark_rule().encode(alt.Y("low"), alt.Y2("high"))]
colour = alt.Color("digit:N", scale=alt.Scale(range=[*SERIES, *SERIES[:3]]), legend=None)
for name, (_, x_held) in seen.items():
    places = pl.DataFrame(TSNE(random_state=0).fit_transform(x_held), schema=["x", "y"])
    chart = alt.Chart(places.with_columns(digit=y_held), title=f"held-out digits by {name}").mark_text(fontSize=12)
    x, y = alt.X("x", axis=None).scale(padding=12), alt.Y("y", axis=None).scale(padding=12)
    panels.append(chart.encode(x, y, colour, text="digit:N"))
title = alt.Title("Features learned without labels need few of them")
title.subtitle = "bars: the spread over 20 choices of the labelled digits; right: t-SNE"
panels = alt.hconcat(*(panel.properties(width=270, height=270) for panel in panels), title=title)
save_picture(panels.resolve_scale(color="independent"), "21_simclr.png")
