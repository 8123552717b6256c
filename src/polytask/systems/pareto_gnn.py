"""ParetoGNN: a graph encoder pretrained on five pretexts, whose gradients the min-norm rule balances (Ju et al. 2023)."""

card = {
    "title": "Multi-task Self-supervised Graph Neural Networks Enable Stronger Task Generalization (ParetoGNN)",
    "paper": "Ju et al., ICLR 2023, https://arxiv.org/abs/2210.02016",
    "year": 2023,
    "field": "graphs",
    "kind": "training",
    "extra": "graphs",
    "example": {
        "inputs": {"synopsis": "text 50", "size": "number", "edges": "links"},
        "tasks": {"section": "multiclass 3", "free": "binary", "downloads": "regression"},
    },
    "defaults": {
        "balancer": {"name": "mgda", "normalise": "l2"},
        "training": {"lr": 1e-3, "weight_decay": 1e-5, "average": 0.0, "epochs": 8},
    },
}

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.utils import k_hop_subgraph, remove_self_loops, subgraph, to_undirected

from polytask.core import Batch, Fit, OptionError, PerTask, Schema, Solve, Stage, System, Task, opt
from polytask.core.links import Links
from polytask.nn import graph
from polytask.nn.graph import GCN, GraphConvolution, NodeFeatures, drop_columns, drop_edges, info_nce
from polytask.nn.heads import Heads

Pretext = Literal["p_link", "p_recon", "p_ming", "p_minsg", "p_decor"]
_ALL: tuple[Pretext, ...] = ("p_link", "p_recon", "p_ming", "p_minsg", "p_decor")
_CODE = "authors' code"
_ITERATIONS = 100


@dataclass(frozen=True)
class Options:
    """The authors' settings for graphs of middle size."""

    pretexts: tuple[Pretext, ...] = opt(_ALL, "the pretexts that take part", paper="sec. 3.1")
    hidden: tuple[int, ...] = opt((512, 256), "widths of the graph convolutions", paper="app. (Pubmed, Wiki-CS)")
    predictor: int = opt(512, "width of the hidden layers of the pretexts' heads", paper=_CODE, ge=1)
    buckets: int = opt(1024, "places that the n-grams of a text are folded to", ours="the authors' data are vectors", ge=1)
    nodes: int = opt(2048, "nodes of a step, at most: rows of the batch and neighbours", ours="paper: 1024 and 3 hops", ge=2)
    link_drop: float = opt(0.4, "p_link: dropout of the features", paper=_CODE, ge=0, lt=1)
    mask: float = opt(0.5, "p_recon: share of nodes that are masked", paper=_CODE, gt=0, lt=1)
    recon_edges: float = opt(0.35, "p_recon: share of edges dropped", paper=_CODE, ge=0, lt=1)
    contrast_drop: float = opt(0.3, "p_minsg: share of edges and of columns dropped", paper=_CODE, ge=0, lt=1)
    temperature: float = opt(0.1, "p_minsg: temperature", paper=_CODE, gt=0)
    contrast_nodes: int = opt(1024, "p_minsg: nodes told apart in a step, at most", ours="memory: their square", ge=2)
    decor_drop: float = opt(0.2, "p_decor: share of edges and of columns dropped", paper=_CODE, ge=0, lt=1)
    decor_weight: float = opt(1e-3, "p_decor: weight of the distance from decorrelation", paper=_CODE, ge=0)
    decays: tuple[float, ...] = opt((1e-4, 1e-3, 1e-2), "L2 penalties that a probe tries", ours="chosen on validation")


class Link(nn.Module):
    """p_link: edges told from random pairs, by the product of their ends (link prediction).

    As in the authors' code the edges asked for are in the graph that is seen. A random pair may be an edge.
    """

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        self.drop, self.hidden, self.out = (
            options.link_drop,
            nn.Linear(width, options.predictor),
            nn.Linear(options.predictor, 1),
        )

    def forward(self, encoder: GCN, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, ""]:
        h = F.relu(self.hidden(F.normalize(encoder(F.dropout(x, self.drop), edges), dim=1)))
        real = edges[:, edges[0] < edges[1]]
        first = torch.randint(len(x), (real.shape[1],), device=x.device)
        second = (first + 1 + torch.randint(len(x) - 1, first.shape, device=x.device)) % len(x)
        pairs = torch.cat([real, torch.stack([first, second])], dim=1)
        logits = self.out(h[pairs[0]] * h[pairs[1]]).squeeze(1)
        target = (torch.arange(len(logits), device=x.device) < real.shape[1]).to(logits)
        return F.binary_cross_entropy_with_logits(logits, target) if len(logits) else h.sum() * 0


class Reconstruct(nn.Module):
    """p_recon: features of masked nodes from their neighbours, by a scaled cosine error (GraphMAE, Hou et al. 2022, eq. 2)."""

    def __init__(self, inputs: int, width: int, options: Options) -> None:
        super().__init__()
        self.share, self.drop = options.mask, options.recon_edges
        self.token = nn.Parameter(torch.zeros(inputs))
        self.project, self.decoder = nn.Linear(width, width, bias=False), GraphConvolution(width, inputs)

    def forward(self, encoder: GCN, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, ""]:
        masked = torch.randperm(len(x), device=x.device)[: max(1, int(self.share * len(x)))]
        kept, hidden = drop_edges(edges, self.drop), torch.zeros(len(x), 1, dtype=torch.bool, device=x.device)
        hidden[masked] = True
        h = self.project(encoder(torch.where(hidden, self.token, x), kept)).masked_fill(hidden, 0)
        error = 1 - F.cosine_similarity(self.decoder(h, graph.adjacency(kept, len(x)))[masked], x[masked], dim=1)
        loss: Tensor = error.pow(3).mean()
        return loss


class Infomax(nn.Module):
    """p_ming: nodes of the graph told from nodes with shuffled features, by the mean node (DGI, Velickovic et al. 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, encoder: GCN, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, ""]:
        real = encoder(x, edges)
        with encoder.frozen_statistics():
            false = encoder(x[torch.randperm(len(x), device=x.device)], edges)
        summary = self.weight @ torch.sigmoid(real.mean(0))
        return F.softplus(-real @ summary).mean() + F.softplus(false @ summary).mean()


class Contrast(nn.Module):
    """p_minsg: two augmented views of each node told from other nodes (GRACE, Zhu et al. 2020)."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.head = nn.Sequential(nn.Linear(width, options.predictor), nn.ReLU(), nn.Linear(options.predictor, width))

    def forward(self, encoder: GCN, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, ""]:
        some = torch.randperm(len(x), device=x.device)[: self.options.contrast_nodes]
        share = self.options.contrast_drop
        a, b = (self.head(encoder(drop_columns(x, share), drop_edges(edges, share))[some]) for _ in range(2))
        return info_nce(a, b, self.options.temperature)


class Decorrelate(nn.Module):
    """p_decor: two views agree and their places are uncorrelated (CCA-SSG, Zhang et al. 2021, eq. 3).

    As in the authors' code all parts are Frobenius norms, not squares, and the difference is divided by N, not its root.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.drop, self.weight = options.decor_drop, options.decor_weight

    def forward(self, encoder: GCN, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, ""]:
        views = (encoder(drop_columns(x, self.drop), drop_edges(edges, self.drop)) for _ in range(2))
        a, b = ((h - h.mean(0)) / h.std(0).clamp(min=1e-6) for h in views)
        one = torch.eye(a.shape[1], device=x.device, dtype=a.dtype)
        apart = torch.stack([torch.linalg.matrix_norm(one - z.T @ z / len(x)) for z in (a, b)]).sum()
        loss: Tensor = torch.linalg.matrix_norm((a - b) / len(x)) + self.weight * apart
        return loss


def _make(name: Pretext, inputs: int, width: int, options: Options) -> nn.Module:
    makers: dict[Pretext, Callable[[], nn.Module]] = {
        "p_link": lambda: Link(width, options),
        "p_recon": lambda: Reconstruct(inputs, width, options),
        "p_ming": lambda: Infomax(width),
        "p_minsg": lambda: Contrast(width, options),
        "p_decor": lambda: Decorrelate(options),
    }
    return makers[name]()


class ParetoGNN(System):
    """One graph encoder `h = f(X, A)`; pretexts train it, then a linear probe a task reads the frozen `h`.

    The rows are the nodes of one graph (input kind `links`), taken as undirected and without loops. All rows' inputs are seen
    in pretraining, labels by the probes alone. Node features are fixed (`NodeFeatures`), for p_recon needs a target. A balancer
    weighs the pretexts by their gradients at the encoder; their heads get the plain gradient.

    Deviations from the authors' code: heads there get the weighted gradient (AdamW does not see a constant factor); all
    pretexts of a step see one subgraph, where each draws its own; shuffled features leave the statistics of batch
    normalisation alone, and these are measured anew on the whole graph at the end, where there they are those of the last
    view (momentum 0.99); the weights of the epoch with the least sum of losses are kept, there the last. The min-norm problem
    there is of gradients of length 1: `balancer mgda` with `normalise=l2`.
    """

    options_type = Options

    def __init__(
        self, features: NodeFeatures, encoder: GCN, pretexts: PerTask, heads: Heads, links: Sequence[str],
        tasks: Mapping[str, Task], options: Options,
    ) -> None:  # fmt: skip
        super().__init__(tasks)
        self.features, self.encoder, self.pretext, self.heads = features, encoder, pretexts, heads
        self.links, self.options = tuple(links), options
        self._known: list[Tensor] = []
        self._edges = torch.zeros(2, 0, dtype=torch.int64)
        self.register_buffer("center", torch.zeros(encoder.width))
        self.register_buffer("scale", torch.ones(encoder.width))

    center: Tensor
    scale: Tensor

    @classmethod
    def build(cls, schema: Schema, options: Options) -> "ParetoGNN":
        links = schema.of_kind("links")
        if not links:
            fix = "Attach the edges: --with edges=edges.csv:node:target, or give a GraphML file"
            raise OptionError.of("system 'pareto_gnn'", "needs an input of kind 'links'", fix)
        features = NodeFeatures({n: item for n, item in schema.inputs.items() if n not in links}, options.buckets)
        encoder = GCN(features.width, options.hidden)
        pretexts = PerTask({name: _make(name, features.width, encoder.width, options) for name in options.pretexts})
        return cls(features, encoder, pretexts, Heads(schema.tasks, encoder.width), links, schema.tasks, options)

    def objectives(self) -> tuple[str, ...]:
        return self.pretext.names

    def stages(self) -> Sequence[Stage]:
        return [
            Solve(self.learn_features, "features"),
            Fit("pretrain", losses="pretexts", tasks=(), patience=False),
            Solve(self.probe, "probe"),
        ]

    def graph(self, batch: Batch) -> tuple[Links, Int[Tensor, "2 edges"]]:
        """The graph's nodes, and its edges in both directions, each once, without loops."""
        links: list[Any] = [batch.inputs[name] for name in self.links]
        known = [column.edge_index for column in links]
        # Batches of one table share its edges: they are sorted once, not once a step.
        if len(known) != len(self._known) or any(a is not b for a, b in zip(known, self._known, strict=True)):
            edges = remove_self_loops(torch.cat(known, dim=1))[0]
            self._known, self._edges = known, to_undirected(edges, num_nodes=links[0].nodes)
        return links[0], self._edges

    def view(self, links: Links, edges: Int[Tensor, "2 edges"], nodes: Int[Tensor, "nodes"]) -> tuple[Tensor, Tensor]:
        """The features of these nodes (in rising order) and the edges among them."""
        inside = edges if len(nodes) == links.nodes else subgraph(nodes, edges, relabel_nodes=True, num_nodes=links.nodes)[0]
        return self.features(links.everyone.index(nodes), links.present.index(nodes), inside), inside

    def embed(self, batch: Batch) -> Float[Tensor, "rows width"]:
        """The embedding of the asked rows. One hop more than there are convolutions: degrees of the last hop count too."""
        links, edges = self.graph(batch)
        hops = len(self.options.hidden) + 1
        nodes: Tensor = k_hop_subgraph(links.rows, hops, edges, num_nodes=links.nodes)[0]
        h: Tensor = self.encoder(*self.view(links, edges, nodes))
        return h[torch.searchsorted(nodes, links.rows)]

    def forward(self, batch: Batch, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        names = tuple(self.tasks) if tasks is None else tuple(tasks)
        return self.read(self.embed(batch).detach(), names) if names else {}

    def read(self, h: Float[Tensor, "rows width"], tasks: Sequence[str]) -> dict[str, Tensor]:
        """The probes' outputs: linear in the standardised embedding."""
        outputs: dict[str, Tensor] = self.heads((h - self.center) / self.scale, tasks)
        return outputs

    def pretexts(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The losses of the pretexts on the neighbourhood of the batch's rows."""
        links, edges = self.graph(batch)
        most, hops = self.options.nodes, len(self.options.hidden)
        x, inside = self.view(links, edges, graph.neighbourhood(links.rows, edges, links.nodes, hops, most))
        return {name: self.pretext[name](self.encoder, x, inside) for name in self.pretext}

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The losses of the probes and, in training, of the pretexts."""
        return (self.pretexts(batch) if self.training else {}) | super().losses(batch)

    def learn_features(self, train: Batch, validation: Batch, seed: int) -> None:
        """Statistics of the features, of all rows of the table: no label is among them."""
        links, edges = self.graph(train)
        self.features.fit(links.everyone, links.present, edges)

    def probe(self, train: Batch, validation: Batch, seed: int) -> None:
        """Fit each task's probe on the frozen embedding by L-BFGS; the penalty is chosen on the validation rows."""
        device = self.center.device
        self.eval()
        with torch.no_grad():
            links, edges = self.graph(train.to(device))
            self.encoder.measure(*self.view(links, edges, torch.arange(links.nodes, device=device)))
            h, h_validation = (self.embed(part.to(device)) for part in (train, validation))
            self.center.copy_(h.mean(0))
            self.scale.copy_(h.std(0, correction=0).clamp(min=1e-6))
        for name in train.tasks:
            own = self.task_parameters(name)
            best: tuple[float, list[Tensor]] | None = None
            for decay in self.options.decays:
                self._minimise(name, h, train, decay)
                with torch.no_grad():
                    loss = float(self._loss(name, h_validation, validation))
                if best is None or loss < best[0]:
                    best = loss, [p.detach().clone() for p in own]
            assert best is not None
            for parameter, value in zip(own, best[1], strict=True):
                parameter.data.copy_(value)

    def _loss(self, name: str, h: Float[Tensor, "rows width"], batch: Batch) -> Float[Tensor, ""]:
        target, labelled = batch.targets.tensor(name).to(h.device), batch.labelled.tensor(name).to(h.device)
        return self.tasks[name].loss(self.read(h, (name,))[name], target, labelled)

    def _minimise(self, name: str, h: Float[Tensor, "rows width"], batch: Batch, decay: float) -> None:
        """The probe's loss and penalty brought to their minimum, from zero."""
        own = self.task_parameters(name)
        for parameter in own:
            nn.init.zeros_(parameter)
        optimizer = torch.optim.LBFGS(own, max_iter=_ITERATIONS, tolerance_change=1e-7, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            penalty = torch.stack([p.square().sum() for p in own]).sum()
            loss = self._loss(name, h, batch) + decay * penalty
            torch.autograd.backward(loss, inputs=own)
            return loss

        optimizer.step(closure)
