"""Parts of networks on one graph whose nodes are rows: features, convolutions, augmentations, contrast. Extra `graphs`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import degree, dropout_edge, k_hop_subgraph

from polytask.core import Columns, Input, OptionError, Ragged

_DEGREES = 16


class NodeFeatures(nn.Module):
    """A fixed encoding of rows as `(rows, width)`, for losses that have to reconstruct it; nothing in it is trained.

    Numbers, dates and vectors as their kinds scale them; a boolean as -1 or 1; a category as one place a value; a text as its
    hashed n-grams, folded to `buckets` places, weighted by TF-IDF, of length 1 (a sentence vector where the text has one).
    Absent inputs are 0. Every column is then standardised over the rows that `fit` saw. Rows without any input get one place
    for each power of two of their degree.

    Errors: `OptionError` for kinds that have no fixed encoding (images, audio).
    """

    def __init__(self, inputs: Mapping[str, Input], buckets: int) -> None:
        super().__init__()
        self.inputs: dict[str, Any] = dict(inputs)
        self.buckets = buckets
        widths = [self._width(item) for item in self.inputs.values()] or [_DEGREES]
        hashed = sum(_is_hashed(item) for item in self.inputs.values())
        self.width: int = sum(widths)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("deviation", torch.ones(self.width))
        self.register_buffer("rarity", torch.ones(hashed, buckets))

    mean: Tensor
    deviation: Tensor
    rarity: Tensor

    def _width(self, item: Any) -> int:
        match item.kind:
            case "number" | "boolean":
                return 1
            case "category":
                return len(item.values) + 1
            case "text" if item.encoder == "hash":
                return self.buckets
            case "text" | "vector" | "datetime":
                return int(item.size)
        fix = f"Leave it out: ignore=['{item.name}']"
        raise OptionError.of(f"input '{item.name}'", f"kind '{item.kind}' has no fixed encoding for the nodes of a graph", fix)

    @torch.no_grad()
    def fit(self, inputs: Columns, present: Columns, edges: Int[Tensor, "2 edges"]) -> None:
        """Learn how rare each n-gram is, and each column's mean and deviation (1 where it is constant)."""
        hashed = [name for name, item in self.inputs.items() if _is_hashed(item)]
        for number, name in enumerate(hashed):
            found = (self._counts(inputs[name]) > 0).sum(0)
            self.rarity[number] = torch.log((1 + inputs.rows) / (1 + found)) + 1
        x = self._raw(inputs, present, edges)
        deviation = x.std(0, correction=0)
        self.mean.copy_(x.mean(0))
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, inputs: Columns, present: Columns, edges: Int[Tensor, "2 edges"]) -> Float[Tensor, "rows width"]:
        return (self._raw(inputs, present, edges) - self.mean) / self.deviation

    def _raw(self, inputs: Columns, present: Columns, edges: Int[Tensor, "2 edges"]) -> Float[Tensor, "rows width"]:
        if not self.inputs:
            return F.one_hot(degree(edges[0], inputs.rows).add(1).log2().long().clamp(max=_DEGREES - 1), _DEGREES).float()
        parts: list[Tensor] = []
        hashed = 0
        for name, item in self.inputs.items():
            if _is_hashed(item):
                parts.append(F.normalize(self._counts(inputs[name]) * self.rarity[hashed], dim=1))
                hashed += 1
                continue
            column = inputs.tensor(name)
            if item.kind == "category":
                column = F.one_hot(column, len(item.values) + 1)
            elif item.kind == "boolean":
                column = column.float() * 2 - 1
            parts.append(column.float().reshape(len(column), -1) * present.tensor(name)[:, None])
        return torch.cat(parts, dim=1)

    def _counts(self, ids: Any) -> Float[Tensor, "rows buckets"]:
        assert isinstance(ids, Ragged)
        row = torch.repeat_interleave(torch.arange(len(ids), device=ids.values.device), ids.lengths)
        place = row * self.buckets + ids.values % self.buckets
        return torch.bincount(place, minlength=len(ids) * self.buckets).view(len(ids), self.buckets).float()


def _is_hashed(item: Any) -> bool:
    return bool(item.kind == "text" and item.encoder == "hash")


def adjacency(edges: Int[Tensor, "2 edges"], nodes: int) -> Float[Tensor, "nodes nodes"]:
    """`D^(-1/2) (A + I) D^(-1/2)`, sparse; D the degrees with the loop."""
    index, weight = gcn_norm(edges, None, nodes)
    return torch.sparse_coo_tensor(index, weight, (nodes, nodes), check_invariants=False).coalesce()


class GraphConvolution(nn.Module):
    """`A^ x W + b` (Kipf and Welling 2017, eq. 2) with the matrix of `adjacency`.

    It gives what torch_geometric's GCNConv does, whose messages edge by edge took three times as long on a processor.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "nodes inputs"], matrix: Float[Tensor, "nodes nodes"]) -> Float[Tensor, "nodes outputs"]:
        h = self.linear(x)
        with torch.autocast(x.device.type, enabled=False):  # there are no sparse products in half precision
            y: Tensor = torch.sparse.mm(matrix, h.float()) + self.bias
        return y.to(h.dtype)


class GCN(nn.Module):
    """Graph convolutions, each with batch normalisation and PReLU: `h <- PReLU(BN(A^ h W + b))`."""

    def __init__(self, width: int, widths: Sequence[int], momentum: float = 0.1) -> None:
        super().__init__()
        sizes = [width, *widths]
        self.layers = nn.ModuleList(GraphConvolution(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size, momentum=momentum) for size in widths)
        self.activations = nn.ModuleList(nn.PReLU() for _ in widths)
        self.width: int = sizes[-1]

    def forward(self, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> Float[Tensor, "nodes width"]:
        matrix = adjacency(edges, len(x))
        for layer, norm, activation in zip(self.layers, self.norms, self.activations, strict=True):
            x = activation(norm(layer(x, matrix)))
        return x

    @contextmanager
    def frozen_statistics(self) -> Iterator[None]:
        """Passes in this block leave the running statistics alone (in training they use the batch's own, as ever)."""
        norms: list[Any] = list(self.norms)
        for norm in norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in norms:
                norm.track_running_stats = True

    @torch.no_grad()
    def measure(self, x: Float[Tensor, "nodes inputs"], edges: Int[Tensor, "2 edges"]) -> None:
        """Set the running statistics to those of these nodes."""
        norms: list[Any] = list(self.norms)
        was, momenta = self.training, [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        self.train()(x, edges)
        self.train(was)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def drop_edges(edges: Int[Tensor, "2 edges"], share: float) -> Int[Tensor, "2 kept"]:
    """Without this share of the undirected edges, both directions of an edge together."""
    kept: Tensor = dropout_edge(edges, share, force_undirected=True)[0]
    return kept


def drop_columns(x: Float[Tensor, "nodes width"], share: float) -> Float[Tensor, "nodes width"]:
    """This share of the columns set to 0, in all nodes alike."""
    return x * (torch.rand(x.shape[1], device=x.device) >= share)


def info_nce(a: Float[Tensor, "nodes width"], b: Float[Tensor, "nodes width"], temperature: float) -> Float[Tensor, ""]:
    """Two views of the same nodes told apart from all other nodes of both views, by cosine (Zhu et al. 2020, GRACE, eq. 1-2).

    Of node i in view a: `-log(e(a_i, b_i) / (sum_j e(a_i, b_j) + sum_{j != i} e(a_i, a_j)))`, `e = exp(cos / temperature)`; the
    mean over nodes and over both views. The positive pair is in the denominator once.
    """
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    own = torch.eye(len(a), dtype=torch.bool, device=a.device)
    between = a @ b.T / temperature

    def side(view: Tensor, across: Tensor) -> Tensor:
        inside = (view @ view.T / temperature).masked_fill(own, -torch.inf)
        return torch.logsumexp(torch.cat([across, inside], dim=1), dim=1) - across.diagonal()

    return 0.5 * (side(a, between) + side(b, between.T)).mean()


def neighbourhood(
    seeds: Int[Tensor, "seeds"], edges: Int[Tensor, "2 edges"], nodes: int, hops: int, most: int
) -> Int[Tensor, "chosen"]:
    """Nodes within `hops` of the seeds; where they are more than `most`, the seeds and a random choice of the others.

    A graph of at most `most` nodes is taken whole.
    """
    if nodes <= most:
        return torch.arange(nodes, device=edges.device)
    near: Tensor = k_hop_subgraph(seeds, hops, edges, num_nodes=nodes)[0]
    if len(near) <= most:
        return near
    taken: Bool[Tensor, "nodes"] = torch.zeros(nodes, dtype=torch.bool, device=edges.device)
    taken[seeds] = True
    others = near[~taken[near]]
    free = max(0, most - len(near) + len(others))
    taken[others[torch.randperm(len(others), device=edges.device)[:free]]] = True
    return taken.nonzero().squeeze(1)
