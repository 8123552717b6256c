"""Task-based flat regions: sharpness-aware minimisation task by task, around any other rule."""

card = {
    "title": "Improving Multi-task Learning via Seeking Task-based Flat Regions",
    "paper": "https://arxiv.org/abs/2211.13723",
    "year": 2022,
    "kind": "gradients",
}

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from polytask.core import OptionError, Update, Weighting, opt, option, registry

from ._balancer import Here, RuleBalancer, direction
from ._gramian import Gradients, gradients
from ._passes import precise


class FlatMtlSam(RuleBalancer):
    """Each task's gradient at its own worst point near the weights (Phan et al., sec. 4; code: VietHoang1512/FS-MTL).

    With theta the shared parameters, phi_t those of task t, and G_t = (g_t, .) the gradient of its loss for both:

    1. eps_t = rho G_t / |G_t|, or where `adaptive`, with w = (theta, phi_t), eps_t = rho w^2 G_t / ||w| G_t| (Kwon et al. 2021,
       https://arxiv.org/abs/2102.11600); other tasks' parameters stay.
    2. (p_t, q_t) is the gradient at (theta, phi_t) + eps_t, and h_t = p_t - g_t; then the weights are put back, to the bit.
    3. theta gets A(g) + A(h), A the rule (A(p) unless `split`); phi_t gets q_t.

    A rule with state has one for g and one for h, and both draw the same random numbers. A rule that sees losses weighs p_t
    and q_t. Batches that are accumulated go uphill each by itself. Over processes eps_t is that of the whole batch.

    At the parameters, where the paper takes its gradients, a step costs one forward and two backward passes a task, and one
    forward pass more. At the representation (ours) theta stands for the shared representation of the batch: what is looked for
    is flat in the features, the trunk is passed once, and a task costs a few passes of its own part. There eps_t has the length
    rho in the mean square over its vectors, and q_t is taken at phi_t + rho q_t / |q_t|.
    """

    @dataclass(frozen=True)
    class Options:
        """The rule, and how far uphill each task looks."""

        rule: str = opt("equal", "the balancer that aggregates", ours="plain SAM; the paper: mgda, pcgrad, cagrad, imtlg")
        given: dict[str, Any] | None = opt(None, "options of that balancer", ours="its defaults")  # noqa: RUF009
        rho: float = opt(0.05, "how far uphill a gradient is taken again", ours="the paper's 2 is for 120,000 images", ge=0)
        adaptive: bool = opt(False, "distances relative to each weight; rho is then some 10 times as large", paper="both")
        at: Literal["auto", "representation", "parameters"] = opt(
            "parameters",
            "where gradients are taken (auto: at the shared representation, else at the shared parameters)",
            paper="algorithm 1; the representation is ours, and cheap",
            choices=("auto", "representation", "parameters"),
        )
        split: bool = opt(True, "aggregate the gradients, and their change uphill, apart", paper="sec. 4")

    looks_again = True

    def __init__(self, tasks: Sequence[str], options: Options) -> None:
        super().__init__(_rule(tasks, options))
        self.options, self.needs_representation = options, options.at != "parameters"
        self.flat = _rule(tasks, options) if options.split and self.rule.sees != "losses" else None

    def _by_losses(self, update: Update, here: Here) -> tuple[Tensor, list[Tensor]]:
        found = self._uphill(update, here, gradients(update, here.tasks, self.rule.tasks, self.options.at))
        weights = self._weights(update, here)
        own = dict(found.own)
        for task, weight in zip(here.tasks, weights, strict=True):
            own[task] = [(parameter, weight * gradient) for parameter, gradient in found.own[task]]
        return weights, [replace(found, own=own).carrier(weights.to(found.rows) @ found.rows)]

    def _by_gradients(self, update: Update, here: Here) -> tuple[Tensor, list[Tensor]]:
        found = gradients(update, here.tasks, self.rule.tasks, self.options.at)
        uphill = self._uphill(update, here, found)
        with torch.no_grad():
            change = self._with(update, uphill, uphill.rows - found.rows)
            if self.flat is None or not (found.gramian.isfinite().all() and change.gramian.isfinite().all()):
                weights, balanced = direction(self.rule, uphill, here)
            else:
                weights, balanced = direction(self.rule, found, here)
                balanced = balanced + direction(self.flat, change, here)[1]
        return weights, [uphill.carrier(balanced)]

    def _uphill(self, update: Update, here: Here, found: Gradients) -> Gradients:
        """The gradients of each task at its own point uphill."""
        if update.again is None:
            raise OptionError.of("balancer", "flat_mtl_sam needs the losses again", "Call step with an update that has again")
        rows, own, at = [], dict(found.own), found.variables[0] if self._is_wide(update) and found.variables else None
        for task, row, gradient in zip(here.tasks, found.rows, self._own(update, here, found), strict=True):
            mine = [parameter for parameter, _ in found.own[task]]
            if at is None:
                with _moved(found.variables + mine, self._step(found.variables + mine, torch.cat([row, gradient]))):
                    there = self._at(update, task, None)
            else:
                wide = (at.detach() + self._wide(update, at, row)).to(at.dtype).requires_grad_()
                with _moved(mine, self._step(mine, gradient)):
                    there = self._at(update, task, wide)
            rows.append(there.rows[0])
            own[task] = there.own[task]
        return self._with(update, replace(found, own=own), torch.stack(rows))

    def _at(self, update: Update, task: str, representation: Tensor | None) -> Gradients:
        """A task's gradient at the weights of the moment, and at this representation of the batch if one is given."""
        assert update.again is not None
        with torch.enable_grad():
            moved = replace(update, losses=update.again(representation), representation=representation, entries=None)
        if representation is None:
            return gradients(moved, [task], [task], "parameters")
        return gradients(replace(moved, reduce=None), [task], [task], "representation")

    def _is_wide(self, update: Update) -> bool:
        """Whether gradients are taken at the representation."""
        return self.options.at == "representation" or (self.options.at == "auto" and update.representation is not None)

    def _wide(self, update: Update, at: Tensor, row: Float[Tensor, "n"]) -> Tensor:
        """eps_t at the representation: of length rho in the mean square over the vectors of the whole batch."""
        size = at.detach().abs() if self.options.adaptive else 1.0
        scaled = size * row.view_as(at)
        total = torch.stack([scaled.square().sum(), scaled.new_tensor(at[..., 0].numel())])
        squares, vectors = update.reduce(total) if update.reduce else total
        return size * scaled * torch.where(squares > 0, self.options.rho * (vectors / squares).sqrt(), 0.0)

    def _with(self, update: Update, found: Gradients, rows: Float[Tensor, "k n"]) -> Gradients:
        gramian = rows @ rows.T
        return replace(
            found, given=rows, gramian=update.reduce(gramian) if update.reduce and self._is_wide(update) else gramian
        )

    def _own(self, update: Update, here: Here, found: Gradients) -> Sequence[Tensor]:
        """Each task's gradient for its own parameters as one row, averaged over processes."""
        none = found.rows.new_zeros(0)
        flat = [torch.cat([none, *(gradient.flatten() for _, gradient in found.own[task])]) for task in here.tasks]
        joined = torch.cat(flat)
        whole = update.reduce(joined) if update.reduce and len(joined) else joined
        return list(torch.split(whole, [len(row) for row in flat]))

    def _step(self, parameters: Sequence[Tensor], gradient: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """eps_t: of length rho (in units of the weights where adaptive); zero where the gradient is."""
        size = (
            torch.cat([gradient[:0], *(precise(p.detach()).flatten().abs() for p in parameters)])
            if self.options.adaptive
            else 1.0
        )
        scaled = size * gradient
        norm = scaled.norm()
        return size * scaled * torch.where(norm > 0, self.options.rho / norm, 0.0)

    def start_epoch(self, number: int) -> None:
        super().start_epoch(number)
        if self.flat is not None:
            self.flat.start_epoch(number)


def _rule(tasks: Sequence[str], options: FlatMtlSam.Options) -> Weighting:
    """The rule that is wrapped. Raises `OptionError` where it is none, or is told to look elsewhere than at the parameters."""
    cls = registry.weighting(options.rule)
    if not issubclass(cls, Weighting):
        raise OptionError.of("flat_mtl_sam.rule", f"'{options.rule}' is no rule", "Choose for example 'pcgrad'")
    given = dict(options.given or {})
    if "at" in option.options_of(cls.Options) and given.setdefault("at", options.at) != options.at:
        raise OptionError.of(
            "flat_mtl_sam.given.at", f"gradients are taken at = {options.at!r}", "Write balancer.at in its place"
        )
    if given.get("every", 1) != 1:
        raise OptionError.of("flat_mtl_sam.given.every", "each step looks uphill anew", "Leave it out")
    rule: Weighting = cls(tasks, option.make(cls.Options, given, "flat_mtl_sam.given"))
    return rule


@contextmanager
def _moved(parameters: Sequence[Tensor], step: Float[Tensor, "n"]) -> Iterator[None]:
    """In the block the parameters are moved by `step`; after it they are what they were, to the bit."""
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        # By `.data`, for autograd may then go on with graphs of before: by the time they are used the weights are back.
        for parameter, part in zip(parameters, step.split([p.numel() for p in parameters]), strict=True):
            parameter.data.copy_(precise(parameter.detach()) + part.view_as(parameter))
        yield
    finally:
        for parameter, old in zip(parameters, before, strict=True):
            parameter.data.copy_(old)
