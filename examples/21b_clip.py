"""
Two encoders that know what belongs together
============================================

CLIP (Radford et al. 2021) has an encoder for each of two kinds of rows, here the left and the right halves of digits.
It descends the cross-entropy of finding, in a batch, the right half that goes with each left one, and the other way
round: :math:`-\\ln (e^{s\\, u_i v_i} / \\sum_j e^{s\\, u_i v_j})`, with u and v of length 1. At its best the score is
:math:`\\ln p(a, b) / (p(a) p(b))` up to a constant, so the nearest v to a u is the row that goes with it best.
"""

# %%
# Halves of 8 x 4 pixels; 360 digits are held out, and each of their left halves looks for its own among 360 right ones.
import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pushforward as pf
from pushforward.report import FAKE, REAL, save_picture

STEPS = 200  # 3 in the tests
digits = (load_digits().images * 255 / 16).round().astype(np.uint8)
train, held = train_test_split(digits, test_size=360, random_state=0)
model = pf.models.CLIP(steps=STEPS, validation=0.0).fit(train[:, :, :4], to=train[:, :, 4:], progress=False)
found = np.asarray(model.retrieve(held[:, :, :4], held[:, :, 4:], k=360, side="a"))
rank = (found == np.arange(360)[:, None]).argmax(1)

# %%
# Five digits whose own half was found first to fifth, and one whose was not. Their left halves are completed by the
# right halves that were found, the best first; the frames are around the digits themselves.
shown = [*(int((rank == place).argmax()) for place in range(5)), int((rank > 20).argmax())]
down, across = (place.ravel() for place in np.indices((8, 8)))
pixels, frames = [], []
for row, i in enumerate(shown):
    for column, right in enumerate([i, *found[i, :5]]):
        tile, x, y = np.hstack([held[i, :, :4], held[right, :, 4:]]), 11 * column + 3 * (column > 0), 11 * row
        pixels.append(pl.DataFrame({"x": across + x, "y": down + y, "shade": tile.ravel()}))
        frames += [{"x": x, "y": y}] if right == i else []
names = ["the digit", "1st", "2nd", "3rd", "4th", "5th"]
label = alt.Axis(orient="top", values=[4, 18, 29, 40, 51, 62], labelExpr=f"{names}[floor((datum.value - 4) / 11)]")
label.grid = False
x = alt.X("x:Q", axis=label, title=None, scale=alt.Scale(domain=[-0.5, 66.5]))
y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.5, 63.5], reverse=True))
ends = {"x2": alt.X2("x2:Q"), "y2": alt.Y2("y2:Q")}
shade = alt.Color("shade", scale=alt.Scale(range=["black", "white"]), legend=None)
tiles = alt.Chart(pl.concat(pixels)).transform_calculate(x2="datum.x + 1", y2="datum.y + 1").mark_rect()
own = alt.Chart(pl.DataFrame(frames)).transform_calculate(x2="datum.x + 8", y2="datum.y + 8")
own = own.mark_rect(fillOpacity=0, stroke=FAKE, strokeWidth=3).encode(x, y, **ends)
left = (tiles.encode(x, y, color=shade, **ends) + own).properties(width=402, height=384)

# %%
# How often the own half is among the first k, and by chance, k / 360.
curve = pl.DataFrame([{"k": k, "recall": float((rank < k).mean()), "chance": k / 360} for k in range(1, 361)])
print(curve.filter(pl.col("k").is_in([1, 10])))
x = alt.X("k", title="k, of 360", scale=alt.Scale(type="log", domain=[1, 360]), axis=alt.Axis(values=[1, 10, 100]))
y = alt.Y("recall", title="own half among the first k", axis=alt.Axis(format="%"))
chart = alt.Chart(curve).encode(x)
right = chart.mark_line(color=REAL).encode(y=y) + chart.mark_line(strokeDash=[5, 4], color="gray").encode(y="chance")
title = alt.Title("Of 360 right halves, two encoders find those that fit a left half")
title.subtitle = "framed: the own half; dashed: chance"
save_picture(alt.hconcat(left, right.properties(width=300, height=384), title=title), "21b_clip.png")
