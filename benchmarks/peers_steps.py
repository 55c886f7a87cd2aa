"""torchgan's and mimicry's training loops on the networks of `step_nets`, for bench_steps.py.

    PEERS_PYTHON benchmarks/peers_steps.py torchgan mlp-ns [--threads 2] [--device cpu]

Run by the Python of an environment of their own: `pip install torch==... ; pip install --no-deps torchgan
torch-mimicry`. Both import torchvision, TensorBoard and other packages that training does not call; what is not
installed there is a stand-in here. Neither is patched. Their loggers are as quiet as their settings allow.

- torchgan's WGAN-GP is its own: the penalty is a loss of its own, with a draw of samples, a backward pass and an Adam
  step of its own, and one random number and one norm for the whole batch.
- mimicry's WGAN-GP takes images of three channels alone: points are 3 x 1 x 1 there, one number more than for others.
"""

import argparse
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from unittest import mock

import torch
from torch import Tensor, nn

from step_nets import BETAS, GP, RATE, TASKS, Metered, Task, batches, data, networks

# what their modules import and training does not call
IMPORTED = {
    "torchgan": ("torchvision",),
    "mimicry": ("torchvision", "torch._six", "torch.utils.tensorboard", "tensorflow", "requests", "skimage", "PIL"),
}


def stand_in(names: Sequence[str]) -> None:
    """Put a stand-in where a package of these names would be imported and is not installed."""
    for name in names:
        if name.startswith("torch.") or importlib.util.find_spec(name) is None:
            for part in (name, *(f"{name}.{sub}" for sub in ("utils", "datasets", "transforms", "models", "pyplot"))):
                sys.modules[part] = mock.MagicMock(__spec__=importlib.machinery.ModuleSpec(part, None))


def torchgan(task: Task, device: str) -> tuple[object, tuple[int, ...]]:
    """(a function of a loader that trains for ever, what an event looks like)."""
    from torchgan import losses, models
    from torchgan.trainer import Trainer

    class Generator(models.Generator):
        def __init__(self) -> None:
            super().__init__(task.noise)
            self.net = networks(task)[0]

        def forward(self, z: Tensor) -> Tensor:
            return self.net(z)

    class Discriminator(models.Discriminator):
        def __init__(self) -> None:
            super().__init__(task.event[0])
            self.net = networks(task)[1]

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    adam = {"name": torch.optim.Adam, "args": {"lr": RATE, "betas": BETAS}}
    if task.loss == "ns":
        objectives = [losses.MinimaxGeneratorLoss(), losses.MinimaxDiscriminatorLoss()]
    else:
        objectives = [
            losses.WassersteinGeneratorLoss(),
            losses.WassersteinDiscriminatorLoss(),
            losses.WassersteinGradientPenalty(lambd=GP),
        ]
    folder = tempfile.mkdtemp()
    trainer = Trainer(
        {
            "generator": {"name": Generator, "optimizer": adam},
            "discriminator": {"name": Discriminator, "optimizer": adam},
        },
        objectives,
        device=torch.device(device),
        ncritic=task.n_critic,
        epochs=1,
        checkpoints=f"{folder}/gan",
        recon=folder,
        test_noise=None,
    )
    return trainer, task.event


def mimicry(task: Task, device: str) -> tuple[object, tuple[int, ...]]:
    """(a function of a loader that trains for ever, what an event looks like)."""
    from torch_mimicry.nets.gan import gan
    from torch_mimicry.nets.wgan_gp import wgan_gp_base
    from torch_mimicry.training import Trainer

    event = (3, 1, 1) if task.net == "mlp" and task.loss == "wgan-gp" else task.event
    plain = task.loss == "ns"
    loss = "ns" if plain else "wasserstein"

    class Generator(gan.BaseGenerator if plain else wgan_gp_base.WGANGPBaseGenerator):
        def __init__(self) -> None:
            super().__init__(nz=task.noise, ngf=0, bottom_width=0, loss_type=loss)
            self.net: nn.Module = networks(task, event)[0]

        def forward(self, z: Tensor) -> Tensor:
            return self.net(z)

    class Discriminator(gan.BaseDiscriminator if plain else wgan_gp_base.WGANGPBaseDiscriminator):
        def __init__(self) -> None:
            super().__init__(ndf=0, loss_type=loss, **({} if plain else {"gp_scale": GP}))
            self.net: nn.Module = networks(task, event)[1]

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    class Labelled:
        """Mimicry's loaders give labels too."""

        def __init__(self, loader: Metered) -> None:
            self.loader, self.batch_size = loader, loader.batch_size
            self.labels = torch.zeros(loader.batch_size, dtype=torch.long)

        def __len__(self) -> int:
            return len(self.loader)

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            return ((x, self.labels) for x in self.loader)

    def train(loader: Metered) -> None:
        d, g = Discriminator().to(device), Generator().to(device)
        rest = 1_000_000_000
        Trainer(
            netD=d,
            netG=g,
            optD=torch.optim.Adam(d.parameters(), RATE, BETAS),
            optG=torch.optim.Adam(g.parameters(), RATE, BETAS),
            dataloader=Labelled(loader),
            num_steps=rest,
            log_dir=tempfile.mkdtemp(),
            n_dis=task.n_critic,
            device=torch.device(device),
            **dict.fromkeys(("print_steps", "vis_steps", "log_steps", "save_steps"), rest),
        ).train()

    return train, event


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=["torchgan", "mimicry"])
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task, answers = TASKS[options.task], os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peers print is not an answer
    stand_in(IMPORTED[options.peer])
    train, event = {"torchgan": torchgan, "mimicry": mimicry}[options.peer](task, options.device)
    train(Metered(batches(data(event, options.device), task.batch), task, answers))


if __name__ == "__main__":
    main()
