"""Five models of `digit_domains`, fine-tuned from one start that has seen other digits; for the claim `adamerging`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from polytask.core import Batch
from polytask.data.prepare import Prepared, prepare
from polytask.data.real import digit_domains, mnist5k
from polytask.data.split import SplitOptions
from polytask.engine.predict import predict
from polytask.merge.merged import entropy
from polytask.nn.heads import Heads
from polytask.systems.adamerging import AdaMerging, Options

_OUT, _BATCH = 64, 32
GRID = tuple(step / 10 for step in range(1, 11))
"""The coefficients of which validation rows choose one."""


class _Image(nn.Module):
    """The images of a batch."""

    def forward(self, batch: Batch) -> Tensor:
        return batch.inputs.tensor("image").float() / 255


def _network() -> nn.Sequential:
    """Two strided convolutions with group normalisation and a linear map; 106 thousand weights."""
    first = nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.GroupNorm(4, 16), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(8, 32), nn.ReLU()
    return nn.Sequential(_Image(), *first, *second, nn.Flatten(), nn.Linear(32 * 7 * 7, _OUT), nn.ReLU())


@dataclass(frozen=True)
class Tuned:
    """What all arms of a seed share.

    system: with the start and the task vectors in `merged`. rows: of each part, each task's.
    single: the accuracy of each model on its own task, and on its `half`.
    """

    system: AdaMerging
    rows: Mapping[str, Mapping[str, Batch]]
    single: Mapping[str, float]

    def score(self, weights: Tensor, part: str) -> dict[str, tuple[float, float]]:
        """Each task's accuracy by a network of these weights, and the share of the class that it names most."""
        nn.utils.vector_to_parameters(weights, self.system.network.parameters())
        return {name: _score(self.system, name, batch) for name, batch in self.rows[part].items()}


def _score(system: AdaMerging, name: str, batch: Batch) -> tuple[float, float]:
    found = predict(system, batch, [name])[name].argmax(1)
    right = (found == batch.targets.tensor(name)).float().mean()
    return float(right), float(found.bincount().max() / len(found))


@cache
def _data() -> Prepared:
    return prepare([{"file": digit_domains.load()}], digit_domains.tasks, {}, digit_domains.ignore, SplitOptions(how="random"))


@cache
def _others() -> tuple[Tensor, Tensor]:
    """The digits of MNIST that are in no domain, with their labels."""
    used = {int(s.split()[1]) for s in digit_domains.load()["source"].to_pylist() if s.startswith("mnist ")}
    table = mnist5k.load()
    rest = [row for row in range(table.num_rows) if row not in used]
    pixels = np.asarray(table["image"].combine_chunks().flatten()).reshape(-1, 1, 28, 28)[rest]
    return torch.from_numpy(pixels.copy()), torch.tensor(table["digit"].to_pylist())[rest]


def _parts(seed: int) -> dict[str, dict[str, Batch]]:
    """Half of each domain's sources to train, a tenth to validate, the rest to test: `seen` and `half` are its halves."""
    draw, source = np.random.default_rng(seed), np.array(_data().table["source"])
    spans = {"train": (0, 0.5), "validation": (0.5, 0.6), "test": (0.6, 1), "seen": (0.6, 0.8), "half": (0.8, 1)}
    found: dict[str, dict[str, Batch]] = {part: {} for part in spans}
    for name in digit_domains.tasks:
        rows = _data().batch.labelled.tensor(name).nonzero().squeeze(1)
        kinds, number = np.unique(source[rows.numpy()], return_inverse=True)
        place = draw.permutation(len(kinds))[number] / len(kinds)
        for part, (low, high) in spans.items():
            found[part][name] = _data().batch.index(rows[torch.from_numpy((place >= low) & (place < high))])
    return found


def _descend(parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float) -> None:
    optimizer = torch.optim.Adam(list(parameters), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


@lru_cache(maxsize=1)
def tuned(seed: int, before: int, after: int) -> Tuned:
    """`before` steps on digits and their rotations; then `after` steps a task, and twice as many of its head before."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tasks, rows = _data().schema.tasks, _parts(seed)
    network = _network()
    system = AdaMerging(network, Heads(tasks, _OUT), tasks, Options())
    turned, read = nn.Linear(_OUT, 4), nn.Linear(_OUT, 10)
    images, digits = _others()

    def pretext() -> Tensor:
        some = torch.randint(len(images), (4 * _BATCH,))
        x = torch.cat([torch.rot90(part, k, (2, 3)) for k, part in enumerate((images[some].float() / 255).chunk(4))])
        features = network[1:](x)
        angle = torch.arange(4).repeat_interleave(_BATCH)
        return F.cross_entropy(turned(features), angle) + F.cross_entropy(read(features), digits[some])

    _descend([*network.parameters(), *turned.parameters(), *read.parameters()], pretext, before, 2e-3)
    system.keep_start()
    single = {}
    for number, name in enumerate(tasks):
        train = rows["train"][name]
        features = network(train).detach()

        def loss(probe: bool, name: str = name, train: Batch = train, features: Tensor = features) -> Tensor:
            some = torch.randint(len(train), (_BATCH,))
            batch = train.index(some)
            x = features[some] if probe else network(batch)
            return system.task_losses(system.heads(x, [name]), batch)[name]

        # Heads are fixed in fine-tuning, as the paper's are: they learn on the start's features.
        _descend(system.task_parameters(name), partial(loss, True), 2 * after, 1e-2)
        _descend(network.parameters(), partial(loss, False), after, 1e-3)
        single[name] = _score(system, name, rows["test"][name])[0]
        single[f"{name} half"] = _score(system, name, rows["half"][name])[0]
        system.keep_vector(number)
    return Tuned(system, rows, single)


def correlation(shared: Tuned, weights: Tensor) -> float:
    """The rank correlation of entropy and cross entropy over batches of 16 test rows, the mean over tasks."""
    nn.utils.vector_to_parameters(weights, shared.system.network.parameters())
    found = []
    for name, batch in shared.rows["test"].items():
        task, output = shared.system.tasks[name], shared.system(batch, [name])[name].detach()
        loss = task.row_losses(output, batch.targets.tensor(name), batch.labelled.tensor(name))
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
        means = [[float(values[rows].mean()) for rows in order.split(16)] for values in (entropy(task, output), loss)]
        found.append(spearmanr(*means).statistic)
    return float(np.mean(found))


def chosen(shared: Tuned, direction: Tensor) -> Tensor:
    """The start plus the multiple of `direction` that is best on validation rows."""
    tried = [shared.system.merged.base + scale * direction for scale in GRID]
    return max(tried, key=lambda weights: sum(right for right, _ in shared.score(weights, "validation").values()))
