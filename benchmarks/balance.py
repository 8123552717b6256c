"""What balancing costs beside a plain step, and in memory: every way of polytask's, torchjd's and LibMTL's, in turns.

    python benchmarks/balance.py [--tasks 2,4,8,16,40,64] [--networks mlp,conv,transformer] [--quick]
    python benchmarks/balance.py --plot     # docs/images/balance.svg from what is saved; needs: pip install matplotlib

A plain step is one forward pass and one backward pass of the summed losses. A ratio is the median over rounds of processor
time, on one thread. The floor is what K exact gradients cost where a backward pass is two forward passes: (1 + 2 K) / 3. Peak
memory is that of a process of its own for each way, above what it holds before its first step. Results go to
benchmarks/balance.json.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from _measure import Book, in_turns
from torch import Tensor, nn
from torchjd.aggregation import Mean
from torchjd.autojac import jac_to_grad, mtl_backward

from polytask.balance import _balancer, _gramian
from polytask.core import Entry, Update

TASKS = (2, 4, 8, 16, 40, 64)
NETWORKS = ("mlp", "conv", "transformer")
RULE = "imtlg"  # a rule that sees the Gramian alone, and is itself cheap
FILE = Path(__file__).with_suffix(".json")


class Network(nn.Module):
    """A trunk and K linear heads, with losses of their own."""

    def __init__(self, kind: str, tasks: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, width, x = TRUNKS[kind]()
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(tasks))
        self.names = [str(k) for k in range(tasks)]
        self.x, self.y = x, torch.randn(len(x), tasks)

    def update(self, entries: bool, representation: bool) -> Update:
        hidden = self.trunk(self.x)
        outputs = [head(hidden) for head in self.heads]
        losses = {
            name: ((y[:, 0] - self.y[:, k]) ** 2).mean() for k, (name, y) in enumerate(zip(self.names, outputs, strict=True))
        }
        own = {name: list(head.parameters()) for name, head in zip(self.names, self.heads, strict=True)}
        taken = {n: Entry(y, h.weight.T[None]) for n, y, h in zip(self.names, outputs, self.heads, strict=True)}
        shared = list(self.trunk.parameters())
        return Update(losses, shared, hidden if representation else None, own=own, entries=taken if entries else None)


class Attention(nn.Module):
    """Two layers of a small transformer over 32 tokens; the mean token comes out."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(1)


def _mlp() -> tuple[nn.Module, int, Tensor]:
    layers = [m for _ in range(4) for m in (nn.Linear(512, 512), nn.ReLU())]
    return nn.Sequential(*layers), 512, torch.randn(256, 512)


def _conv() -> tuple[nn.Module, int, Tensor]:
    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]

    layers = [*block(3, 32, 1), *block(32, 64, 2), *block(64, 128, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), 128, torch.randn(64, 3, 32, 32)


def _transformer() -> tuple[nn.Module, int, Tensor]:
    return Attention(), 128, torch.randn(32, 32, 128)


TRUNKS: dict[str, Callable[[], tuple[nn.Module, int, Tensor]]] = {"mlp": _mlp, "conv": _conv, "transformer": _transformer}


def plain(net: Network) -> None:
    net.zero_grad()
    torch.stack(list(net.update(False, False).losses.values())).sum().backward()


def ours(net: Network, at: str, entries: bool = True, every: int = 1, kept: int = _gramian.KEPT) -> Callable[[], None]:
    balancer = _balancer.make(RULE, net.names, {"at": at, "every": every})

    def step() -> None:
        before, _gramian.KEPT = _gramian.KEPT, kept
        net.zero_grad()
        balancer.step(net.update(entries, at == "representation"))
        _gramian.KEPT = before

    return step


def between(net: Network, at: str) -> Callable[[], None]:
    """The steps on which `every` keeps the weights."""
    step = ours(net, at, every=10**9)
    step()
    return step


def torchjd(net: Network) -> None:
    net.zero_grad()
    update = net.update(False, True)
    assert update.representation is not None
    mtl_backward(list(update.losses.values()), features=update.representation, tasks_params=list(update.own.values()))
    jac_to_grad(update.shared, Mean())


def libmtl(net: Network) -> None:
    """K backward passes through everything, gradients copied into a matrix, and its product with the weights copied back."""
    net.zero_grad()
    update = net.update(False, False)
    rows = torch.zeros(len(update.losses), sum(p.numel() for p in update.shared))
    for k, loss in enumerate(update.losses.values()):
        loss.backward(retain_graph=k + 1 < len(update.losses))
        rows[k] = torch.cat([p.grad.flatten() for p in update.shared if p.grad is not None])
        for p in update.shared:
            p.grad = None
    balanced = torch.full((len(rows),), 1 / len(rows)) @ rows
    for p, part in zip(update.shared, balanced.split([p.numel() for p in update.shared]), strict=True):
        p.grad = part.view_as(p)


def ways(net: Network) -> dict[str, Callable[[], object]]:
    return {
        "plain": lambda: plain(net),
        "representation": ours(net, "representation"),
        "representation, a pass a task": ours(net, "representation", entries=False),
        "parameters": ours(net, "parameters"),
        "parameters, layer by layer": ours(net, "parameters", kept=0),
        "between two looks": between(net, "representation"),
        "between two looks, parameters": between(net, "parameters"),
        "LibMTL's way": lambda: libmtl(net),
        "torchjd mtl_backward": lambda: torchjd(net),
    }


def bound(way: str, tasks: int) -> float | None:
    """What is promised."""
    floor = (1 + 2 * tasks) / 3
    return {"representation": 1.15, "parameters": 1.1 * floor, "between two looks": 1.05}.get(way)


@dataclass(frozen=True)
class Peak:
    """Memory of one way, measured in a process of its own."""

    kind: str
    tasks: int
    way: str

    def bytes(self) -> int:
        command = [sys.executable, __file__, "--peak", json.dumps([self.kind, self.tasks, self.way])]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(kind: str, tasks: int, way: str) -> int:
    torch.set_num_threads(1)
    net = Network(kind, tasks)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = ways(net)[way] if "between" not in way else ways(net)["plain"]
    for _ in range(2):
        step()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def measure(book: Book, kind: str, tasks: int, rounds: int, memory: bool) -> None:
    net = Network(kind, tasks)
    steps = ways(net)
    seconds = dict(zip(steps, in_turns(list(steps.values()), rounds), strict=True))
    floor = (1 + 2 * tasks) / 3
    print(
        f"\n{kind}, K = {tasks}: plain step {1000 * median(s.cpu for s in seconds['plain']):.1f} ms, floor of exact {floor:.2f}"
    )
    for way, each in seconds.items():
        ratios = [one.cpu / base.cpu for one, base in zip(each, seconds["plain"], strict=True)]
        low, ratio, high = quantiles(ratios, n=4) if way != "plain" else (1.0, 1.0, 1.0)
        taken = Peak(kind, tasks, way).bytes() / 2**20 if memory and "between" not in way else None
        most = bound(way, tasks)
        row: dict[str, Any] = {
            "network": kind, "tasks": tasks, "way": way, "ms": 1000 * median(s.cpu for s in each), "ratio": ratio,
            "quartiles": (low, high), "floor": floor, "bound": most, "met": None if most is None else ratio <= most,
            "peak_mib": taken,
        }  # fmt: skip
        book.put("balance", row)
        told = "" if most is None else f"  bound {most:6.2f} {'met' if ratio <= most else 'MISSED'}"
        print(
            f"  {way:32} {ratio:7.2f} ({low:.2f}-{high:.2f})  {'' if taken is None else f'{taken:7.0f} MiB'}{told}", flush=True
        )


SHOWN = {
    "LibMTL's way": "tab:red",
    "torchjd mtl_backward": "tab:orange",
    "parameters": "tab:blue",
    "parameters, layer by layer": "tab:cyan",
    "representation": "tab:green",
}


def plot(path: Path) -> None:
    """Time and memory against K, a column a network."""
    import matplotlib.pyplot as plt

    rows = json.loads(FILE.read_text())["balance"]["rows"]
    figure, axes = plt.subplots(2, len(NETWORKS), figsize=(9, 5), sharex=True, sharey="row", layout="constrained")
    for column, kind in zip(axes.T, NETWORKS, strict=True):
        own = [row for row in rows if row["network"] == kind]
        ks = sorted({row["tasks"] for row in own})
        column[0].plot(ks, [(1 + 2 * k) / 3 for k in ks], "k:", linewidth=1, label="K exact gradients: (1 + 2 K) / 3")
        for way, colour in SHOWN.items():
            each = sorted((row["tasks"], row["ratio"], row["peak_mib"]) for row in own if row["way"] == way)
            for axis, values in zip(
                column, ([ratio for _, ratio, _ in each], [max(1.0, mib) for *_, mib in each]), strict=True
            ):
                axis.plot([k for k, *_ in each], values, color=colour, marker=".", linewidth=1.2, label=way)
        column[0].set_title(kind, fontsize=10)
        column[1].set_xlabel("tasks K")
        for axis in column:
            axis.set(xscale="log", yscale="log", xticks=ks, xticklabels=ks)
            axis.minorticks_off()
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("time of a plain step")
    axes[1, 0].set_ylabel("peak memory, MiB")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    plt.rcParams["svg.hashsalt"] = "polytask"
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(map(str, TASKS)))
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--quick", action="store_true", help="few rounds, no memory; nothing is saved")
    parser.add_argument("--plot", action="store_true", help="draw what is saved; measure nothing")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(peak(*json.loads(given.peak)))
        return
    if given.plot:
        plot(Path(__file__).parents[1] / "docs/images/balance.svg")
        return
    torch.set_num_threads(1)
    book = Book(FILE, given.quick)
    for kind in given.networks.split(","):
        for tasks in map(int, given.tasks.split(",")):
            measure(book, kind, tasks, 3 if given.quick else 9 if tasks < 40 else 5, memory=not given.quick)
    if not given.quick:
        book.save()


if __name__ == "__main__":
    main()
