"""
Target generation and regression
================================

A GAN's generator step is two: samples move, :math:`t = y - \\lambda_1 \\nabla_y L`, and the generator is regressed on
where they went, descending :math:`|G(z) - t|^2 / 2` at the rate :math:`\\lambda_2`. Its gradient is :math:`\\lambda_1`
times that of L; for :math:`\\lambda_1 = 1` both are one. By gradient descent with one regression to a target only
:math:`\\lambda_1 \\lambda_2` counts; with Adam, which divides a gradient's size out, :math:`\\lambda_2` alone.
"""

# %%
# One game, step by step, in several forms; all else, the seeds included, is the same. It is bare, and it swings.
import altair as alt
import polars as pl
import torch
from torch import nn

from pushforward import discrepancy
from pushforward.data.toys import toy
from pushforward.objectives import objective
from pushforward.report import FAKE, save_picture
from pushforward.training.draw import Draw, Moment
from pushforward.training.step import Rules, step

STEPS = 200  # 6 in the tests
data, energy = toy("moons").sample(4000, torch.Generator().manual_seed(1)), discrepancy("energy")


def descend(network: nn.Module, optimiser: torch.optim.Optimizer):
    return lambda loss: (network.zero_grad(), loss.backward(), optimiser.step())


@torch.random.fork_rng()  # leaves the global generator as it was
def play(made, regressions: int, rate: float, lambda_1: float | None) -> pl.DataFrame:
    draw, found = torch.manual_seed(0), []
    g, d = (nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, n)) for n in (2, 1))
    g.noise, probe = (lambda n, *, generator: torch.randn(n, 2, generator=generator)), torch.randn(500, 2)
    moves = descend(g, made(g.parameters(), rate)), descend(d, torch.optim.Adam(d.parameters(), 2e-3, (0.5, 0.9)))
    rules, critic = Rules(objective("ns"), lambda_1=lambda_1, regressions=regressions), nn.Sequential(d, nn.Flatten(0))
    for at in range(STEPS):
        found.append((at, float(energy(data[:500], g(probe).detach()))))
        step(rules, g, critic, *moves, lambda: data[torch.randint(4000, (256,))], Moment(at, STEPS, Draw(draw)))
    name = f"lambda_2 = {rate:g}, " + (f"lambda_1 = {lambda_1:g}" if lambda_1 else "direct step")
    return pl.DataFrame(found, ["step", "energy"], orient="row").with_columns(form=pl.lit(name))


# %%
# Lines that coincide lie on one another. Several regressions: how far targets are, and how well they are met.
panels, y = [], alt.Y("energy", title="energy distance from the data").scale(type="log", domain=[0.04, 8])
for head, made, k, forms in (
    ("gradient descent, one regression", torch.optim.SGD, 1, [(0.03, None), (0.03, 1.0), (0.0075, 4.0)]),
    ("gradient descent, four regressions", torch.optim.SGD, 4, [(0.12, 0.25), (0.03, 1.0), (0.0075, 4.0)]),
    ("Adam, one regression", torch.optim.Adam, 1, [(0.002, None), (0.002, 0.1), (0.002, 10.0)]),
):
    runs = [play(made, k, *form) for form in forms]
    scale = alt.Scale(domain=[run["form"][0] for run in runs], range=["#9cc3de", FAKE, "#111111"])
    color = alt.Color("form", scale=scale).legend(orient="bottom", direction="vertical", title=None, labelLimit=0)
    base = [alt.Chart(run).encode(alt.X("step"), y, color) for run in runs]
    layers = [chart.mark_line(strokeWidth=width) for chart, width in zip(base, (7, 3.5, 1.2), strict=True)]
    panels.append(alt.layer(*layers, title=alt.Title(head, fontSize=13, fontWeight="normal")).properties(width=250))
joined = alt.hconcat(*panels, title="The two rates are one, unless the generator is regressed several times")
save_picture(joined.resolve_scale(color="independent"), "14b_target_and_regression.png")
