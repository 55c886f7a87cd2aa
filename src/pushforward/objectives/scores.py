"""Losses of critic scores a = D(x), b = D(y), row by row (sp = softplus):

| name | critic | generator |
|---|---|---|
| minimax | sp(-a) + sp(b) | -sp(b) |
| ns | the same | sp(-b) |
| lsgan | (a - 1)^2 + b^2 | (b - 1)^2 |
| hinge | relu(1 - a) + relu(1 + b) | -b |
| ebgan | E(a) + relu(1 - E(b)) | E(b), the energy E(v) = sp(-v) |
| wgan | -a + b | -b |
| rpgan, rphinge, rplsgan | l(a - b) | l(b - a), l = sp(-m), relu(1 - m), (1 - m)^2 |
| an f-divergence | psi(b) - phi(a) | -psi(b), or -phi(b) for its `-ns` |

(phi, psi) of the f-divergences are those of `links.FGAN`. Saturation: at an optimal critic the gradient of `minimax` in
b is sigma(b), which vanishes where fakes are obvious; that of `ns` is sigma(-b), which does not.

Relativistic pairing of the logistic loss is half the logistic game between the products P x Q and Q x P, whose log
density ratio v(x) - v(y), v = log p/q, is a difference of scores: so the critic finds it exactly. With the squared loss
it is a Fisher discriminant: -1/(1 + F), F = sup (E_P D - E_Q D)^2 / (Var_P D + Var_Q D) = 2T/(2 - T), attained by any
multiple of (p-q)/(p+q), where T = int (p-q)^2/(p+q), between 0 and 2, is the triangular discrimination.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from pushforward.links import FGAN
from pushforward.objectives.objective import Objective, of_link, relativistic

MARGIN = 1.0  # of the energy-based loss


def minimax_critic(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """sp(-a) + sp(b), shared by `minimax` and `ns`."""
    return softplus(-a) + softplus(b)


def least_squares_critic(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """(a - 1)^2 + b^2."""
    return (a - 1.0) ** 2 + b**2


def hinge_critic(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """relu(1 - a) + relu(1 + b)."""
    return relu(1.0 - a) + relu(1.0 + b)


def energy_based_critic(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """E(a) + relu(1 - E(b)), E(v) = sp(-v)."""
    return softplus(-a) + relu(MARGIN - softplus(-b))


# margin losses l(m), large where the margin m is small


def logistic(m: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """sp(-m)."""
    return softplus(-m)


def hinge(m: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """relu(1 - m)."""
    return relu(1.0 - m)


def squared(m: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """(1 - m)^2."""
    return (1.0 - m) ** 2


def _losses() -> list[Objective]:
    goodfellow = "Goodfellow et al. 2014"
    jsd = "2 JSD(P, Q) - ln 4"
    ratio = "at D = log p/q"
    return [
        Objective("minimax", minimax_critic, lambda a, b: -softplus(b), estimates=jsd, tight=ratio, source=goodfellow),
        Objective("ns", minimax_critic, lambda a, b: softplus(-b), estimates=jsd, tight=ratio, source=goodfellow),
        Objective(
            "lsgan",
            least_squares_critic,
            lambda a, b: (b - 1.0) ** 2,
            estimates="a quarter of the triangular discrimination T = int (p-q)^2/(p+q), less 1/2",
            tight="at D = p/(p + q)",
            source="Mao et al. 2017, labels 0, 1, 1",
        ),
        Objective(
            "hinge",
            hinge_critic,
            lambda a, b: -b,
            estimates="2 TV(P, Q) - 2",
            tight="at D = sign(p - q)",
            source="Lim and Ye 2017",
        ),
        Objective(
            "ebgan",
            energy_based_critic,
            lambda a, b: softplus(-b),
            estimates="TV(P, Q) - 1",
            tight="at the energy 0 where p > q and the margin 1 elsewhere",
            source="Zhao, Mathieu and LeCun 2017, the energy sp(-D) in place of an autoencoder's",
        ),
        Objective(
            "wgan",
            lambda a, b: b - a,
            lambda a, b: -b,
            estimates="W1(P, Q) if the critic is 1-Lipschitz",
            tight="at the Kantorovich potential",
            source="Arjovsky, Chintala and Bottou 2017",
        ),
    ]


def _pairings() -> list[Objective]:
    return [
        relativistic(
            "rpgan",
            logistic,
            estimates="JSD(P x Q, Q x P) - ln 2",
            tight="at D = log p/q + constant",
            source="Jolicoeur-Martineau 2019; Huang et al. 2024",
        ),
        relativistic(
            "rphinge",
            hinge,
            estimates="at most TV(P x Q, Q x P) - 1",
            tight="where p/q takes two values only",
        ),
        relativistic(
            "rplsgan",
            squared,
            estimates="-(2 - T)/(2 + T), T = int (p-q)^2/(p+q)",
            tight="at D = (p - q)/(p + q) times 2/(2 + T), + constant",
        ),
    ]


NAMES = {
    "kl": "KL(P || Q)",
    "reverse-kl": "KL(Q || P)",
    "js": "2 JSD(P, Q)",
    "gan": "2 JSD(P, Q) - ln 4",
    "pearson": "chi2(P || Q) = int (p-q)^2/q",
    "neyman": "chi2(Q || P) = int (p-q)^2/p",
    "hellinger": "int (sqrt p - sqrt q)^2",
    "jeffreys": "KL(P || Q) + KL(Q || P)",
    "tv": "TV(P, Q)",
}


def _divergences() -> list[Objective]:
    """Every f-divergence in the outputs of `FGAN`, and its non-saturating variant (Nowozin et al. 2016, section 3.2).

    `gan` and `gan-ns` are `minimax` and `ns` under their other names. `tv` has phi = psi, so no variant of its own.
    """
    rows = []
    for name, pair in FGAN.items():
        text = "the alpha divergence of order 1/2" if name == "alpha" else NAMES[name]
        for saturating in (True, False) if name != "tv" else (True,):
            made = of_link(pair, saturating=saturating, estimates=text)
            rows.append(replace(made, name=name if saturating else f"{name}-ns"))
    return rows


ROWS: list[Objective] = [*_losses(), *_pairings(), *_divergences()]
