"""One adversarial step, in its two forms.

`direct`: both networks descend their losses.

    critic     descends  mean[ loss_D(D(x), D(y)) + charges ]       y = G(z), frozen
    generator  descends  mean[ loss_G(D(x), D(G(z))) ]              D as just updated, frozen

`target`: the samples move first, by lambda_1 along a velocity in data space, and the generator is then regressed onto
where they went, k times; lambda_2 is its learning rate in parameter space.

    t = y + lambda_1 V(y, x),     generator descends  mean[ |G(z) - t|^2 / 2 ]

V is minus the gradient of the generator's loss, or any other velocity (`flow`: a kernel's score difference, a drift,
...), which needs no critic. With the loss's own gradient, lambda_1 = 1 and k = 1 both forms have the same gradient:
d/dtheta |G - t|^2 / 2 = (y - t).dG = grad_y loss_G . dG.

The generator may descend several losses, its game's beside charges and a user's terms: their sum, or together in one of
the ways of `objectives.several` (`Rules.combine`).

What is played need not be bare samples. The critic judges *rows*, and a generator may make more of them than a sample:
joined with a condition (conditional), with the noise they came from (bidirectional), two domains' side by side
(translation). Such a generator may have, beside `noise` and its call,

    data(x, draw)    the rows the critic sees of data x, of weights of its own where it likes: an encoder's (x, E(x))
    owes(play, z)    what it pays besides the objective (a cycle's, an identity's, a class's term), by name, weighted;
                     `charges` lists the names
    emit(z)          the data rows alone, where its call gives more
    learn(x, moment) what it descends on data where there is neither objective nor velocity (a likelihood), by name

Where the data's side moves too, both sides want to be taken for each other: the loss is the critic's with the sides
exchanged, loss_D(b, a), and its gradient goes through both (Donahue et al. 2017, Dumoulin et al. 2017). A critic that
plays several `games` at once gives a score for each, `(n, k)`; their losses add up, as their penalties do.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import InputError
from ..nets.joint import Joint
from ..objectives import Objective
from ..objectives.several import combined
from .draw import Draw, Moment
from .regularisers.base import Play, Regulariser, Scene, Score

Velocity = Callable[[Tensor, Tensor, Moment], Tensor]
"""(samples `(m, *event)`, data `(n, *event)`, moment) -> displacement at unit rate `(m, *event)`."""

Term = Callable[[Tensor, Tensor], Tensor]
"""(data `(n, *event)`, samples `(m, *event)` with the generator's graph) -> losses, `(m,)` or `()`."""

Descend = Callable[[Tensor], None]


@runtime_checkable
class Learner(Protocol):
    """A network that learns from data alone."""

    charges: tuple[str, ...]

    def learn(self, x: Tensor, moment: Moment) -> dict[str, Tensor]: ...


@runtime_checkable
class Generator(Protocol):
    """Noise for n rows, and rows for noise."""

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor: ...

    def __call__(self, noise: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Rules:
    """What a run plays: the loss, or the velocity in place of one; the regularisers; the form of the generator's step.

    lambda_1: None for the direct form; the rate in data space for the target form, with `regressions` steps of the
    generator to each target. n_critic: critic steps to one of the generator's. view: what the critic sees of a batch.
    joint: how joint rows are made up, where they are; only data in them are viewed. charges: what the generator owes.
    terms: what else it descends, by name. combine: how its losses are descended together, a way of `objectives.several`
    with its `preference` (all alike where empty), over the game's loss, the charges and the terms, in this order; their
    sum where empty. even: noise lies evenly in a batch (`even_noise`), where the generator can.
    """

    objective: Objective | None
    regularisers: tuple[Regulariser, ...] = ()
    lambda_1: float | None = None
    regressions: int = 1
    n_critic: int = 1
    velocity: Velocity | None = None
    view: Callable[[Tensor, Moment], Tensor] = field(default=lambda rows, moment: rows)
    joint: Joint | None = None
    charges: tuple[str, ...] = ()
    terms: Mapping[str, Term] = field(default_factory=dict)
    combine: str = ""
    preference: tuple[float, ...] = ()
    even: bool = False

    @property
    def adversarial(self) -> bool:
        """Whether there is a critic to train."""
        return self.velocity is None and self.objective is not None and self.objective.critic is not None

    @property
    def figures(self) -> tuple[str, ...]:
        """What a step reports."""
        if self.adversarial:
            assert self.objective is not None
            ranked = () if self.objective.reads == "embedding" else ("gap", "accuracy")  # vectors have no order
            return ("critic_loss", "generator_loss", *ranked, "penalty", *self.charges, *self.terms)
        return ("generator_loss", *(self.charges if self.learns else self.terms))

    @property
    def learns(self) -> bool:
        """Whether nothing is played: the generator descends what it owes on data alone."""
        return self.objective is None and self.velocity is None

    def seen(self, rows: Tensor, moment: Moment) -> Tensor:
        """What the critic sees of `rows`, of one side."""
        if self.joint is None:
            return self._viewed(rows, moment)
        parts = self.joint.split(rows)
        seen = [self._viewed(part, moment) if i in self.joint.viewed else part for i, part in enumerate(parts)]
        return self.joint.join(*seen)

    def _viewed(self, rows: Tensor, moment: Moment) -> Tensor:
        rows = self.view(rows, moment)
        for one in self.regularisers:
            rows = one.view(rows, moment)
        return rows

    def scores(self, network: nn.Module, moment: Moment) -> Callable[[Mapping[str, Tensor]], Score]:
        """For weights put in by name (none: its own), what scores rows as the critic sees them."""

        def with_weights(weights: Mapping[str, Tensor]) -> Score:
            if not weights:
                return lambda rows: network(self.seen(rows, moment))
            return lambda rows: functional_call(network, dict(weights), (self.seen(rows, moment),))

        return with_weights


def step(
    rules: Rules,
    generator: Generator | Learner,
    critic: nn.Module | None,
    descend_generator: Descend,
    descend_critic: Descend | None,
    batches: Callable[[], Tensor],
    moment: Moment,
) -> dict[str, Tensor]:
    """`n_critic` critic steps, then the generator's; the `Rules.figures` of the last, detached, on the device.

    `batches()` gives the next data `(n, *event)`. In a run without a critic, `critic` is None.
    """
    if critic is None or descend_critic is None:
        x = batches()
        if isinstance(generator, Learner) and rules.learns:
            return _learning_step(rules, generator, descend_generator, x, moment)
        assert isinstance(generator, Generator)
        z = _noise(generator, len(x), moment)
        return _generator_step(rules, generator, descend_generator, None, x, z, generator(z), moment)
    assert isinstance(generator, Generator)
    for turn in range(rules.n_critic):
        x = batches()
        z = _noise(generator, len(x), moment, even=rules.even)
        with torch.set_grad_enabled(turn == rules.n_critic - 1):
            x, y = data_rows(generator, x, moment.draw), generator(z)
        told = _critic_step(rules, critic, descend_critic, x.detach(), y.detach(), moment)
    return _told(rules, *told) | _generator_step(rules, generator, descend_generator, critic, x, z, y, moment)


def _noise(generator: Generator, n: int, moment: Moment, *, even: bool = False) -> Tensor:
    draw = moment.draw
    noise = getattr(generator, "even_noise", generator.noise) if even else generator.noise
    return draw.mine(noise(draw.world_size * n, generator=draw.generator))


def emitter(generator: Generator | nn.Module) -> Callable[[Tensor], Tensor]:
    """What gives data rows for noise: the generator itself, or its `emit` where its call gives more than those."""
    found: Callable[[Tensor], Tensor] = getattr(generator, "emit", generator)
    return found


def data_rows(generator: Generator | nn.Module, x: Tensor, draw: Draw) -> Tensor:
    """What the critic sees of data `x`: as they are, or as the generator joins them."""
    join = getattr(generator, "data", None)
    rows: Tensor = x if join is None else join(x, draw)
    return rows


# ---- the critic


def _critic_step(
    rules: Rules, critic: nn.Module, descend: Descend, x: Tensor, y: Tensor, moment: Moment
) -> tuple[Tensor, Tensor, Scene]:
    """The critic moves; its loss and charge before, and the scene."""
    for one in rules.regularisers:
        y = one.replay(y, moment)
    scene = critic_scene(rules, critic, x, y, moment)
    loss, charge = critic_loss(rules, scene)
    with torch.no_grad():
        for one in rules.regularisers:
            one.observe(scene)
    descend(loss + charge)
    for one in rules.regularisers:
        one.after(scene.weights)
    return loss, charge, scene


def _told(rules: Rules, loss: Tensor, charge: Tensor, scene: Scene) -> dict[str, Tensor]:
    """The figures of a critic step."""
    a, b = scene.a.detach(), scene.b.detach()
    figures = {"critic_loss": loss.detach(), "penalty": charge.detach()}
    if "gap" not in rules.figures:
        return figures
    return figures | {"gap": a.mean() - b.mean(), "accuracy": (a > b).float().mean()}


def critic_scene(rules: Rules, critic: nn.Module, x: Tensor, y: Tensor, moment: Moment) -> Scene:
    """Both batches scored in one call."""
    assert rules.objective is not None
    score = rules.scores(critic, moment)
    see = score({})
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    # each side is seen on its own, so that processes draw for it what one would
    a, b = critic(torch.cat([rules.seen(x, moment), rules.seen(y, moment)])).chunk(2)
    loss = _mean(rules.objective, rules.objective.critic, moment.draw)
    signs = None
    if a.dim() > 1:  # of all processes alike
        flips = torch.randint(2, a.shape[1:], generator=moment.draw.generator, device=moment.draw.device)
        signs = (2 * flips - 1).to(a.dtype)
    weights = list(critic.parameters()) if rules.regularisers else []
    return Scene(see, critic, score, x, y, moment, loss, a, b, weights, signs)


def critic_loss(rules: Rules, scene: Scene) -> tuple[Tensor, Tensor]:
    """Mean loss and mean charges of the critic."""
    loss = scene.loss(scene.a, scene.b)
    charges = []
    for one in rules.regularisers:
        rows = one.charge(scene)
        weights = one.inertia("critic", scene.weights)
        charges += [] if rows is None else [rows.mean()]
        charges += [] if weights is None else [weights]
    return loss, sum(charges[1:], charges[0]) if charges else loss.new_zeros(())


def _mean(
    objective: Objective, loss: Callable[[Tensor, Tensor], Tensor] | None, draw: Draw
) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean of a loss over this process's rows; of a joint loss, over those of all; of several games, their sum."""
    assert loss is not None
    taken = loss

    def mean(a: Tensor, b: Tensor) -> Tensor:
        if objective.joint and draw.world_size > 1:
            a, b = draw.gather(a), draw.gather(b)
        if a.dim() > 1 and objective.reads == "scores":
            games = zip(a.unbind(1), b.unbind(1), strict=True)
            return torch.stack([taken(one, other).mean() for one, other in games]).sum()
        return taken(a, b).mean()

    return mean


# ---- the generator


def _generator_step(
    rules: Rules,
    generator: Generator,
    descend: Descend,
    critic: nn.Module | None,
    x: Tensor,
    z: Tensor,
    y: Tensor,
    moment: Moment,
) -> dict[str, Tensor]:
    inertia = _Inertia(rules.regularisers, generator)
    if rules.lambda_1 is None:
        loss = generator_loss(rules, critic, x, y, moment)
        owed = _owed(rules, generator, critic, x, y, z, moment)
        descend(inertia(_together(rules, generator, [loss, *owed.values()])))
        return {"generator_loss": loss.detach(), **{name: charge.detach() for name, charge in owed.items()}}
    if x.requires_grad:
        raise InputError("the target step moves samples only, and this model's data side moves too; leave lambda_1 out")
    target = move(rules, critic, x, y, moment)
    for turn in range(rules.regressions):
        y = generator(z) if turn else y
        loss = regression_loss(y, target)
        owed = _owed(rules, generator, critic, x, y, z, moment)
        if turn == 0:
            first = {"generator_loss": loss.detach(), **{name: charge.detach() for name, charge in owed.items()}}
        descend(inertia(_together(rules, generator, [loss, *owed.values()])))
    return first


def _learning_step(rules: Rules, generator: Learner, descend: Descend, x: Tensor, moment: Moment) -> dict[str, Tensor]:
    told = generator.learn(x, moment)
    owed = {name: told[name].mean() for name in rules.charges}
    descend(_Inertia(rules.regularisers, generator)(_together(rules, generator, list(owed.values()))))
    loss = torch.stack(list(owed.values())).sum()
    return {"generator_loss": loss.detach(), **{name: charge.detach() for name, charge in owed.items()}}


def _owed(
    rules: Rules, generator: Generator, critic: nn.Module | None, x: Tensor, y: Tensor, z: Tensor, moment: Moment
) -> dict[str, Tensor]:
    """What the generator pays besides the objective: the mean of every charge and term."""
    found = {name: term(x, y).mean() for name, term in rules.terms.items()}
    if not rules.charges or critic is None:
        return found
    owed = generator.owes(_play(rules, critic, x, y, moment), z)  # type: ignore[attr-defined]
    return {name: owed[name].mean() for name in rules.charges} | found


def _together(rules: Rules, generator: Generator | Learner, losses: list[Tensor]) -> Tensor:
    """One loss to descend in place of several."""
    found = torch.stack(losses)
    if not rules.combine or len(losses) == 1:
        return found.sum()
    assert isinstance(generator, nn.Module)
    preference = found.new_tensor(rules.preference) if rules.preference else None
    return combined(found, list(generator.parameters()), rules.combine, preference=preference)


class _Inertia:
    """A loss with what the regularisers charge for the generator's weights."""

    def __init__(self, regularisers: Iterable[Regulariser], generator: Generator | Learner) -> None:
        self.regularisers = tuple(regularisers)
        self.weights = list(generator.parameters()) if self.regularisers and isinstance(generator, nn.Module) else []

    def __call__(self, loss: Tensor) -> Tensor:
        for one in self.regularisers:
            charge = one.inertia("generator", self.weights)
            loss = loss if charge is None else loss + charge
        return loss


def generator_loss(rules: Rules, critic: nn.Module | None, x: Tensor, y: Tensor, moment: Moment) -> Tensor:
    """The generator's mean loss at its samples `y`, which carry the generator's graph."""
    objective = rules.objective
    assert objective is not None
    loss = _mean(objective, objective.generator, moment.draw)
    if objective.reads == "data":
        return loss(x.flatten(1), y.flatten(1))
    assert critic is not None
    play = _play(rules, critic, x, y, moment)
    see = play.critic
    if objective.reads == "features":
        see = rules.scores(_Hidden(critic), moment)({})
    else:
        for one in rules.regularisers:
            against = one.opponent(play)
            see = against if against is not None else see
    if x.requires_grad:
        a, b = see(x), see(y)
        return loss(a, b) if objective.reads == "features" else play.loss(b, a)
    if not objective.paired:
        b = see(y)
        return loss(torch.zeros_like(b), b)
    with torch.no_grad():
        a = see(x)
    return loss(a, see(y))


def _play(rules: Rules, critic: nn.Module, x: Tensor, y: Tensor, moment: Moment) -> Play:
    """The game as the generator finds it."""
    assert rules.objective is not None
    score = rules.scores(critic, moment)
    return Play(score({}), critic, score, x, y, moment, _mean(rules.objective, rules.objective.critic, moment.draw))


class _Hidden(nn.Module):
    """The critic's last hidden layer."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic
        if not hasattr(critic, "features"):
            raise InputError(
                f"feature matching reads the critic's hidden layer, but {type(critic).__name__} has no method "
                "features(rows); add one that returns it, `(n, width)`"
            )

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.critic.features(rows)  # type: ignore[operator]
        return found


def regression_loss(y: Tensor, target: Tensor) -> Tensor:
    """mean |y - t|^2 / 2, the norm over all dimensions of a row."""
    return (y - target).flatten(1).square().sum(1).mean() / 2


def move(rules: Rules, critic: nn.Module | None, x: Tensor, y: Tensor, moment: Moment) -> Tensor:
    """Where the samples go: y + lambda_1 V, row by row, detached."""
    rate = 1.0 if rules.lambda_1 is None else rules.lambda_1
    y = y.detach()
    if rules.velocity is not None:
        return y + rate * rules.velocity(y, x, moment)
    y = y.requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(generator_loss(rules, critic, x, y, moment), y)
    # the mean's 1/n is undone: each row moves along its own gradient
    return (y - rate * len(y) * slope).detach()
