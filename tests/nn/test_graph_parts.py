"""Parts for graphs against closed forms, naive loops and torch_geometric."""

import math

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from torch import nn
from torch_geometric.nn import GCNConv

from polytask.core import Columns, OptionError, Schema
from polytask.nn.graph import (
    GCN,
    GraphConvolution,
    NodeFeatures,
    adjacency,
    drop_columns,
    drop_edges,
    info_nce,
    neighbourhood,
)  # fmt: skip

NODES = 12


def random_edges(nodes: int = NODES, seed: int = 0) -> torch.Tensor:
    upper = torch.rand(nodes, nodes, generator=torch.Generator().manual_seed(seed)).triu(1) > 0.7
    return (upper | upper.T).nonzero().T


def dense(edges: torch.Tensor, nodes: int) -> torch.Tensor:
    a = torch.eye(nodes)
    a[edges[0], edges[1]] = 1
    scale = a.sum(1).rsqrt()
    return scale[:, None] * a * scale


def test_a_convolution_is_its_closed_form_and_that_of_torch_geometric() -> None:
    edges, x = random_edges(), torch.randn(NODES, 5)
    ours, theirs = GraphConvolution(5, 3), GCNConv(5, 3)
    with torch.no_grad():
        ours.bias.copy_(torch.randn(3))
        theirs.lin.weight.copy_(ours.linear.weight)
        theirs.bias.copy_(ours.bias)
    found = ours(x, adjacency(edges, NODES))
    torch.testing.assert_close(found, dense(edges, NODES) @ x @ ours.linear.weight.T + ours.bias)
    torch.testing.assert_close(found, theirs(x, edges))


def test_a_node_without_edges_keeps_itself() -> None:
    assert torch.equal(adjacency(torch.zeros(2, 0, dtype=torch.int64), 3).to_dense(), torch.eye(3))


def test_the_encoder_is_layers_of_norm_and_prelu() -> None:
    torch.manual_seed(0)
    edges, x, encoder = random_edges(), torch.randn(NODES, 5), GCN(5, (4, 3))
    h = x
    for layer, activation in zip(encoder.layers, encoder.activations, strict=True):
        h = dense(edges, NODES) @ h @ layer.linear.weight.T + layer.bias
        h = activation((h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt())
    torch.testing.assert_close(encoder.train()(x, edges), h)


def test_frozen_statistics_stay_and_are_used_again_behind() -> None:
    edges, encoder = random_edges(), GCN(5, (4,)).train()
    before = [b.clone() for b in encoder.buffers()]
    with encoder.frozen_statistics():
        inside = encoder(torch.randn(NODES, 5) + 3, edges)
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.buffers(), strict=True))
    assert inside.isfinite().all()
    encoder(torch.randn(NODES, 5) + 3, edges)
    assert not torch.equal(before[0], next(encoder.buffers()))


def test_measured_statistics_make_evaluation_equal_to_training() -> None:
    edges, x, encoder = random_edges(60), torch.randn(60, 5) * 4 + 1, GCN(5, (4, 3)).eval()
    encoder.measure(x, edges)
    assert not encoder.training
    assert [norm.momentum for norm in encoder.norms] == [0.1, 0.1]
    # Running variances are unbiased, those of a batch in training are not: 60 / 59.
    torch.testing.assert_close(encoder(x, edges), encoder.train()(x, edges), rtol=0.05, atol=0.05)


def test_edges_are_dropped_in_pairs_and_columns_in_all_nodes() -> None:
    torch.manual_seed(0)
    edges = random_edges(80)
    kept = {(a, b) for a, b in drop_edges(edges, 0.3).T.tolist()}
    assert all((b, a) in kept for a, b in kept)
    assert kept < {(a, b) for a, b in edges.T.tolist()}
    assert 0.6 < len(kept) / edges.shape[1] < 0.8
    x = drop_columns(torch.ones(4, 1000), 0.3)
    assert torch.equal(x.min(0).values, x.max(0).values)
    assert 0.65 < float(x.mean()) < 0.75


def test_info_nce_is_the_naive_loop() -> None:
    torch.manual_seed(0)
    a, b, temperature = torch.randn(7, 4), torch.randn(7, 4), 0.3

    def e(u: torch.Tensor, v: torch.Tensor) -> float:
        return math.exp(float(torch.dot(u, v) / u.norm() / v.norm()) / temperature)

    total = 0.0
    for one, other in ((a, b), (b, a)):
        for i in range(7):
            below = sum(e(one[i], other[j]) for j in range(7)) + sum(e(one[i], one[j]) for j in range(7) if j != i)
            total -= math.log(e(one[i], other[i]) / below)
    assert float(info_nce(a, b, temperature)) == pytest.approx(total / 14, rel=1e-5)


def test_the_neighbourhood_is_whole_near_or_cut() -> None:
    line = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    line = torch.cat([line, line.flip(0)], 1)
    seed = torch.tensor([2])
    assert neighbourhood(seed, line, 6, 1, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert neighbourhood(seed, line, 6, 1, 4).tolist() == [1, 2, 3]
    for _ in range(5):
        cut = neighbourhood(seed, line, 6, 2, 3).tolist()
        assert len(cut) == 3
        assert 2 in cut
        assert set(cut) < {0, 1, 2, 3, 4}
    assert neighbourhood(torch.tensor([0, 1, 5]), line, 6, 2, 2).tolist() == [0, 1, 5], "seeds are never cut"


def test_features_are_tfidf_values_and_places() -> None:
    schema = Schema.parse({"inputs": {"words": "text 30", "n": "number", "f": "boolean", "c": "category 3"}, "tasks": {}})
    batch = schema.example(50)
    features = NodeFeatures(schema.inputs, 16)
    edges = torch.zeros(2, 0, dtype=torch.int64)
    features.fit(batch.inputs, batch.present, edges)
    x = features(batch.inputs, batch.present, edges)
    assert x.shape == (50, features.width) == (50, 16 + 1 + 1 + 4)
    torch.testing.assert_close(x.mean(0), torch.zeros(features.width), atol=1e-5, rtol=0)
    raw = x * features.deviation + features.mean
    ids = batch.inputs["words"]
    counts = np.zeros((50, 16))
    for row in range(50):
        for value in ids.values[ids.offsets[row] : ids.offsets[row + 1]].tolist():  # type: ignore[union-attr]
            counts[row, value % 16] += 1
    torch.testing.assert_close(raw[:, :16], torch.tensor(TfidfTransformer().fit_transform(counts).toarray()).float())
    assert set(raw[:, 17].round(decimals=4).tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(raw[:, 18:], nn.functional.one_hot(batch.inputs.tensor("c"), 4).float())
    absent = Columns({name: torch.zeros(50, dtype=torch.bool) for name in batch.present}, 50)
    gone = features(batch.inputs, absent, edges) * features.deviation + features.mean
    torch.testing.assert_close(gone[:, 16:], torch.zeros(50, 6), atol=1e-6, rtol=0)


def test_rows_without_inputs_have_their_degree() -> None:
    edges = torch.tensor([[0, 0, 0, 1], [1, 2, 3, 0]])
    x = NodeFeatures({}, 4)(Columns({}, 4), Columns({}, 4), edges)
    assert x.argmax(1).tolist() == [2, 1, 0, 0]
    assert x.sum(1).tolist() == [1, 1, 1, 1]


def test_images_are_refused() -> None:
    schema = Schema.parse({"inputs": {"scan": "image 1 8 8"}, "tasks": {}})
    with pytest.raises(OptionError, match="input 'scan': kind 'image' has no fixed encoding"):
        NodeFeatures(schema.inputs, 4)
