"""`InfoGAN`: a GAN with codes that its samples must tell (Chen et al. 2016).

    min_{G, Q} max_D  V(D, G) - weight * L_I(G, Q),      L_I = E[log Q(c|G(c, z))] + H(c)  <=  I(c; G(c, z))

(eq. 6). Codes are one-hot, of so many levels each, or numbers uniform on [-1, 1]; what they come to mean is found, not
told. Q is the generator's own network here, where the paper lets it share the critic's layers to save time: the
critic then moves by its own loss alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from ..data.codec import Codec
from ..data.dataset import Dataset
from ..data.sources import to_container
from ..errors import InputError
from ..nets import Shape
from ..nets.coded import CodedGenerator, reads
from ..objectives import Objective
from ..training.regularisers.table import Words
from ..witness import Link
from . import latent, networks
from .adversarial import Adversarial
from .rows import chunks, read_rows
from .setup import Game


@final
@dataclass(frozen=True)
class Information:
    """What samples tell of one code, in nats: `low`, the mean of H(c) - (-log Q(c|y)), a lower bound of the mutual
    information I(c; y), with `stderr`; `most`, the entropy H(c) of a one-hot code, which is the most there can be (None
    of a number)."""

    low: float
    stderr: float
    most: float | None


class InfoGAN(Adversarial):
    """A generator with codes, for points `(n, d)`, tables and images.

    categorical: the levels of every one-hot code, such as (10,). continuous: how many codes are numbers in [-1, 1].
        They are named c1, c2, ... and u1, u2, ...
    weight: of the information, lambda in the paper.
    noise_size: of the noise beside the codes. Everything else as for `GAN`.

    Learned: see `OnePass`.
    """

    def __init__(
        self,
        objective: str | Objective | Link = "rpgan",
        *,
        categorical: Sequence[int] = (10,),
        continuous: int = 2,
        weight: float = 1.0,
        steps: int | None = None,
        time_budget: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        regularise: Words | None = None,
        gamma: float | None = None,
        n_critic: int = 1,
        critic_rate: float = 1.0,
        optimiser: str = "adam",
        noise_size: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        until: str | None = None,
        tolerance: float = 0.55,
        checkpoint_every: int | None = None,
        precision: str = "32-true",
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            objective,
            steps=steps,
            time_budget=time_budget,
            batch_size=batch_size,
            learning_rate=learning_rate,
            regularise=regularise,
            gamma=gamma,
            n_critic=n_critic,
            critic_rate=critic_rate,
            optimiser=optimiser,
            noise_size=noise_size,
            width=width,
            depth=depth,
            until=until,
            tolerance=tolerance,
            checkpoint_every=checkpoint_every,
            precision=precision,
            device=device,
            seed=seed,
        )
        self.categorical = categorical
        self.continuous = continuous
        self.weight = weight

    def _game(self) -> Game:
        whole = isinstance(self.categorical, list | tuple) and all(isinstance(k, int) for k in self.categorical)
        if not whole or any(levels < 2 for levels in self.categorical):
            raise InputError(
                f"categorical must be a list of numbers of levels, 2 or more each, not {self.categorical!r}"
            )
        if not isinstance(self.continuous, int) or self.continuous < 0:
            raise InputError(f"continuous must be a whole number of at least 0, not {self.continuous!r}")
        if not self.code_names:
            raise InputError("categorical and continuous are both empty: give at least one code, or take GAN")
        if not self.weight > 0:
            raise InputError(f"weight must be a positive number, not {self.weight!r}")
        return super()._game()

    def _networks(
        self, codec: Codec, network: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[nn.Module, nn.Module | None]:
        size = sum(self.categorical) + self.continuous
        noisy = {**network, "noise_size": network["noise_size"] + size}
        decoder, critic = networks.build(codec, **noisy, generator=generator)
        outputs = asdict(Shape(outputs=reads(self.categorical, self.continuous)))
        _, reader = networks.build(codec, **{**network, "shape": outputs}, generator=generator)
        assert reader is not None
        made = CodedGenerator(
            decoder,
            reader,
            categorical=self.categorical,
            continuous=self.continuous,
            place=int(getattr(decoder, "k", 0)),
            weight=float(self.weight),
        )
        return made, critic

    # ---- codes

    @property
    def code_names(self) -> tuple[str, ...]:
        """c1, c2, ... of the one-hot codes, u1, u2, ... of the numbers."""
        levels, numbers = range(len(self.categorical)), range(self.continuous)
        return (*(f"c{i + 1}" for i in levels), *(f"u{i + 1}" for i in numbers))

    def sample(
        self,
        n: int,
        *,
        given: Any = None,
        refine: str | None = None,
        real: Any = None,
        seed: int | None = None,
        codes: Mapping[str, Any] | None = None,
    ) -> Any:
        """`n` new rows. codes: by name, a level (from 0) or a number in [-1, 1], for all rows or one for each; those
        left out are drawn. The same seed draws the same noise, whatever the codes. The rest as for `GAN`."""
        return to_container(self.sample_dataset(n, given=given, refine=refine, real=real, seed=seed, codes=codes))

    def sample_dataset(
        self,
        n: int,
        *,
        given: Any = None,
        refine: str | None = None,
        real: Any = None,
        seed: int | None = None,
        codes: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """As `sample`, with `made_by`, in which the codes are kept."""
        if codes and (given is not None or refine is not None):
            raise InputError("codes cannot be had together with given or refine; sample with one of them")
        first = super().sample_dataset(n, given=given, refine=refine, real=real, seed=seed)
        if not codes:
            return first
        assert first.made_by is not None
        noise = torch.from_numpy(latent.latents(self, n, first.made_by["seed"]))
        own = self._coded()
        noise = own.with_codes(noise, self._set(own.codes(noise).clone(), codes))
        drawn = latent.decode_dataset(self, noise, seed=first.made_by["seed"])
        told = {name: np.asarray(value).tolist() for name, value in codes.items()}
        return replace(drawn, made_by={**first.made_by, "codes": told})

    def codes(self, data: Any) -> dict[str, np.ndarray]:
        """What Q reads in the rows of `data`, by the code's name: the likeliest level, or the mean of the number."""
        dataset = read_rows(self, data)
        with torch.no_grad():
            found = [self._coded().read(x) for x in chunks(self, dataset)]
        levels = [torch.cat([one[0][i].argmax(1) for one in found]) for i in range(len(self.categorical))]
        numbers = torch.cat([mean for _, mean, _ in found]).T
        return {name: one.cpu().numpy() for name, one in zip(self.code_names, [*levels, *numbers], strict=True)}

    def information(self, n: int = 10_000, *, seed: int = 0) -> dict[str, Information]:
        """What samples tell of every code, by its name, estimated from `n` of them."""
        noise = torch.from_numpy(latent.latents(self, n, seed)).to(next(self.generator_.parameters()).device)
        own = self._coded()
        with torch.no_grad():
            surprise = torch.cat([own.surprise(own(part), own.codes(part)) for part in noise.split(1024)]).cpu()
        told = torch.tensor(own.entropies) - surprise
        most: list[float | None] = [*own.entropies[: len(self.categorical)], *[None] * self.continuous]
        return {
            name: Information(float(one.mean()), float(one.std() / n**0.5), cap)
            for name, one, cap in zip(self.code_names, told.T, most, strict=True)
        }

    def _coded(self) -> CodedGenerator:
        self._require_fitted()
        assert isinstance(self.generator_, CodedGenerator)
        return self.generator_

    def _set(self, mine: Tensor, codes: Mapping[str, Any]) -> Tensor:
        """The codes `(n, size)` with those asked for in place."""
        sizes = [*self.categorical, *[1] * self.continuous]
        starts = dict(zip(self.code_names, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        for name, value in codes.items():
            if name not in starts:
                raise InputError(f"unknown code {name!r}; this model has {', '.join(self.code_names)}")
            at, asked = starts[name], np.asarray(value)
            if asked.shape not in ((), (len(mine),)) or asked.dtype.kind not in "iuf":
                raise InputError(
                    f"code {name}: give one number, or one for each of the {len(mine)} rows, not {value!r}"
                )
            if name.startswith("u"):
                if not bool((np.abs(asked) <= 1).all()):
                    raise InputError(f"code {name}: its numbers lie between -1 and 1, not {_short(value)}")
                mine[:, at] = torch.as_tensor(asked, dtype=mine.dtype)
                continue
            levels = sizes[self.code_names.index(name)]
            if not bool(((asked >= 0) & (asked < levels) & (asked == np.floor(asked))).all()):
                raise InputError(f"code {name}: its levels are 0 to {levels - 1}, not {_short(value)}")
            index = torch.as_tensor(asked, dtype=torch.long).expand(len(mine))
            mine[:, at : at + levels] = torch.nn.functional.one_hot(index, levels).to(mine.dtype)
        return mine


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
