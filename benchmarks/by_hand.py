"""What someone skilled writes without polytask: SUPPORT2's four tasks with pandas, scikit-learn and PyTorch alone.

    python benchmarks/by_hand.py support2.csv --epochs 20 --out folder

The network, its losses and its steps are those of `hard_sharing`'s defaults (`speed.py` checks that the losses agree), over
whole tensors and without anything that is not needed for this one table. An epoch is `repeats` passes, then validation.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

MEMBERS, WIDTH, EMBEDDING, BATCH = 16, 256, 8, 256


@dataclass
class Data:
    """Whole tensors of some rows. Where `known` is false, `x` is 0."""

    x: Tensor
    known: Tensor
    codes: Tensor
    flags: Tensor
    flagged: Tensor
    died: Tensor
    grade: Tensor
    stay: Tensor
    happens: Tensor
    at_risk: Tensor
    labelled: Tensor
    """A column a task."""

    def __getitem__(self, rows: Tensor) -> "Data":
        return Data(*(tensor[rows] for tensor in vars(self).values()))

    def __len__(self) -> int:
        return len(self.x)


class Net(nn.Module):
    """Piecewise-linear embeddings of numbers, a table of categories, TabM-mini's members, two hidden layers, a head a task."""

    def __init__(self, edges: list[np.ndarray], first: Tensor, categories: int, flags: int, outputs: list[int]) -> None:
        super().__init__()
        most, n = max(map(len, edges)) - 1, len(edges)
        lower, scale = torch.zeros(n, most), torch.zeros(n, most)
        floor, ceiling = torch.zeros(n, most), torch.ones(n, most)
        for i, edge in enumerate(edges):
            bins = len(edge) - 1
            lower[i, :bins] = torch.tensor(edge[:-1], dtype=torch.float32)
            scale[i, :bins] = 1 / torch.tensor(np.diff(edge), dtype=torch.float32)
            floor[i, 0], ceiling[i, bins - 1] = -math.inf, math.inf
        for name, tensor in {"lower": lower, "scale": scale, "floor": floor, "ceiling": ceiling, "first": first}.items():
            self.register_buffer(name, tensor)
        self.bins = nn.Parameter(torch.zeros(n, most, EMBEDDING))
        self.slope = nn.Parameter(torch.empty(n, EMBEDDING).uniform_(-1, 1))
        self.shift = nn.Parameter(torch.empty(n, EMBEDDING).uniform_(-1, 1))
        self.missing = nn.Parameter(torch.zeros(n, EMBEDDING))
        self.table = nn.Parameter(torch.randn(categories, EMBEDDING) / EMBEDDING**0.5)
        self.unflagged = nn.Parameter(torch.zeros(flags))
        width = EMBEDDING * (n + len(first)) + flags
        self.signs = nn.Parameter(torch.randint(0, 2, (MEMBERS, width)).float() * 2 - 1)
        self.trunk = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        bound = 1 / math.sqrt(WIDTH)
        self.heads = nn.ParameterList(torch.empty(MEMBERS, WIDTH, out).uniform_(-bound, bound) for out in outputs)
        self.biases = nn.ParameterList(torch.empty(MEMBERS, 1, out).uniform_(-bound, bound) for out in outputs)

    def forward(self, data: Data) -> list[Tensor]:
        """Outputs a task: of each row's own member in training, of every member (on a leading axis) in evaluation."""
        x = data.x[:, :, None]
        shares = torch.minimum(torch.maximum((x - self.lower) * self.scale, self.floor), self.ceiling)
        numbers = torch.einsum("bnk,nkw->bnw", shares, self.bins) + x * self.slope + self.shift
        parts = [torch.where(data.known[:, :, None], numbers, self.missing).flatten(1)]
        if len(self.first):
            parts.append(F.embedding(data.codes + self.first, self.table).flatten(1))
        if len(self.unflagged):
            parts.append(torch.where(data.flagged, data.flags, self.unflagged))
        x = torch.cat(parts, 1)
        # In training each row goes to one member, by its place in the batch, which has a multiple of 16 rows.
        groups = x.view(MEMBERS, -1, x.shape[1]) if self.training else x.expand(MEMBERS, -1, -1)
        hidden = self.trunk(groups * self.signs[:, None])
        outputs = [hidden @ weight + bias for weight, bias in zip(self.heads, self.biases, strict=True)]
        return [output.flatten(0, 1) for output in outputs] if self.training else outputs


def log_levels(output: Tensor) -> Tensor:
    """Log-probabilities of ordered levels: the row's score against increasing cutpoints."""
    above = output[..., :1] - F.pad(F.softplus(output[..., 2:]).cumsum(-1), (1, 0)) - output[..., 1:2]
    low, high = F.pad(F.logsigmoid(above), (1, 0)), F.pad(F.logsigmoid(-above), (0, 1))
    return low + high + F.pad(F.logsigmoid(output[..., 2:]), (1, 1))


def losses(outputs: list[Tensor], data: Data) -> Tensor:
    """The four losses, each the mean over the rows that have the label."""
    died, grade, stay, hazard = outputs
    rows = torch.stack([
        F.binary_cross_entropy_with_logits(died.squeeze(-1), data.died, reduction="none"),
        -log_levels(grade).gather(-1, data.grade[:, None]).squeeze(-1),
        (stay.squeeze(-1) - data.stay) ** 2,
        (F.softplus(hazard) * data.at_risk - hazard * data.happens).sum(-1) / math.log(hazard.shape[-1] + 1),
    ], 1)  # fmt: skip
    return (rows * data.labelled).sum(0) / data.labelled.sum(0).clamp(min=1)


def optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """AdamW; weight decay is for the hidden layers and heads."""
    decayed = [p for name, p in net.named_parameters() if name.startswith(("trunk", "heads")) and p.dim() > 1]
    others = [p for p in net.parameters() if all(p is not q for q in decayed)]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=4e-3, fused=True)


class Average:
    """The running average of the weights."""

    def __init__(self, net: nn.Module) -> None:
        self.live, self.steps = [p.data for p in net.parameters()], 0
        self.mean = [p.clone() for p in self.live]

    def update(self) -> None:
        self.steps += 1
        torch._foreach_lerp_(self.mean, self.live, 1 - min(0.98, (1 + self.steps) / (10 + self.steps)))

    def swap(self) -> None:
        """Exchange the weights and their average."""
        for live, mean in zip(self.live, self.mean, strict=True):
            kept = live.clone()
            live.copy_(mean)
            mean.copy_(kept)


def train(net: nn.Module, data: Data, adam: torch.optim.Optimizer, average: Average | None) -> None:
    """One pass over the rows; what does not fill a batch is left out of this one."""
    net.train()
    for rows in torch.randperm(len(data)).split(BATCH):
        if len(rows) == BATCH:
            batch = data[rows]
            adam.zero_grad()
            losses(net(batch), batch).sum().backward()
            adam.step()
            if average:
                average.update()


# From here on: the script.

NUMBERS = [
    "age", "num.co", "edu", "hday", "meanbp", "wblc", "hrt", "resp", "temp", "pafi", "alb", "bili", "crea", "sod", "ph",
    "glucose", "bun", "urine", "adlp", "adls",
]  # fmt: skip
CATEGORIES = ["sex", "dzgroup", "dzclass", "income", "scoma", "race", "ca"]
FLAGS = ["diabetes", "dementia"]
LEVELS = ["no(M2 and SIP pres)", "adl>=4 (>=5 if sur)", "SIP>=30", "Coma or Intub", "<2 mo. follow-up"]
BINS = 20


def read(path: Path) -> tuple[Net, Data, dict[str, np.ndarray], np.ndarray]:
    """The network that fits the table, the table as tensors, the rows of each part, and the ends of the survival bins."""
    import pandas as pd
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import QuantileTransformer

    frame = pd.read_csv(path)
    rest, test = train_test_split(np.arange(len(frame)), test_size=0.2, random_state=0, stratify=frame["hospdead"])
    rows, validation = train_test_split(rest, test_size=0.15, random_state=0, stratify=frame["hospdead"].iloc[rest])
    scaler = QuantileTransformer(output_distribution="normal", n_quantiles=200).fit(frame[NUMBERS].iloc[rows])
    x = scaler.transform(frame[NUMBERS]).clip(-3.5, 3.5)
    edges = [np.unique(np.nanquantile(column, np.linspace(0, 1, 33))) for column in x[rows].T]
    codes, sizes = [], []
    for name in CATEGORIES:
        values = sorted(frame[name].iloc[rows].dropna().unique())
        code = pd.Categorical(frame[name], values).codes.astype(np.int64)
        codes.append(np.where(code >= 0, code + 1, np.where(frame[name].isna(), len(values) + 1, 0)))
        sizes.append(len(values) + 2)
    flags = frame[FLAGS].apply(lambda column: column == column.dropna().max())
    stay, time = np.log1p(frame["slos"].to_numpy(float)), frame["d.time"].to_numpy(float)
    event = frame["death"].to_numpy() == 1
    trained_events = time[rows][event[rows]]
    ends = np.unique(np.quantile(trained_events, np.linspace(0, 1, BINS + 1)[1:], method="inverted_cdf"))
    place = np.searchsorted(ends, time)
    middles = (ends + np.r_[0, ends[:-1]]) / 2
    survived = np.where(event, place, np.searchsorted(middles, time, side="right"))
    happens = (np.arange(len(ends)) == place[:, None]) & event[:, None]
    at_risk = (np.arange(len(ends)) < survived[:, None]) | happens
    grade = pd.Categorical(frame["sfdm2"], LEVELS).codes.astype(np.int64)
    ones = np.ones(len(frame), bool)
    arrays = (
        np.nan_to_num(x).astype(np.float32), ~np.isnan(x), np.stack(codes, 1), flags.to_numpy(np.float32) * 2 - 1,
        frame[FLAGS].notna().to_numpy(), frame["hospdead"].to_numpy(np.float32), grade.clip(0),
        ((stay - stay[rows].mean()) / stay[rows].std()).astype(np.float32), happens.astype(np.float32),
        at_risk.astype(np.float32), np.stack([ones, grade >= 0, ones, ones], 1),
    )  # fmt: skip
    first = torch.tensor(np.cumsum(sizes) - sizes)
    net = Net(edges, first, int(sum(sizes)), len(FLAGS), [1, len(LEVELS), 1, len(ends)])
    parts = {"train": rows, "validation": validation, "test": test, "time": time, "event": event}
    return net, Data(*map(torch.from_numpy, arrays)), parts, ends


@torch.inference_mode()
def predict(net: Net, data: Data) -> list[np.ndarray]:
    """Probabilities of death and of the levels, the stay on its scale, the survival curve; means over the members."""
    net.eval()
    died, grade, stay, hazard = net(data)
    curve = torch.exp(-F.softplus(hazard).cumsum(-1))
    return [part.mean(0).numpy() for part in (died.sigmoid().squeeze(-1), log_levels(grade).exp(), stay.squeeze(-1), curve)]


def concordance(risk: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """Harrell's: of the pairs whose order is known, the share in which the earlier event has the higher risk."""
    known = event[:, None] & ((time[:, None] < time) | ((time[:, None] == time) & ~event))
    higher = (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk)
    return float(higher[known].mean())


def score(predicted: list[np.ndarray], data: Data, time: np.ndarray, event: np.ndarray) -> list[float]:
    """AUROC, mean AUROC of the levels, R2, concordance."""
    from sklearn.metrics import r2_score, roc_auc_score

    died, grade, stay, curve = predicted
    has, levels = data.labelled[:, 1].numpy(), data.grade.numpy()
    each = [roc_auc_score(levels[has] == level, grade[has, level]) for level in range(len(LEVELS))]
    return [
        float(roc_auc_score(data.died, died)), float(np.mean(each)), float(r2_score(data.stay, stay)),
        concordance(1 - curve.mean(1), time, event),
    ]  # fmt: skip


def main() -> None:
    import pandas as pd
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser()
    parser.add_argument("csv", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("by_hand"))
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net, data, parts, ends = read(given.csv)
    rows = {name: data[torch.from_numpy(parts[name])] for name in ("train", "validation", "test")}
    outcome = {name: (parts["time"][parts[name]], parts["event"][parts[name]]) for name in ("validation", "test")}
    adam, average = optimizer(net), Average(net)
    best, kept = -math.inf, {}
    for epoch in range(given.epochs):
        for _ in range(given.repeats):
            train(net, rows["train"], adam, average)
        average.swap()
        found = float(np.mean(score(predict(net, rows["validation"]), rows["validation"], *outcome["validation"])))
        if found > best:
            best, kept = found, {name: value.clone() for name, value in net.state_dict().items()}
        average.swap()
        print(f"epoch {epoch + 1} score {found:.4f}")
    net.load_state_dict(kept)
    predicted = predict(net, rows["test"])
    scores = score(predicted, rows["test"], *outcome["test"])
    print("test", " ".join(f"{value:.4f}" for value in scores), f"mean {np.mean(scores):.4f}")
    given.out.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), given.out / "model.safetensors")
    columns = {"row": parts["test"], "hospdead": predicted[0], "slos": predicted[2]}
    columns |= {f"sfdm2_{level}": predicted[1][:, number] for number, level in enumerate(LEVELS)}
    columns |= {f"survival_{end:g}": predicted[3][:, number] for number, end in enumerate(ends)}
    pd.DataFrame(columns).to_parquet(given.out / "predictions.parquet")


if __name__ == "__main__":
    main()
