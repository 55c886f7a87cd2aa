"""
Weighted sums reach a convex front, not a concave one
=====================================================

Where two losses f and g cannot both be least, their front holds the points that no other beats in both. A weighted sum
:math:`w f + (1 - w) g` is least where a line of its slope touches the front from below: on a convex front anywhere, on
a concave one at an end only, whatever w is. The smooth maximum :math:`\\mu \\ln \\sum_i e^{w_i f_i / \\mu}` (Lin et al.
2024) reaches every point of either. MGDA (Desideri 2012) descends both losses at once and stays where it first meets
the front: the start decides, and not a weight.
"""

# %%
# Two problems in the plane: squared distances to two points have the front :math:`\sqrt f + \sqrt g = 1`, and bounded
# ones (Fonseca and Fleming 1995) a concave front. On both, f trades for g on the straight line between the points.
import altair as alt
import polars as pl
import torch

from pushforward.objectives import several
from pushforward.report import FAKE, REAL, SERIES, save_picture

STEPS = 300  # 4 in the tests
ends = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64) / 2**0.5


def convex(x: torch.Tensor) -> torch.Tensor:
    return (x - ends).square().sum(1) / 4


def concave(x: torch.Tensor) -> torch.Tensor:
    return 1 - torch.exp(-(x - ends).square().sum(1))


# %%
# Fifteen weights, w = 1/30 ... 29/30, and as many starts; MGDA has the starts alone. The grey line is the exact front.
starts = 0.7 * torch.randn(15, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
exact = torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None] * ends[0]


def panel(losses, name: str, way: str, said: str, colour: str) -> alt.LayerChart:
    found = several.pareto(losses, starts, way, preferences=torch.ones(15, 2) if way == "mgda" else None, steps=STEPS)
    print(f"{name} front, {said}: {found.hypervolume([1.0, 1.0]):.3f} of the unit square is beaten")
    begun = torch.stack([losses(x) for x in starts])
    moved = pl.DataFrame(torch.cat([begun, found.losses], 1).numpy(), schema=["f0", "g0", "f", "g"])
    truth = pl.DataFrame(torch.stack([losses(x) for x in exact]).numpy(), schema=["f", "g"]).with_row_index("order")
    axes = {"scale": alt.Scale(domain=[0, 1.2]), "axis": alt.Axis(values=[0, 0.5, 1])}
    x, y = alt.X("f", **axes), alt.Y("g", **axes)
    line = alt.Chart(truth).mark_line(color="silver", strokeWidth=4).encode(x, y, order="order")
    paths = alt.Chart(moved).mark_rule(opacity=0.25, clip=True)
    paths = paths.encode(alt.X("f0", title="f", **axes), alt.Y("g0", title="g", **axes), x2="f", y2="g")
    dots = alt.Chart(moved).mark_point(size=50, color=colour, opacity=1).encode(x, y)
    return (line + paths + dots).properties(width=210, height=210, title=f"{said}, {name} front")


ways = {"weighted": ("weighted sum", FAKE), "smooth-tchebycheff": ("smooth maximum", REAL), "mgda": ("MGDA", SERIES[2])}
fronts = {"convex": convex, "concave": concave}
rows = [[panel(of, name, way, *how) for way, how in ways.items()] for name, of in fronts.items()]
title = alt.Title("On a concave front a weighted sum finds only the ends")
title.subtitle = "grey: the exact fronts; thin: from each start to where it ends"
save_picture(alt.vconcat(*(alt.hconcat(*row) for row in rows), title=title), "19_pareto.png")
