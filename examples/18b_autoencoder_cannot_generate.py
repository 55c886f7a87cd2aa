"""
An autoencoder cannot generate; a VAE pays to
=============================================

An autoencoder that rebuilds rows well does not say which codes belong to rows: decode draws of N(0, I), and what comes
is not the data. A VAE's loss has two terms, whose sum bounds -ln p(x) from above: the distortion
:math:`E_q[-\\ln p(x|z)]`, what rebuilding misses, and the rate :math:`KL(q(z|x) || N(0, I))`, what a code costs. Weigh
the rate by ``beta``: a small one gives an autoencoder again, a large one a decoder that does not look at its codes.
"""

# %%
# One VAE for each ``beta``, and both its terms on held-out digits; draws are judged by their energy distance to these.
import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.models.several import trade_off
from pushforward.report import REAL, save_picture

STEPS = 400  # 4 in the tests
BETAS = [0.1, 0.3, 1, 3, 10]  # [0.1, 1, 10] in the tests
digits = (load_digits().images * 255 / 16).round().astype(np.uint8)
train, held = digits[:1400], digits[1400:]
sizes = {"latent_size": 8, "width": 128, "steps": STEPS, "learning_rate": 0.002}
plain = pf.models.Autoencoder(**sizes).fit(train, progress=False)
vaes = trade_off(pf.models.VAE(decoder="gaussian", **sizes), train, preferences=[(1, b) for b in BETAS], held=held)


def away(rows: np.ndarray) -> float:
    return round(pf.distance(held.reshape(-1, 64) / 255, rows.reshape(-1, 64) / 255, "energy").value, 3)


normal = np.random.default_rng(0).normal(size=(len(held), 8))
print("training digits", away(train[: len(held)]), "; an autoencoder of normal codes", away(plain.decode(normal)))
print({beta: away(vae.sample(len(held), seed=0)) for beta, vae in zip(BETAS, vaes.models, strict=True)})

# %%
# The sum of the terms is least at ``beta`` 1, where a line of slope -1 touches their front.
terms = pl.DataFrame(vaes.front.losses.numpy(), schema=["distortion", "rate"]).with_columns(beta=pl.Series(BETAS))
least = terms.select(pl.sum_horizontal("distortion", "rate").min()).item()
x, y = alt.X("rate", title="rate, nats", scale=alt.Scale(domain=[0, 30])), alt.Y("distortion", title="distortion, nats")
chart = alt.Chart(terms).encode(x, y.scale(zero=False)).transform_calculate(label="'beta ' + datum.beta")
bound = alt.Chart(pl.DataFrame({"rate": [0, 22], "distortion": [least, least - 22]})).encode(x, y)
bound = bound.mark_line(strokeDash=[5, 4], strokeWidth=1.5, color="gray")
text = chart.mark_text(dx=8, dy=-8, align="left", fontSize=12).encode(text="label:N")
curve = bound + chart.mark_line(color=REAL) + chart.mark_point(color=REAL, size=70, opacity=1) + text
shown = {"held-out digits": held, "rebuilt": plain.reconstruct(held), "autoencoder": plain.decode(normal)}
shown |= {f"VAE, beta {b}": vae.decode(normal) for b, vae in zip(BETAS, vaes.models, strict=True) if b in (0.1, 1, 10)}
wall = np.vstack([np.hstack(np.pad(rows[:8], ((0, 0), (1, 1), (1, 1)))) for rows in shown.values()])
y, x = np.indices(wall.shape)
label = alt.Axis(values=[5, 15, 25, 35, 45, 55], labelExpr=f"{list(shown)}[floor(datum.value / 10)]", ticks=False)
image = alt.Chart(pl.DataFrame({"x": x.ravel(), "y": y.ravel(), "shade": wall.ravel()})).mark_rect()
shade = alt.Color("shade", scale=alt.Scale(range=["black", "white"]), legend=None)
image = image.encode(alt.X("x:O", axis=None), alt.Y("y:O", axis=label, title=None), shade)
title = alt.Title("An autoencoder rebuilds but cannot draw; a VAE draws what its rate pays for")
title.subtitle = "dashed: where the sum is that of beta 1; lower four rows: the same normal codes, decoded"
panels = curve.properties(width=340, height=270), image.properties(width=360, height=270)
save_picture(alt.hconcat(*panels, title=title), "18b_autoencoder_cannot_generate.png")
