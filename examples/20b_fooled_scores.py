"""
Scores that one picture a class can fool
========================================

The inception score :math:`\\exp E\\,KL(p(k|x) || p(k))` asks whether a classifier is sure of the class of each picture
and sees all classes alike. So ten pictures, one for each digit, repeated, come near its maximum of 10, far above real
digits. It never looks at real data; coverage and recall do, and so does the verdict. A classifier trained on samples
and tested on real digits says what they are worth (Ravuri and Vinyals 2019).
"""

# %%
# Three sets of as many pictures: other real digits, draws of a plain model (a PCA for each digit, with noise), and the
# training picture of each digit that the classifier is surest of, again and again.
import altair as alt
import numpy as np
import polars as pl
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import pushforward as pf
from pushforward.evaluation.fidelity import inception_score
from pushforward.report import FAKE, REAL, SERIES, save_picture

EACH = 45  # 6 in the tests
digits = load_digits()
images = (digits.images * 255 / 16).round().astype(np.uint8)
train, rest, y, y_rest = train_test_split(images, digits.target, test_size=900, random_state=0, stratify=digits.target)
held, y_held, other, y_other = (one[at : at + 10 * EACH] for at in (0, 450) for one in (rest, y_rest))
judge, classes = LogisticRegression(max_iter=2000).fit(train.reshape(-1, 64) / 255, y), np.repeat(np.arange(10), EACH)
sure = judge.predict_proba(train.reshape(-1, 64) / 255) * (y[:, None] == np.arange(10))
plain = [pf.models.PPCA(12).fit(train[y == k], progress=False).sample(EACH, seed=int(k)) for k in range(10)]
sets = {"other real digits": (other, y_other), "PCA of each digit": (np.concatenate(plain), classes)}
sets["one picture a digit"] = (train[sure.argmax(0)][classes], classes)

# %%
# What each score says of them: the inception score alone prefers the ten pictures.
found = []
for name, (rows, labels) in sets.items():
    x, learned = rows.reshape(-1, 64) / 255, LogisticRegression(max_iter=2000)
    seen = pf.compare(held, rows, metrics=["precision"])
    scores = {"inception ↑": inception_score(fake=judge.predict_proba(x)).value, "coverage ↑": seen["coverage"].value}
    scores |= {"recall ↑": seen["recall"].value, "AUC ↓": seen.verdict.auc}
    scores["accuracy ↑"] = learned.fit(x, labels).score(held.reshape(-1, 64) / 255, y_held)
    found += [{"of": name, "score": score, "value": value} for score, value in scores.items()]
    print(f"{name}: {seen.verdict.sentence}")
chart = alt.Chart(pl.DataFrame(found)).encode(alt.X("value", axis=None), alt.Y("of", sort=None, axis=None))
colour = alt.Color("of", sort=None, scale=alt.Scale(range=[REAL, SERIES[2], FAKE]), legend=None)
text = chart.mark_text(align="left", dx=4, fontSize=12).encode(text=alt.Text("value", format=".2f"))
bars = (chart.mark_bar(height=20).encode(color=colour) + text).properties(width=60, height=150)
spread = np.linspace(0, 10 * EACH - 1, 5).astype(int)
wall = np.vstack([np.hstack(np.pad(rows[spread], ((0, 0), (1, 1), (1, 1)))) for rows, _ in sets.values()])
y, x = (place.ravel() for place in np.indices(wall.shape))
label = alt.Axis(values=[5, 15, 25], labelExpr=f"{list(sets)}[floor(datum.value / 10)]", domain=False, ticks=False)
image = alt.Chart(pl.DataFrame({"x": x, "y": y, "shade": wall.ravel()})).mark_rect().properties(width=250, height=150)
shade = alt.Color("shade", scale=alt.Scale(range=["black", "white"]), legend=None)
panels = [image.encode(alt.X("x:O", axis=None), alt.Y("y:O", axis=label, title=None), shade)]
panels += [bars.transform_filter(alt.datum.score == score).properties(title=score) for score in scores]
title = alt.Title("The inception score prefers ten pictures to real digits; other scores do not")
title.subtitle = "arrows: what is better; AUC: of the verdict; accuracy: on real digits, after training on the set"
picture = alt.hconcat(*panels, title=title, spacing=20).resolve_scale(color="independent", x="independent")
save_picture(picture.configure_view(stroke=None), "20b_fooled_scores.png")
