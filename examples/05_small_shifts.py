"""
Small shifts: total variation, Kullback-Leibler, and how many rows it takes
===========================================================================

Shift a normal law by epsilon: TV = 2 Phi(epsilon/2) - 1 is of the order epsilon, KL = epsilon^2/2 of its square. The
likelihood ratio of n rows tells them apart from n = (2 z/epsilon)^2 = 2 z^2/KL on (z: normal quantile of the errors):
1/epsilon^2 and 1/KL are one law. It is not one of all pairs: a rare outlier adds to KL and tells nothing before it is
seen. The squared Hellinger distance bounds n on both sides for every pair.
"""

# %%
# Exact values: two normal laws apart by epsilon, then a wide and a narrow one, where the order matters.
import altair as alt
import numpy as np
import polars as pl
import torch

from pushforward import closed_form, twosample
from pushforward.report import FAKE, REAL, SERIES, save_picture

REPEATS = 1000  # 200 in the tests
normal, log = closed_form.Gaussian.univariate, alt.Scale(type="log", nice=False)
unit, found, charts = normal(0.0, 1.0), [], []
for e in np.geomspace(0.01, 0.9, 31):
    moved, narrow = normal(-e, 1.0), normal(0.0, e)
    found += [("TV", e, closed_form.total_variation(unit, moved).item()), ("KL", e, closed_form.kl(unit, moved).item())]
    found += [("reversed", e, closed_form.kl(narrow, unit).item())]
    found += [("KL(wide || narrow)", e, closed_form.kl(unit, narrow).item())]
exact = pl.DataFrame(found, schema=["of", "epsilon", "value"], orient="row")
kinds = {"N(0, 1), N(-epsilon, 1)": ["TV", "KL"], "N(0, 1), N(0, epsilon²)": ["reversed", "KL(wide || narrow)"]}
for title, kind in kinds.items():
    y = alt.Y("value", title="nats (TV: a share)", axis=alt.Axis(values=[10.0**k for k in range(-5, 5)], format="~g"))
    of = alt.Color("of", title=None).scale(domain=kind, range=SERIES[2:4]).legend(orient="top")
    lines = alt.Chart(exact.filter(pl.col("of").is_in(kind)), title=title, width=230, height=230).mark_line()
    x = alt.X("epsilon", scale=log).axis(values=[0.01, 0.03, 0.1, 0.3, 1])
    charts.append(lines.encode(x=x, y=y.scale(log), color=of))

# %%
# Rows needed: log ratios v are added up under P and under Q, until 5 % false alarms leave 5 % misses. P has a share eta
# at m: all of it at a small m, or little of it at 10. `samples_needed` bounds n by the Hellinger distance.
g, rows, moves = torch.Generator().manual_seed(0), [], ["a shift", "a small share moved to 10"]
for e, far in [(e, far) for e in (0.08, 0.16, 0.32, 0.64) for far in (False, True)]:
    eta, part, most = (e**2 / 10, normal(10.0, 1.0), int(40 / e**2)) if far else (1.0, normal(e, 1.0), int(16 / e**2))
    x, y = (unit.sample(REPEATS * most, generator=g) for _ in "xy")
    x = x + part.mean * (torch.rand(len(x), 1, generator=g) < eta)
    ratio = closed_form.log_ratio(part, unit)
    v = [torch.log1p(eta * torch.expm1(ratio(z))).view(REPEATS, most).cumsum(1) for z in (x, y)]
    power = (v[0] > v[1].quantile(0.95, 0) + 1e-9).double().mean(0)
    hellinger = 2 - 2 * (1 - eta) ** 0.5 if far else float(closed_form.hellinger(part, unit))
    kl, needed = v[0][:, -1].mean().item() / most, int((power < 0.95).sum()) + 1
    rows.append((moves[far], kl, needed, *twosample.samples_needed(hellinger)))
measured = pl.DataFrame(rows, schema=["pair", "KL", "rows", "least", "enough"], orient="row")
pair = alt.Color("pair", title=None).scale(domain=moves, range=[REAL, FAKE])
base = alt.Chart(measured, title="Rows for errors of 5 %", width=230, height=212)
base = base.encode(x=alt.X("KL", title="KL, in nats", scale=log), color=pair.legend(orient="top", direction="vertical"))
y = alt.Y("least", title="rows").scale(type="log", domain=[10, 10000]).axis(values=[10, 100, 1000, 10000])
bars = base.mark_rule(strokeWidth=6, opacity=0.3).encode(y=y, y2="enough")
law = alt.Chart(pl.DataFrame({"KL": [0.002, 0.5], "rows": [2706.0, 10.82]})).mark_line(color="black", strokeDash=[4, 3])
charts.append(bars + law.encode(x="KL", y="rows") + base.mark_point(size=60, opacity=1).encode(y="rows"))
title = "KL is quadratic in a shift; 1/KL rows tell a shift, not a rare outlier"
title = alt.Title(title, subtitle="right: points measured, bars by the Hellinger distance, dashed 2 z²/KL")
save_picture(alt.hconcat(*charts, title=title).resolve_scale(color="independent"), "05_small_shifts.png")
