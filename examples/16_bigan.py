"""
An encoder learned in the game
==============================

A GAN's generator has no way back. A BiGAN learns one: its critic judges pairs, data with the latent that an encoder E
gives them, samples with the latent z they were made from. Where the pairs (x, E(x)) and (G(z), z) have one law, E
inverts G. Labels are not used. Here z has two dimensions, so that all of it can be drawn, and the game is 600 steps of
a small perceptron (half a minute) with a charge for :math:`|x - G(E(x))|`; two numbers cannot hold every stroke.
"""

# %%
# Trained on three quarters of the digits; what follows is of the others.
import base64
import io

import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from pushforward import models
from pushforward.models.representation import nearest_neighbours
from pushforward.report import SERIES, save_picture, sheet_of

STEPS = 600  # 3 in the tests
x, y = load_digits(return_X_y=True)
x = (x * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
order = np.random.default_rng(0).permutation(len(x))
train, held = order[:1350], order[1350:]
model = models.BiGAN(steps=STEPS, noise_size=2, perceptron=True, width=128, seed=0).fit(x[train], progress=False)

# %%
# What the two latents tell of labels that were never shown: the nearest neighbour's label, right for how many?
z = model.encode(x[held])
told = nearest_neighbours(model.encode(x[train]), y[train], held=(z, y[held])).accuracy
print(f"label of the nearest training row by two latents: {told:.1%} right; by chance 10 %")
rows = pl.DataFrame({"z1": z[:, 0], "z2": z[:, 1], "digit": y[held].astype(str)})
axis = alt.Scale(domain=[-3, 3])
plane = (
    alt.Chart(rows, title=alt.Title("latents E(x)", fontSize=13, fontWeight="normal"))
    .mark_text(fontSize=12, fontWeight="bold", clip=True)
    .encode(alt.X("z1", scale=axis), alt.Y("z2", scale=axis), alt.Text("digit"))
    .encode(color=alt.Color("digit", legend=None, scale=alt.Scale(range=SERIES)))
    .properties(width=400, height=400)
)

# %%
# Three held-out digits of each kind, each above its reconstruction G(E(x)).
first = np.concatenate([held[y[held] == k][:3] for k in range(10)]).reshape(10, 3).T.ravel()
white = np.full((30, 1, 8), 255, np.uint8)
both = np.concatenate([x[first], white, model.reconstruct(x[first]), white, white, white], 1)
file = io.BytesIO()
sheet_of(both, columns=10, scale=6).save(file, "PNG")
url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
sheet = alt.Chart(pl.DataFrame({"url": [url]})).mark_image(width=390, height=400).encode(url="url")
head = alt.Title("digits, and under each G(E(x))", fontSize=13, fontWeight="normal")
sheet = sheet.encode(x=alt.value(200), y=alt.value(200)).properties(width=400, height=400, title=head)
title = "Two latents, learned without labels, tell most digits apart"
save_picture((plane | sheet).properties(title=title), "16_bigan.png")
