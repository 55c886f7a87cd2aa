"""
Losses that say nothing, and what to look at instead
====================================================

In a game the losses need not fall: each is measured against an opponent that learns too, so they sway where samples get
better, and nothing in them says when to stop. An audit does: classifiers try to tell the samples from rows held out of
training. Its AUC would fall to 1/2 for a perfect model, and its upper confidence bound holds whenever one stops.
The effective number of clusters reached tells what is missing.
"""

# %%
# ``until="indistinguishable"`` keeps a fifth of the rows for the audit, which ends the run when its bound is under the
# tolerance, 0.55, or when it sees no progress any more.
import altair as alt
import polars as pl
import torch

from pushforward.data.toys import toy
from pushforward.models import GAN
from pushforward.report import FAKE, REAL, SERIES, save_picture

STEPS = 1500  # 250 in the tests
ROWS = 8000  # 1200 in the tests
x = toy("square").sample(ROWS, torch.Generator().manual_seed(0))
model = GAN("ns", regularise="none", steps=STEPS, batch_size=128, width=64, depth=1, until="indistinguishable")
model.fit(x, progress=False)
print(f"{model.steps_done_} steps; {model.stopped_ or 'to the end'}")

# %%
# The history is a list of records, one for every few steps; the audit and the clusters are in some of them.
history = pl.DataFrame(model.history_, infer_schema_length=None)
across = alt.X("step", scale=alt.Scale(domain=[0, model.steps_done_], nice=False))


def lines(names: dict[str, str], title: str, colours: list[str]) -> alt.Chart:
    rows = history.select("step", *names).rename(names).unpivot(index="step", variable_name="of").drop_nulls()
    colour = alt.Color("of", title=None, scale=alt.Scale(domain=list(names.values()), range=colours))
    height = alt.Y("value", title=title, scale=alt.Scale(zero=False))
    return alt.Chart(rows, width=520, height=120).mark_line().encode(across, height, colour)


panels = [
    lines({"critic_loss": "critic's loss", "generator_loss": "generator's loss"}, "loss", [REAL, FAKE]),
    lines({"auc": "AUC", "auc_upper": "its upper bound"}, "audit's AUC", [SERIES[2], SERIES[4]]),
    lines({"modes_effective": "samples", "modes_effective_data": "data"}, "effective clusters", [FAKE, REAL]),
]
title = alt.Title(
    "The losses tell neither that progress ends (audit) nor that modes are lost (clusters)",
    subtitle=model.stopped_.split(" (")[0],
)
chart = alt.vconcat(*panels, title=title).resolve_scale(color="independent")
save_picture(chart, "13_oscillation.png")
