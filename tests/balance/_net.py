"""A small net under balancers, and what two processes find with it (they import little, for speed)."""

import os

import torch
import torch.distributed
from torch import Tensor, nn

from polytask.balance import _balancer, _gramian
from polytask.core import Entry, Update, Weighting, registry
from polytask.core.option import make as make_options

TASKS = ("a", "b", "c")
AT = ("representation", "parameters")
WAYS = {"representation": AT[0], "entries": AT[0], "parameters": AT[1], "layers": AT[1]}
"""At the representation a task at a time or all at once; at the parameters with all rows kept or layer by layer."""
CASES = [("gls", "representation"), *((id, way) for id in ("imtlg", "pcgrad") for way in WAYS)]


def rule_of(id: str, count: int, **values: object) -> Weighting:
    rule = registry.weighting(id)
    made: Weighting = rule([f"task {number}" for number in range(count)], make_options(rule.Options, values, id))
    return made


class Net(nn.Module):
    """A trunk and a head a task."""

    def __init__(self, bias: bool = True, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(6, 5, bias=bias, dtype=dtype)
        self.heads = nn.ModuleDict({task: nn.Linear(5, 1, dtype=dtype) for task in TASKS})

    def forward(self, rows: Tensor, hidden: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor]:
        hidden = self.trunk(rows) if hidden is None else hidden
        targets = {"a": rows[:, :1], "b": rows.sum(1, keepdim=True), "c": rows[:, 1:2] * 3}
        self.outputs = {task: head(hidden) for task, head in self.heads.items()}
        return {t: ((y - targets[t]).float() ** 2).mean().to(rows.dtype) for t, y in self.outputs.items()}, hidden

    def update(self, rows: Tensor, tasks: tuple[str, ...] = TASKS, entries: bool = False, **others: object) -> Update:
        losses, hidden = self(rows)
        if entries:
            others["entries"] = {task: Entry(self.outputs[task], self.heads[task].weight.T[None]) for task in tasks}
        own = {task: list(head.parameters()) for task, head in self.heads.items()}
        kept = {task: losses[task] for task in tasks}
        return Update(kept, list(self.trunk.parameters()), hidden, own=own, **others)  # type: ignore[arg-type]

    def gradients(self) -> dict[str, Tensor]:
        return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in self.named_parameters()}


def make(id: str, at: str = "auto", **values: object) -> _balancer.RuleBalancer:
    sees_losses = rule_of(id, 2).sees == "losses"
    return _balancer.make(id, TASKS, values | ({} if sees_losses or id == "excessmtl" else {"at": at}))  # type: ignore[return-value]


def rows_of(count: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)

    def mean(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        torch.distributed.all_reduce(tensor)
        return tensor / 2

    found = {}
    for id, way in CASES:
        for case, tasks in {"all": TASKS, "some": TASKS if rank else ("a", "b")}.items():
            net, balancer = Net(), make(id, WAYS[way], **({"seed": 1} if id == "pcgrad" else {}))
            _gramian.KEPT = 0 if way == "layers" else 2**28
            weights = balancer.step(net.update(rows_of(8)[4 * rank : 4 * rank + 4], tasks, way == "entries", reduce=mean))
            found[id, way, case] = weights, {name: mean(value) for name, value in net.gradients().items()}
    _gramian.KEPT = 2**28
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
