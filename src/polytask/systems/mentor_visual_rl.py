"""MENTOR: a mixture of experts as the actor of a visual agent, perturbed towards its best past weights (Huang et al. 2024).

Two ways to train. Without `environment`, the actor clones logged actions, one head a task. With it, the agent acts in that
environment and learns off-policy (DrQ-v2 with MENTOR's exploration, targets and perturbation); the logged rows then only score.
"""

card = {
    "title": "MENTOR: mixture-of-experts visual control with task-oriented perturbation",
    "paper": "Huang et al., MENTOR: Mixture-of-Experts Network with Task-Oriented Perturbation for Visual Reinforcement "
    "Learning, 2024, https://arxiv.org/abs/2410.14972",
    "year": 2024,
    "field": "control",
    "kind": "mixture of experts",
    "example": {
        "inputs": {"pixels": "pixels 9 20 20"},
        "tasks": {"pendulum": "control 1", "mountain_car": "control 1", "cart_pole": "control 1"},
    },
    "defaults": {
        "training": {"lr": 1e-3, "weight_decay": 0.0, "average": 0.0, "batch_size": 64, "epochs": 40, "save_every": 60.0}
    },
}

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.optim import Optimizer

from polytask.core import Batch, Fit, OptionError, Parameters, PerTask, Schema, Stage, System, Task, opt
from polytask.nn.dormant import BestWeights, dormant_ratio, fresh_weights, perturb, weight_names
from polytask.nn.drq import Estimate, PixelEncoder, Trunk, bounded_noise, expectile_loss, follow, orthogonal, random_shift
from polytask.nn.moe_topk import Mixed, TopKMoE

_SMALL = "small images, small network; the authors' code: "
_CODE = "the authors' code, cfgs/agent/mentor.yaml"


@dataclass(frozen=True)
class Options:
    """The network, then what learning in an environment needs."""

    channels: int = opt(16, "channels of each convolution", ours=_SMALL + "32", ge=1)
    feature: int = opt(50, "width of the trunks", paper="DrQ-v2, table 2", ge=1)
    hidden: int = opt(128, "width of the hidden layers", ours=_SMALL + "1024", ge=1)
    middle: Literal["moe", "mlp"] = opt(
        "moe",
        "the actor's middle: the mixture, or a perceptron of equal size",
        paper="ablation",
        choices=("moe", "mlp"),
    )
    experts: int = opt(8, "experts of the actor", ours=_SMALL + "16", ge=1)
    top: int = opt(2, "experts that each row uses", ours=_SMALL + "4 of 16", ge=1)
    expert: int = opt(32, "width of the hidden layer of an expert", ours=_SMALL + "256", ge=1)
    gate: int = opt(32, "width of the hidden layer of the gate", ours=_SMALL + "256", ge=1)
    dropout: float = opt(0.1, "dropout in the gate", paper=_CODE, ge=0, lt=1)
    auxiliary: Literal["paper", "balance"] = opt(
        "paper", "the gate's own loss: variance of use plus entropy, or a balance term with a gradient",
        paper="the authors' code, moe.py", choices=("paper", "balance"),
    )  # fmt: skip
    auxiliary_weight: float = opt(0.002, "weight of the gate's own loss", paper=_CODE, ge=0)
    shift: int = opt(2, "pixels by which remembered images are shifted at random", ours="DrQ-v2 takes 4 of 84", ge=0)
    environment: str = opt(
        "", "what to act in: a world's name or a Gymnasium id (empty: clone logged actions)", ours="as wanted"
    )
    steps: int = opt(500, "actions an epoch", ours="episodes begin anew with each", ge=1)
    explore: int = opt(2000, "random actions before the first update", paper=_CODE, ge=1)
    every: int = opt(2, "actions an update", paper="DrQ-v2, table 2", ge=1)
    replay_batch: int = opt(256, "transitions an update", paper="DrQ-v2, table 2", ge=1)
    capacity: int = opt(
        200_000,
        "observations that are remembered (each takes its pixels in bytes)",
        paper="the authors' code, cfgs/config.yaml",
        ge=2,
    )
    n_step: int = opt(3, "steps a return", paper="DrQ-v2, table 2", ge=1)
    gamma: float = opt(0.99, "discount a step", paper="DrQ-v2, table 2", ge=0, le=1)
    reward_scale: float = opt(1.0, "factor of rewards", ours="rewards should lie within about 1, as in DMC", gt=0)
    tau: float = opt(0.01, "how fast the target critic follows", paper="DrQ-v2, table 2", gt=0, le=1)
    clip: float = opt(0.3, "largest noise of actions in targets", paper="DrQ-v2, table 2", gt=0)
    actor_clip: float = opt(1e-3, "largest gradient norm of the actor", paper="the authors' code, agents/mentor.py", gt=0)
    actor_rate: float = opt(
        0.1, "learning rate of the actor, as a multiple of the others'", gt=0,
        ours="measured: at 1 (the code's, with 1e-4) a small actor saturates before the critics know anything",
    )  # fmt: skip
    anneal: int = opt(
        100_000, "actions until exploration has fallen to 0.1 once few neurons sleep", ours="by task in the code", ge=1
    )
    exploit: float = opt(
        0.6, "largest share of the exploiting value in targets", paper="the authors' code, by task", ge=0, le=1
    )
    expectile: float = opt(0.9, "expectile of the exploiting value", paper=_CODE, gt=0, lt=1)
    perturb: Literal["top", "random", "none"] = opt(
        "top",
        "perturb towards the best agents' weights, fresh ones, or not",
        paper="ablation",
        choices=("top", "random", "none"),
    )
    interval: int = opt(10_000, "updates between perturbations", paper=_CODE, ge=1)
    keep_most: float = opt(
        0.8, "largest share of the weights that a perturbation keeps", ours="0.6 to 1 in the code", gt=0, le=1
    )
    best: int = opt(10, "agents whose weights are remembered", paper=_CODE, ge=2)


class Actor(nn.Module):
    """`tanh` is the tasks' own: a head gives the action before it. Everything but the heads is shared."""

    def __init__(self, inputs: int, options: Options, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        o = options
        self.trunk = Trunk(inputs, o.feature)
        self.first = nn.Sequential(nn.Linear(o.feature, o.hidden), nn.ReLU())
        mixture = TopKMoE(o.hidden, o.hidden, o.experts, min(o.top, o.experts), o.expert, o.gate, o.dropout)
        self.middle: nn.Module = mixture
        if o.middle == "mlp":
            width = round((sum(p.numel() for p in mixture.parameters()) - o.hidden) / (2 * o.hidden + 1))
            self.middle = nn.Sequential(nn.Linear(o.hidden, width), nn.ReLU(), nn.Linear(width, o.hidden))
        self.heads = PerTask({name: nn.Linear(o.hidden, task.output_shape[0]) for name, task in tasks.items()})

    def forward(
        self, features: Float[Tensor, "batch width"], tasks: Sequence[str], counted: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Mixed | None]:
        x = self.first(self.trunk(features))
        mixed = self.middle(x, counted) if isinstance(self.middle, TopKMoE) else None
        x = torch.relu(self.middle(x) if mixed is None else mixed.output)
        return {name: self.heads[name](x) for name in tasks}, mixed


class Learner(nn.Module):
    """What learning in an environment adds: critics, the exploiting value, the best agents, and where exploration stands."""

    seed: Tensor
    acted: Tensor
    awake: Tensor
    dormancy: Tensor
    recent: Tensor

    def __init__(self, inputs: int, options: Options, actions: int) -> None:
        super().__init__()
        self.critic = Estimate(inputs, options.feature, options.hidden, 2, actions)
        self.target = Estimate(inputs, options.feature, options.hidden, 2, actions)
        self.value = Estimate(inputs, options.feature, options.hidden, 1)
        self.register_buffer("seed", torch.randint(2**31 - 1, ()))
        self.register_buffer("acted", torch.zeros(()))
        self.register_buffer("awake", torch.tensor(-1.0))
        self.register_buffer("dormancy", torch.ones(()))
        self.register_buffer("recent", torch.full((10,), torch.nan))

    def deviation(self, anneal: int) -> Float[Tensor, ""]:
        """Of exploration: `0.8 sigmoid(10 (beta - 0.2))`; once beta has been below 0.2, at least what falls from 1 to 0.1."""
        asleep = 0.8 * torch.sigmoid(10 * (self.dormancy - 0.2))
        falling = 1 - 0.9 * ((self.acted - self.awake) / anneal).clamp(0, 1)
        return torch.where(self.awake < 0, asleep, torch.maximum(asleep, falling))


class Mentor(System):
    """`a = tanh(head_t(relu(MoE(relu(W trunk(encoder(frames)))))))`; in an environment also critics, value and perturbation.

    Deviations. All losses share one Adam and one backward pass; features are detached and critics frozen where the authors
    have optimizers of their own, so that only the order of updates differs. The gate's loss enters with its stated weight of
    0.002; in the authors' code the weight is computed and the raw loss added. Experts are perturbed like all else (there a
    filter by name misses them); convolutions are left alone (there too: the filter knows linear layers only). Random episodes
    do not enter the set of the best agents.
    """

    options_type = Options
    representation = "actor.first"

    def __init__(self, encoder: PixelEncoder, actor: Actor, tasks: Mapping[str, Task], pixels: str, options: Options) -> None:
        super().__init__(tasks)
        self.encoder, self.actor, self.pixels, self.options = encoder, actor, pixels, options
        self.acting = options.environment if options.environment in tasks else next(iter(tasks))
        self.learner: Learner | None = None
        self.best: BestWeights | None = None
        if options.environment:
            self.learner = Learner(encoder.width, options, tasks[self.acting].output_shape[0])
        self.apply(orthogonal)
        if self.learner:
            self.learner.target.load_state_dict(self.learner.critic.state_dict())
            self.learner.target.requires_grad_(False)
            self.best = BestWeights(options.best, self, self._perturbed()) if options.perturb == "top" else None

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "Mentor":
        if [item.kind for item in schema.inputs.values()] != ["pixels"]:
            found = ", ".join(f"{name} ({item.kind})" for name, item in schema.inputs.items())
            raise OptionError.of("inputs", f"takes one input, of kind pixels; got {found}", "List the others under ignore")
        (name, item), o = next(iter(schema.inputs.items())), options
        others = [task.name for task in schema.tasks.values() if task.kind != "control"]
        if others:
            raise OptionError.of("tasks", f"are of kind control here; not {', '.join(others)}", "Declare them as control")
        shape = (item.channels, item.height, item.width)  # type: ignore[attr-defined]
        if min(shape[1:]) < PixelEncoder.least:
            raise OptionError.of(f"input '{name}'", f"has {shape[1]} x {shape[2]} pixels", f"{PixelEncoder.least} are needed")
        encoder = PixelEncoder(shape, o.channels)
        return cls(encoder, Actor(encoder.width, o, schema.tasks), schema.tasks, name, o)

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        return self._act(batch, tuple(self.tasks) if tasks is None else tasks)[0]

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Of behaviour cloning, and of the gate over rows that have a label."""
        counted = batch.labelled.stack(tuple(batch.labelled)).any(1)
        outputs, mixed = self._act(batch, batch.tasks, counted)
        return self.task_losses(outputs, batch) | self._gate(mixed)

    def _act(self, batch: Batch, tasks: Sequence[str], counted: Tensor | None = None) -> tuple[dict[str, Tensor], Mixed | None]:
        features = self.encoder(batch.inputs.tensor(self.pixels))
        found: tuple[dict[str, Tensor], Mixed | None] = self.actor(features, tasks, counted)
        return found

    def _gate(self, mixed: Mixed | None) -> dict[str, Tensor]:
        if mixed is None:
            return {}
        loss = mixed.spread + mixed.entropy if self.options.auxiliary == "paper" else mixed.balance
        return {"gate": self.options.auxiliary_weight * loss}

    def tables(self, batch: Batch) -> dict[str, pa.Table]:
        """`experts`: the weight of each expert in each row."""
        with torch.inference_mode():
            mixed = self._act(batch, ())[1]
        if mixed is None:
            return {}
        return {"experts": pa.table({f"expert_{e}": w.cpu().numpy() for e, w in enumerate(mixed.weights.unbind(1))})}

    def stages(self) -> Sequence[Stage]:
        """Cloning; or learning in the environment, scored by the returns of its own last episodes."""
        if self.learner is None:
            return [Fit()]
        from polytask.data.replay import Replay
        from polytask.data.worlds.pixel_control import environment

        o, (channels, height, _) = self.options, self.encoder.shape
        world = environment(o.environment, height, channels // 3)
        actions = self.tasks[self.acting].output_shape[0]
        if (world.shape, world.actions) != (self.encoder.shape, actions):
            raise OptionError.of(
                "system.environment",
                f"'{o.environment}' gives images of {world.shape} and takes {world.actions} numbers; the rows have images of "
                f"{self.encoder.shape}, and task '{self.acting}' {actions} numbers",
            )
        source = Replay(
            world, self.act, steps=o.steps, explore=o.explore, every=o.every, batch=o.replay_batch, capacity=o.capacity,
            n_step=o.n_step, gamma=o.gamma, seed=int(self.learner.seed), finished=self._finished,
        )  # fmt: skip
        critics = [*self.encoder.parameters(), *self.learner.critic.parameters(), *self.learner.value.parameters()]
        groups = [Parameters(critics), Parameters(list(self.actor.parameters()), lr=o.actor_rate, clip=o.actor_clip)]
        return [Fit("act", "rl_losses", (), groups, source, score="returns", patience=False, after=self._after_update)]

    @property
    def _learner(self) -> Learner:
        assert self.learner is not None, "there is no environment"
        return self.learner

    def act(
        self, observation: UInt8[Tensor, "one channels height width"], generator: torch.Generator
    ) -> Float[Tensor, "one actions"]:
        """The action of the policy with the noise of exploration."""
        device, learner = self._learner.acted.device, self._learner
        training = self.training
        self.actor.eval()
        mean = self.actor(self.encoder(observation.to(device)), (self.acting,))[0][self.acting].tanh()
        self.actor.train(training)
        noise = torch.randn(mean.shape, generator=generator).to(device) * learner.deviation(self.options.anneal)
        learner.acted += 1
        return bounded_noise(mean, noise)

    def rl_losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The critics' temporal difference, the exploiting value's expectile, the actor's `-Q`, and the gate's."""
        learner, o = self._learner, self.options
        action, reward, discount = (batch.inputs.tensor(name) for name in ("action", "reward", "discount"))
        z = self.encoder(random_shift(batch.inputs.tensor("observation"), o.shift))
        still = z.detach()
        with torch.no_grad():
            self._watch(still)
            after = self.encoder(random_shift(batch.inputs.tensor("next"), o.shift))
            explored = learner.target(after, self._noisy(after)[0]).min(-1).values
            share = o.exploit * torch.sigmoid(-50 * (learner.dormancy - 0.2))
            target = o.reward_scale * reward + discount * (share * learner.value(after)[:, 0] + (1 - share) * explored)
        q = learner.critic(z, action)
        value = expectile_loss(learner.value(still)[:, 0], q.detach().min(-1).values, o.expectile)
        chosen, mixed = self._noisy(still)
        frozen = {name: parameter.detach() for name, parameter in learner.critic.named_parameters()}
        actor = -torch.func.functional_call(learner.critic, frozen, (still, chosen)).min(-1).values.mean()
        critic = ((q - target[:, None]) ** 2).mean(0).sum()
        return {"critic": critic, "value": value, "actor": actor} | self._gate(mixed)

    def _noisy(self, features: Tensor) -> tuple[Tensor, Mixed | None]:
        outputs, mixed = self.actor(features, (self.acting,))
        mean = outputs[self.acting].tanh()
        deviation = self._learner.deviation(self.options.anneal)
        return bounded_noise(mean, torch.randn_like(mean) * deviation, self.options.clip), mixed

    def _watch(self, features: Tensor) -> None:
        """Count the dormant neurons of the actor, and note when they have first become few."""
        learner = self._learner
        learner.dormancy.copy_(dormant_ratio(self.actor, lambda: self.actor(features, (self.acting,))))
        first = (learner.awake < 0) & (learner.dormancy < 0.2)
        learner.awake.copy_(torch.where(first, learner.acted, learner.awake))

    def _after_update(self, optimizer: Optimizer, updates: int) -> None:
        follow(self._learner.target, self._learner.critic, self.options.tau)
        if self.options.perturb != "none" and updates % self.options.interval == 0:
            self._perturb()
            optimizer.state.clear()

    def _perturb(self) -> None:
        """`w <- alpha w + (1 - alpha) phi`, `alpha = clip(1 - 2 beta, 0.2, keep_most)`; phi of the best agents, or fresh ones
        where these are wanted, or fewer than two agents are known."""
        towards = self.best.draw() if self.best else None
        if towards is None:
            parts = nn.ModuleDict({"actor": self.actor, "learner": self._learner})
            towards = fresh_weights(parts, orthogonal, self._perturbed())
        perturb(self, towards, (1 - 2 * self._learner.dormancy).clamp(0.2, self.options.keep_most))

    def _perturbed(self) -> list[str]:
        return [name for name in weight_names(self) if not name.startswith("encoder.")]

    def _finished(self, total: float) -> None:
        self._learner.recent.copy_(self._learner.recent.roll(1))
        self._learner.recent[0] = total
        if self.best:
            self.best.add(total, self)

    def returns(self) -> float:
        """The mean return of the last ten episodes of training."""
        mean = self._learner.recent.nanmean()
        return float(mean.nan_to_num(torch.finfo(mean.dtype).min))
