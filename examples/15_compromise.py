"""
Which divergence, which compromise
==================================

A normal law Q cannot be a mixture P of two humps, so its divergence chooses what to get wrong. An f-GAN plays
:math:`\\min_Q \\max_v E_P\\,\\phi(v(x)) - E_Q\\,\\psi(v(y))`, whose inner maximum is :math:`D_f(P, Q)`. Pearson and KL
punish data where the model has little, so Q covers both humps; reverse KL punishes the opposite, and Q leans to one.
"""

# %%
# The exact answers, by quadrature of the links' own functions phi and psi at the log ratio v = ln p/q.
import altair as alt
import polars as pl
import torch
from scipy.optimize import minimize
from torch import nn
from torch.distributions import Normal

from pushforward import links, models
from pushforward.data.toys import toy
from pushforward.report import REAL, SERIES, save_picture

STEPS = 250  # 2 in the tests
NAMES = {"pearson": "Pearson", "kl": "KL", "js": "Jensen-Shannon", "jeffreys": "Jeffreys", "reverse-kl": "reverse KL"}
P, t = toy("mixture-1d"), torch.linspace(-14, 18, 4001, dtype=torch.float64)
log_p = P.log_prob(t[:, None])


def exact(name: str) -> tuple[float, float]:  # mu and sigma
    def divergence(at) -> float:
        log_q, link = Normal(*at).log_prob(t), links.link(name)
        return float(torch.trapezoid(log_p.exp() * link.phi(log_p - log_q) - log_q.exp() * link.psi(log_p - log_q), t))

    return tuple(minimize(divergence, (1.2, 1.8), method="Nelder-Mead").x)


# %%
# The same by a game: the generator z -> mu + sigma z and a small critic (the GAN trains copies) see samples alone.
with torch.random.fork_rng():  # leaves the global generator as it was
    normal, x = nn.Linear(1, 1), P.sample(100_000, torch.manual_seed(0)).numpy()
    critic = nn.Sequential(nn.Linear(1, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1), nn.Flatten(0))
nn.init.ones_(normal.weight), nn.init.zeros_(normal.bias), critic[0].weight.data.mul_(3)
normal.noise = lambda n, *, generator: torch.randn(n, 1, generator=generator)
game = {"steps": STEPS, "n_critic": 5, "batch_size": 1000, "learning_rate": 0.01, "critic_rate": 0.4}
rows, curves = [], [pl.DataFrame({"x": t, "fit": "data", "q": log_p.exp()})]
for name, fit in NAMES.items():
    y = models.GAN(name, networks=(normal, critic), regularise="none", **game).fit(x, progress=False).sample(50_000)
    rows.append((fit, *exact(name), float(y.mean()), float(y.std())))
    curves.append(pl.DataFrame({"x": t, "fit": fit, "q": Normal(*rows[-1][1:3]).log_prob(t).exp()}))

# %%
# Left, the exact minimisers. Right, where they lie (rings); learned by a game (dots); all alphas from 0 to 2.2 (grey).
color = alt.Color("fit", scale=alt.Scale(domain=[*NAMES.values()], range=SERIES[1:6]), sort=None, title="Q fitted by")
base = alt.Chart(pl.concat(curves).filter(pl.col("x").is_between(-4, 7)).gather_every(2)).encode(x="x")
left = base.transform_filter("datum.fit == 'data'").mark_area(color=REAL, opacity=0.25).encode(y="q")
left += base.transform_filter("datum.fit != 'data'").mark_line().encode(alt.Y("q", title="density (area: data)"), color)
alphas = alt.Chart(pl.DataFrame([exact(f"alpha:{a / 10}") for a in range(0, 23, 2)], ["mu", "sigma"], orient="row"))
x, y = alt.X("mu", title="mean of Q").scale(zero=False), alt.Y("sigma", title="deviation of Q").scale(zero=False)
at = alt.Chart(pl.DataFrame(rows, ["fit", "mu", "sigma", "m", "s"], orient="row")).encode(x, y, color)
right = alphas.mark_line(color="#c9cfd8").encode(x, y, order="mu") + at.mark_point(size=140, filled=False)
right += at.mark_point(size=45).encode(x="m", y="s")
save_picture((left | right).properties(title="Pearson covers, reverse KL leans to the broad hump"), "15_compromise.png")
