"""How torchjd's weightings and aggregators become rules: their options, their state, tasks that a batch lacks, and scale.

Weights are found on the processor (K x K numbers, with solvers that work there). Where all gradients are zero each of k tasks
gets weight 1/k and no state moves. Rules whose weights do not depend on the scale of the Gramian see it divided by its trace:
by theory that changes nothing, in practice it keeps absolute tolerances away from gradients that are merely small.
"""

import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import make_dataclass
from typing import Any, ClassVar, Literal, get_type_hints

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polytask.core import MissingExtra, OptionError, Weighting, opt
from polytask.core.balancer import Sees

from ._at import GradientOptions
from ._draws import Draws
from ._preference import vector

_INTERNAL = {"self", "projector", "f", "n_tasks"}
_PLAIN: dict[Any, Any] = {Tensor | None: tuple[float, ...] | None, float | Tensor: float | tuple[float, ...]}

Given = Mapping[str, tuple[Any, str]]


def made(id: str, source: Any, base: "type[TorchjdRule]", defaults: Given, draws: bool = False) -> "type[TorchjdRule]":
    """The rule for a class of torchjd; its options are the arguments of that class.

    defaults: values, with who says so, of the arguments for which torchjd has none. draws: whether it draws random numbers.
    """
    hints, helps = get_type_hints(source.__init__), _helps(source)
    fields: list[Any] = []
    for name, parameter in inspect.signature(source.__init__).parameters.items():
        if name not in _INTERNAL:
            default, who = defaults.get(name, (parameter.default, "torchjd's"))
            fields.append((name, _PLAIN.get(hints[name], hints[name]), opt(default, helps.get(name, ""), ours=who)))
    arguments = tuple(name for name, _, _ in fields)
    if draws:
        fields.append(("seed", int | None, opt(None, "seed of the draws (None: torch's)", ours="any", ge=0)))
    fields += base.more
    options = make_dataclass(
        f"{source.__name__}Options", fields, bases=(GradientOptions,), frozen=True, namespace={"__doc__": id}
    )
    facts = {
        "Options": options,
        "source": source,
        "arguments": arguments,
        "id": id,
        "draws_numbers": draws,
        "__doc__": source.__doc__,
    }
    return type(source.__name__, (base,), facts)


def _helps(source: Any) -> dict[str, str]:
    """The first sentence that the docstring says of each argument, as plain text."""
    texts = re.findall(r":param (\w+):\s*(.*?)(?=\n\s*(?::|\.\.|\n)|\Z)", inspect.getdoc(source) or "", re.DOTALL)
    plain = {name: re.sub(r":\w+:`~?|`|\\hat|[\\{}]", "", text) for name, text in texts}
    return {name: re.split(r"\.(?:\s|$)", " ".join(text.split()))[0] for name, text in plain.items()}


class TorchjdRule(Weighting):
    """A weighting of torchjd without state, whose weights do not depend on the scale of the Gramian.

    Tasks that the batch lacks are left out of the Gramian.
    """

    id: ClassVar[str]
    source: ClassVar[Any]
    arguments: ClassVar[tuple[str, ...]]
    draws_numbers: ClassVar[bool]
    more: ClassVar[tuple[tuple[str, Any, Any], ...]] = ()
    """Options that torchjd's class does not have: name, type, `opt`."""
    sees: Sees = "gramian"

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__(tasks, options)
        self.at = options.at
        values = {name: getattr(options, name) for name in self.arguments}
        self.vectors = {n: vector(f"{self.id}.{n}", v, tasks, 0.0) for n, v in values.items() if isinstance(v, tuple)}
        self.values = {name: value for name, value in values.items() if name not in self.vectors}
        self.draws = Draws(options.seed) if self.draws_numbers else None
        self.built: dict[Any, Any] = {}
        self.build(torch.arange(self.total))

    def build(self, present: Tensor) -> Any:
        """torchjd's rule for the tasks numbered `present`.

        Raises `MissingExtra` where a solver is not installed, and `OptionError` where torchjd refuses an argument.
        """
        key = tuple(present.tolist()) if self.vectors else len(present)
        if key not in self.built:
            try:
                self.built[key] = self.source(**self.given(present))
            except ImportError as error:
                problem = str(error).partition(" to be installed")[0]
                raise MissingExtra.of(f"balancer '{self.id}'", problem, "pip install 'polytask[balance]'") from error
            except ValueError as error:
                raise OptionError.of(f"balancer '{self.id}'", str(error)) from error
        return self.built[key]

    def given(self, present: Tensor) -> dict[str, Any]:
        """The arguments of torchjd's class."""
        return self.values | {name: values[present.cpu()] for name, values in self.vectors.items()}

    def drawing(self, device: torch.device) -> Any:
        """The block in which torchjd may draw random numbers."""
        return self.draws.globally(device) if self.draws else nullcontext()

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        assert seen is not None
        gramian, present = seen.cpu(), present.cpu()
        if gramian.trace() > 0:
            with self.drawing(gramian.device):
                return self.weigh(gramian, present).to(losses)
        return torch.full_like(losses, 1 / len(losses))

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        """The weights from a Gramian that is not zero, on the processor."""
        return self.ask(gramian / gramian.trace(), present)

    def ask(self, statistic: Tensor, present: Tensor) -> Tensor:
        """What torchjd's rule answers."""
        answer: Tensor = self.build(present)(statistic)
        return answer


class MGDA(TorchjdRule):
    """With `normalise=l2` the min-norm problem sees gradients of length 1, as in Sener and Koltun's code and in ParetoGNN's.

    The weights are then of the gradients as they are. A gradient of length 0 stays so.
    """

    more = (
        (
            "normalise",
            Literal["none", "l2"],
            opt(
                "none",
                "what each gradient is divided by before: nothing, or its length",
                ours="torchjd's",
                choices=("none", "l2"),
            ),
        ),
    )

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        if self.options.normalise == "l2":
            length = gramian.diagonal().sqrt()
            length = torch.where(length > 0, length, 1.0)
            gramian = gramian / (length[:, None] * length)
        return super().weigh(gramian, present)


class Krum(TorchjdRule):
    """With fewer tasks than the rule needs to tell an outlier, all get the same weight."""

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        count = len(present)
        if count < max(self.values["n_byzantine"] + 3, self.values["n_selected"]):
            return gramian.new_full((count,), 1 / count)
        return super().weigh(gramian, present)


class FairGrad(TorchjdRule):
    """The weights solve G w = w^(-1/alpha), so those of t G are t^(-alpha / (1 + alpha)) times those of G."""

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        alpha = self.values["alpha"]
        weights: Tensor = super().weigh(gramian, present) * gramian.trace() ** (-alpha / (1 + alpha))
        return weights


class ByRoot(TorchjdRule):
    """An aggregator that commutes with rotations, asked for the K x K root of the Gramian in place of the Jacobian."""

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        root = root_of(gramian / gramian.trace())
        weights: Tensor = self.ask(root, present) @ torch.linalg.pinv(root)
        return weights


class Elementwise(TorchjdRule):
    """An aggregator that is no combination of gradients: for the log each of k tasks has weight 1/k."""

    sees = "jacobian"

    def forward(
        self, losses: Float[Tensor, "k"], seen: Float[Tensor, "k n"] | None, present: Int[Tensor, "k"]
    ) -> Float[Tensor, "k"]:
        return torch.full_like(losses, 1 / len(losses))

    def combine(
        self, weights: Float[Tensor, "k"], jacobian: Float[Tensor, "k n"], present: Int[Tensor, "k"]
    ) -> Float[Tensor, "n"]:
        with self.drawing(jacobian.device):
            return self.ask(jacobian, present)


class TrimmedMean(Elementwise):
    """Of k tasks at most (k - 1) / 2 can be trimmed at either end."""

    def given(self, present: Tensor) -> dict[str, Any]:
        return {"trim_number": min(self.values["trim_number"], (len(present) - 1) // 2)}


class GradVac(TorchjdRule):
    """Each pair of tasks has its own target; pairs that the batch lacks keep theirs."""

    targets: Tensor

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__(tasks, options)
        self.register_buffer("targets", torch.zeros(self.total, self.total))

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        rule, pairs = self.build(present), (present[:, None], present[None, :])
        rule._phi_t, rule._state_key = self.targets.cpu()[pairs].to(gramian.dtype), (len(present), gramian.dtype)
        weights: Tensor = rule(gramian / gramian.trace())
        self.targets[pairs] = rule._phi_t.to(self.targets)
        return weights


class PCD(TorchjdRule):
    """The first task is the primary one. A task that the batch lacks counts as one whose gradient is zero, so the shared
    parameters stay where the primary task is missing. Its moving averages make the rule depend on scale.
    """

    squares: Tensor
    steps: Tensor

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__(tasks, options)
        self.register_buffer("squares", torch.zeros(self.total))
        self.register_buffer("steps", torch.tensor(0))

    def given(self, present: Tensor) -> dict[str, Any]:
        return self.values | {name: values[1:] for name, values in self.vectors.items()}

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        rule, full = self.build(torch.arange(self.total)), gramian.new_zeros(self.total, self.total)
        full[present[:, None], present[None, :]] = gramian
        rule._sq_norm_ema, rule._n_steps, rule._state_key = self.squares.cpu().double(), self.steps.cpu(), self.total
        weights: Tensor = rule(full)
        self.squares.copy_(rule._sq_norm_ema)
        self.steps.copy_(rule._n_steps)
        return weights[present]


class OnSimplex(TorchjdRule):
    """Weights that move on the simplex from step to step (MoDo, SDMGrad); tasks of the batch share the mass that they had.

    Differs from the papers in that the Gramian is that of one batch, not of two that are independent. It is divided by the mean
    squared norm, so that the rate of the weights fits gradients of any size (SDMGrad's paper does likewise).
    """

    kept: ClassVar[str]
    mass: Tensor

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__(tasks, options)
        self.register_buffer("mass", torch.full((self.total,), 1 / self.total))

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        rule, mass = self.build(present), self.mass.cpu()[present].to(gramian.dtype)
        total = mass.sum()
        setattr(rule, self.kept, mass / total if total > 0 else torch.full_like(mass, 1 / len(mass)))
        rule._state_key = (len(present), gramian.dtype, gramian.device)
        weights: Tensor = rule(gramian / gramian.diagonal().mean())
        self.mass[present] = (getattr(rule, self.kept) * total).to(self.mass)
        return weights


class MoDo(OnSimplex):
    """See `OnSimplex`."""

    kept = "_lambda"


class SDMGrad(OnSimplex):
    """See `OnSimplex`."""

    kept = "_w"


class NashMTL(TorchjdRule):
    """Each task has its last weight, where the next search starts; tasks that the batch lacks keep theirs.

    The weights solve G w = 1 / w: found for a Gramian of trace 1, then divided by the root of the trace, and shortened to
    `max_norm`.
    """

    last: Tensor
    steps: Tensor

    def __init__(self, tasks: Sequence[str], options: Any) -> None:
        super().__init__(tasks, options)
        self.register_buffer("last", torch.ones(self.total))
        self.register_buffer("steps", torch.tensor(0))

    def given(self, present: Tensor) -> dict[str, Any]:
        return self.values | {"n_tasks": len(present), "max_norm": 0.0}

    def weigh(self, gramian: Tensor, present: Tensor) -> Tensor:
        trace = gramian.trace()
        if len(present) > 1:
            self._search(root_of(gramian / trace), present)
        weights = self.last.cpu()[present].double() / trace.double().sqrt()
        self.steps += 1
        norm = (weights @ gramian.double() @ weights).clamp_min(0).sqrt()
        limit = self.options.max_norm
        return weights * (limit / norm) if 0 < limit < norm else weights

    def _search(self, root: Tensor, present: Tensor) -> None:
        rule = self.build(present).weighting
        if not hasattr(rule, "prob"):  # torchjd compiles the problem at its first step, which a resumed run is past
            rule._init_optim_problem()
        rule.prvs_alpha, rule.step = self.last.cpu()[present].numpy(), int(self.steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cvxpy's, on torchjd's problem: no user can mend it
            self.last[present] = rule(root).to(self.last)


def root_of(gramian: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """R with R R^T = G, in double precision; directions below the Gramian's own precision are zero."""
    values, vectors = torch.linalg.eigh(gramian.double())
    least = len(gramian) * torch.finfo(gramian.dtype).eps * values[-1]
    root: Tensor = vectors * torch.where(values > least, values, 0.0).sqrt()
    return root
