"""
A model that copies beats the truth's likelihood
================================================

On the n rows that a model was fitted to likelihood rewards copying without end: a kernel of width h on each gives
them about :math:`-\\ln n - d \\ln h`, which passes that of the true density, minus the entropy of p, as h falls. On
held-out rows it falls instead. Where there is no density, a classifier of samples and held-out rows sees little of it,
as copies lie where data lie; the training rows have to be looked at too: samples should not be nearer to these.
"""

# %%
# Kernel density estimates on 1,000 rows of two moons, from narrow to wide, and the mean log density of rows.
import altair as alt
import numpy as np
import polars as pl
import torch

import pushforward as pf
from pushforward.data.toys import toy
from pushforward.report import FAKE, REAL, save_picture

ROWS = 1000  # 100 in the tests
WIDTHS = [0.003, 0.01, 0.03, 0.1, 0.3, 1]  # [0.01] in the tests
moons, likelihoods, judged = toy("moons"), [], []
train, held = (moons.sample(ROWS, torch.Generator().manual_seed(seed)) for seed in (0, 1))
for h in np.geomspace(0.003, 1, 31):
    model = pf.models.KDE(float(h)).fit(train, progress=False)
    for name, rows in (("training rows", train), ("held-out rows", held)):
        likelihoods.append({"width": h, "of": name, "value": model.log_prob(rows).mean().item()})

# %%
# Two shares that are one half for fresh draws: how often a classifier ranks a sample below a real row (AUC), and how
# often the real row nearest to a sample is one of the training rows, and not of as many held-out ones.
near, auc = "nearest to a training row", "AUC, held-out or sample?"
for h in WIDTHS:
    found = pf.compare(held, pf.models.KDE(h).fit(train, progress=False).sample(ROWS, seed=0), train=train)
    law, copies = found.verdict, found.copies
    judged.append(
        {"width": h, "of": near, "value": copies.closer, "low": copies.closer_low, "high": copies.closer_high}
    )
    judged.append({"width": h, "of": auc, "value": law.auc, "low": law.auc_low, "high": law.auc_high})
    print(f"width {h}: another law, p = {law.pvalue:.2g}; copies, p = {copies.pvalue:.2g}")

# %%
# Training rows praise the narrowest kernel, held-out rows one of about .1.
axis = alt.Axis(values=[0.003, 0.01, 0.03, 0.1, 0.3, 1], grid=False)
x = alt.X("width", title="width of the kernel, in standard deviations", axis=axis)
x = x.scale(type="log", domain=[0.002, 1.5])
y = alt.Y("value", title="mean ln q, nats", scale=alt.Scale(domain=[-6, 4]))
colour = alt.Color("of", sort=None, scale=alt.Scale(range=[FAKE, REAL]), legend=alt.Legend(orient="top", title=None))
left = alt.Chart(pl.DataFrame(likelihoods)).mark_line(clip=True).encode(x, y, colour)
left += alt.Chart().mark_rule(strokeDash=[5, 4]).encode(y=alt.datum(moons.log_prob(held).mean().item()))
right = alt.Chart(pl.DataFrame(judged)).mark_line(point=True).encode(x, y.title("share").scale(domain=[0.3, 1]), colour)
right += alt.Chart(pl.DataFrame(judged)).mark_rule().encode(x, alt.Y("low"), colour, y2="high")
right += alt.Chart().mark_rule(strokeDash=[5, 4]).encode(y=alt.datum(0.5))
title = alt.Title("On the rows that it copies, a narrow kernel beats the true density")
title.subtitle = "dashed: the true density, and fresh draws; held-out rows tell, and the distances to training rows"
panels = alt.hconcat(*(one.properties(width=340, height=260) for one in (left, right)), title=title)
save_picture(panels.resolve_scale(color="independent"), "20_memorisation.png")
