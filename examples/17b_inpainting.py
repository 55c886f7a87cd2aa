"""
The lower half, given the upper
===============================

What is missing of an image has a law, not a value: :math:`p(x_{hidden} \\mid x_{seen})`. An ``Imputer`` learns it for
every set of seen pixels at once, under masks drawn afresh for every row, and ``fill`` draws from it as often as asked.
Here the lower half of held-out digits is hidden. Where the seen half decides, the fillings agree; where it does not,
they are several digits. Trained for 1,200 steps of 64, some twenty seconds on one core.
"""

# %%
# A mask is true where a pixel is hidden: one for all images. Training rows are whole.
import base64
import io

import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from pushforward import models
from pushforward.report import save_picture, sheet_of

STEPS = 1200  # 3 in the tests
x, y = load_digits(return_X_y=True)
x = (x * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8)
order = np.random.default_rng(0).permutation(len(x))
train, held = order[:1437], order[1437:]
model = models.Imputer(steps=STEPS, batch_size=64, seed=0).fit(x[train], progress=False)

hidden = np.zeros((8, 8), bool)
hidden[4:] = True
shown = np.concatenate([held[y[held] == k][:1] for k in range(10)])
fillings = [model.fill((x[shown], hidden), seed=seed) for seed in range(3)]

# %%
# A digit of each kind that training has not seen. How far are fillings from the truth, of shades from 0 to 1?
off = np.sqrt(np.mean([(f[:, 4:] / 255.0 - x[shown][:, 4:] / 255.0) ** 2 for f in fillings]))
print(f"root mean square error of hidden pixels: {off:.2f}")

# %%
# A column a digit: what is seen, three fillings, the truth.
grey = np.where(hidden, np.uint8(120), x[shown])
sheet = {"seen": grey, **{f"filling {k + 1}": f for k, f in enumerate(fillings)}, "truth": x[shown]}


def picture(images: np.ndarray) -> str:
    file = io.BytesIO()
    sheet_of(images, columns=len(images), scale=8).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


rows = pl.DataFrame({"row": list(sheet), "url": [picture(images) for images in sheet.values()]})
chart = alt.Chart(rows, title="What the upper half leaves open, the fillings differ in").mark_image(
    width=500, height=50
)
chart = chart.encode(url="url", x=alt.value(250), y=alt.Y("row", sort=None, title=None)).properties(
    width=500, height=260
)
save_picture(chart, "17b_inpainting.png")
