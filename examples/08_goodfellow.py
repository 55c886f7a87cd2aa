"""
Generator, discriminator and the two distributions while they train
===================================================================

After figure 1 of Goodfellow et al. (2014). Below, the generator carries noise z to x = G(z): its lines crowd where the
model puts its mass. Above, the data's density, the model's, and the discriminator D(x), which comes close to 1/2.
"""

# %%
# The library's game step by step, so that both networks can be looked at between two; R1 and R2 make it settle down.
import altair as alt
import polars as pl
import torch
from torch.distributions import Normal

from pushforward.nets import MLPCritic, MLPGenerator
from pushforward.objectives import objective
from pushforward.report import FAKE, REAL, SERIES, save_picture
from pushforward.training.draw import Draw, Moment
from pushforward.training.regularisers.gradient import ZeroCentred
from pushforward.training.step import Rules, step

STEPS = 1200  # 20 in the tests
FRAMES = 40  # 4 in the tests
draw = torch.Generator().manual_seed(1)
g, d = MLPGenerator((1,), noise_size=1, width=32, generator=draw), MLPCritic((1,), width=32, generator=draw)
rules = Rules(objective("ns"), regularisers=(ZeroCentred(0.3, 0.03),))
x = torch.randint(2, (20000, 1), generator=draw) * 3 - 1.5 + torch.randn(20000, 1, generator=draw) / 2


def descend(net: torch.nn.Module):
    adam = torch.optim.Adam(net.parameters(), lr=2e-3, betas=(0.0, 0.95))
    return lambda loss: (adam.zero_grad(), loss.backward(inputs=list(net.parameters())), adam.step())


# %%
# Twenty lines leave even quantiles of the noise. The model's density is that of many more, in bins of 0.1.
few, many = (Normal(0.0, 1.0).icdf((torch.arange(n) + 0.5) / n)[:, None] for n in (20, 8000))
at = torch.linspace(-3.95, 3.95, 80)[:, None]
p = (Normal(-1.5, 0.5).log_prob(at).exp() + Normal(1.5, 0.5).log_prob(at).exp()) / 2
scale = alt.Scale(domain=[-4, 4])
colour = alt.Color("curve", title=None, legend=alt.Legend(orient="top-right")).scale(range=[SERIES[6], REAL, FAKE])
height = alt.Y("value", title="density, D(x)").scale(domain=[0, 1])


@torch.no_grad()
def frame(done: int) -> alt.VConcatChart:
    q = torch.histc(g(many), 80, -4, 4)[:, None] / (0.1 * len(many))
    table = torch.cat([at, p, q, d(at).sigmoid()[:, None]], 1).numpy()
    long = pl.DataFrame(table, schema=["x", "data p", "model q", "D"]).unpivot(index="x", variable_name="curve")
    pairs = pl.DataFrame(torch.cat([few, g(few)], 1).numpy(), schema=["z", "x"]).with_columns(low=0, high=1)
    upper = alt.Chart(long, width=520, height=230).mark_line(clip=True).encode(alt.X("x", scale=scale), height, colour)
    lower = alt.Chart(pairs, width=520, height=90).mark_rule(color=FAKE, clip=True)
    lower = lower.encode(alt.X("z", title="z to x = G(z)", scale=scale), alt.Y("low", axis=None), x2="x", y2="high")
    return alt.vconcat(upper, lower, title=f"The model learns to lie where the data are: step {done}")


moves, frames = (descend(g), descend(d)), []
for done in range(STEPS + 1):
    frames += [frame(done)] if done % (STEPS // FRAMES) == 0 else []
    step(rules, g, d, *moves, lambda: x[torch.randint(len(x), (256,), generator=draw)], Moment(done, STEPS, Draw(draw)))
save_picture(frames, "08_goodfellow.gif", scale=1, seconds=8)
