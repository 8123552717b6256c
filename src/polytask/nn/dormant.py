"""Dormant neurons, and perturbing weights towards those of the best agents so far (Huang et al. 2024, MENTOR)."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .experts import StackedLinear

THRESHOLD = 0.025


def dormant_ratio(module: nn.Module, run: Callable[[], object], threshold: float = THRESHOLD) -> Float[Tensor, ""]:
    """The share of outputs of linear layers whose mean size over rows is below `threshold` of their layer's mean
    (Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning"; Xu et al. 2024, DrM).

    run: a forward pass through the module; it is made in evaluation mode, without a gradient. Each expert of a stack is a
        layer.
    """
    sizes: list[Tensor] = []

    def keep(layer: nn.Module, inputs: object, output: Tensor) -> None:
        sizes.append(output.detach().abs().flatten(0, -2 if isinstance(layer, nn.Linear) else -3).mean(0))

    hooks = [layer.register_forward_hook(keep) for layer in module.modules() if isinstance(layer, (nn.Linear, StackedLinear))]
    training = {each: each.training for each in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            run()
    finally:
        for each, mode in training.items():
            each.training = mode
        for hook in hooks:
            hook.remove()
    asleep = [(size < threshold * size.mean(-1, keepdim=True)).flatten() for size in sizes]
    return torch.cat(asleep).float().mean()


def weight_names(module: nn.Module) -> list[str]:
    """The full names of the weights and biases of every linear and convolutional layer, stacks of experts included."""
    layers = (nn.Linear, nn.Conv2d, StackedLinear)
    return [
        f"{place}.{name}" if place else name
        for place, layer in module.named_modules()
        if isinstance(layer, layers)
        for name, _ in layer.named_parameters(recurse=False)
    ]


def fresh_weights(module: nn.Module, initialise: Callable[[nn.Module], None], names: Iterable[str]) -> dict[str, Tensor]:
    """What the named parameters would be, had the module just been made: `initialise` sets those of one layer."""
    parameters = dict(deepcopy(module).apply(initialise).named_parameters())
    return {name: parameters[name].detach() for name in names}


class BestWeights(nn.Module):
    """The weights of the `size` agents of the highest scores, from whose distribution new weights are drawn.

    All lies in buffers, so it is saved with the system. `names` are names of parameters of `module`.
    """

    scores: Tensor
    weights: Tensor
    count: Tensor

    def __init__(self, size: int, module: nn.Module, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        parameters = dict(module.named_parameters())
        self.shapes = tuple(parameters[name].shape for name in self.names)
        self.register_buffer("scores", torch.zeros(size))
        self.register_buffer("weights", torch.zeros(size, sum(shape.numel() for shape in self.shapes)))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def add(self, score: float, module: nn.Module) -> None:
        """Take in an agent where there is room, else in place of the worst if its score is higher."""
        held = int(self.count)
        place = held if held < len(self.scores) else int(self.scores.argmin())
        if held < len(self.scores) or score > float(self.scores[place]):
            parameters = dict(module.named_parameters())
            self.scores[place] = score
            self.weights[place] = torch.cat([parameters[name].detach().flatten() for name in self.names])
            self.count.fill_(min(held + 1, len(self.scores)))

    def draw(self) -> dict[str, Tensor] | None:
        """Weights drawn from a normal distribution of the members' mean and deviation, number by number, the deviation at least
        1e-7; None before there are two members, as one has no deviation."""
        members = self.weights[: int(self.count)]
        if len(members) < 2:
            return None
        drawn = torch.normal(members.mean(0), members.std(0).clamp(min=1e-7))
        parts = drawn.split([shape.numel() for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}


@torch.no_grad()
def perturb(module: nn.Module, towards: Mapping[str, Tensor], keep: float | Tensor) -> None:
    """`w <- keep * w + (1 - keep) * towards[name]` for the parameters that are named, and no other."""
    parameters = dict(module.named_parameters())
    for name, other in towards.items():
        parameters[name].mul_(keep).add_((1 - keep) * other.to(parameters[name]))
