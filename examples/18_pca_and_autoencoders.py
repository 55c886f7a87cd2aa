"""
The best linear autoencoder is PCA
==================================

An autoencoder with r codes descends the squared error :math:`E|x - D(E(x))|^2`. With linear E and D the product DE has
rank r, and the best such map projects on the first r principal axes (Baldi and Hornik 1989): it loses the sum of the
other eigenvalues of the covariance, :math:`\\sum_{i > r} \\lambda_i`. Gradient descent on the two matrices finds that
plane, in a basis of its own. Only a nonlinear autoencoder loses less with as many codes.
"""

# %%
# Digits are points of 64 pixels here, each of which the library standardises.
import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.report import FAKE, REAL, SERIES, save_picture

LINEAR_STEPS = 1500  # 2 in the tests
NONLINEAR_STEPS = 300  # 2 in the tests
digits = load_digits().data.astype(np.float32)
train, held = digits[:1400], digits[1400:]
mean, std = train.mean(0), np.where(train.std(0) > 0, train.std(0), 1)
shares = np.linalg.eigvalsh(np.cov(((train - mean) / std).T, bias=True))[::-1] / np.count_nonzero(train.std(0))
found, sheet = [], {"held out": held[:8]}


def lost(rows: np.ndarray, rebuilt: np.ndarray) -> float:
    return float((((rebuilt - rows) / std) ** 2).sum() / (((rows - mean) / std) ** 2).sum())


for r in (1, 2, 4, 8, 16):
    linear = {"linear": True, "steps": LINEAR_STEPS, "learning_rate": 0.03, "batch_size": 256, "validation": 0.0}
    models = {"PCA": pf.models.PPCA(r), "linear": pf.models.Autoencoder(latent_size=r, **linear)}
    models["nonlinear"] = pf.models.Autoencoder(latent_size=r, steps=NONLINEAR_STEPS, learning_rate=0.003)
    rebuilt = {name: model.fit(train, progress=False).reconstruct(held) for name, model in models.items()}
    found += [{"codes": r, "model": name, "lost": lost(held, rows)} for name, rows in rebuilt.items()]
    sheet |= {name: rows[:8] for name, rows in rebuilt.items()} if r == 8 else {}
    print(f"{r} codes: {lost(train, models['linear'].reconstruct(train)):.4f}, by eigenvalues {shares[r:].sum():.4f}")

# %%
# Dots on the line: on held-out digits too, the linear autoencoder loses what PCA loses.
names = alt.Scale(domain=list(models), range=[REAL, FAKE, SERIES[2]])
chart = alt.Chart(pl.DataFrame(found)).encode(
    x=alt.X("codes", scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=[1, 2, 4, 8, 16])),
    y=alt.Y("lost", title="share of the variance that is lost"),
    color=alt.Color("model", scale=names, legend=alt.Legend(orient="top-right", title=None)),
)
lines = chart.transform_filter("datum.model != 'linear'").mark_line(point=True)
dots = chart.transform_filter("datum.model == 'linear'").mark_point(size=160, filled=False, strokeWidth=2.5)
wall = np.vstack([np.hstack(np.pad(rows.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))) for rows in sheet.values()])
y, x = np.indices(wall.shape)
label = alt.Axis(values=[5, 15, 25, 35], labelExpr=f"{list(sheet)}[floor(datum.value / 10)]", domain=False, ticks=False)
image = alt.Chart(pl.DataFrame({"x": x.ravel(), "y": y.ravel(), "shade": wall.ravel().clip(0, 16)})).mark_rect()
shade = alt.Color("shade", scale=alt.Scale(range=["black", "white"]), legend=None)
image = image.encode(alt.X("x:O", axis=None), alt.Y("y:O", axis=label, title=None), shade)
title = alt.Title("A linear autoencoder does what PCA does; a nonlinear one needs fewer codes")
title.subtitle = "left: 397 held-out digits; right: eight of them, rebuilt from eight codes"
panels = (lines + dots).properties(width=340, height=240), image.properties(width=400, height=200)
save_picture(alt.hconcat(*panels, title=title).resolve_scale(color="independent"), "18_pca_and_autoencoders.png")
