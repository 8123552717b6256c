"""ParetoGNN: pretexts against naive forms, what the balancer sees, what the probes see, and a user's files."""

import math
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest
import torch
from torch import Tensor
from torchjd.aggregation import MGDAWeighting

from polytask.balance import _balancer
from polytask.core import Batch, OptionError, Schema, Update
from polytask.core.option import make
from polytask.engine.fit import fit
from polytask.nn.graph import GCN
from polytask.systems.pareto_gnn import Contrast, Decorrelate, Infomax, Link, Options, ParetoGNN, Reconstruct

SCHEMA = Schema.parse({"inputs": {"x": "vector 6", "edges": "links"}, "tasks": {"kind": "multiclass 3", "size": "regression"}})
NARROW: dict[str, Any] = {"hidden": (8, 4), "predictor": 8}
NO_CHANGE: dict[str, Any] = {"link_drop": 0, "contrast_drop": 0, "decor_drop": 0, "recon_edges": 0}


def build(schema: Schema = SCHEMA, **values: Any) -> ParetoGNN:
    torch.manual_seed(0)
    return ParetoGNN.build(schema, make(Options, NARROW | values, "pareto_gnn"))


def parts(rows: int = 20) -> tuple[Tensor, Tensor, GCN]:
    system, batch = build(), SCHEMA.example(rows)
    links, edges = system.graph(batch)
    x, inside = system.view(links, edges, torch.arange(rows))
    return x, inside, system.encoder.train()


def test_the_graph_is_undirected_without_loops() -> None:
    column = pa.array([[{"row": 0}, {"row": 1}], [{"row": 0}], [{"row": 1}]])
    table = pa.table({"x": [[0.0] * 6] * 3, "edges": column})
    edges = build().graph(SCHEMA.encode(table))[1]
    assert sorted(map(tuple, edges.T.tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1)]


def test_decorrelation_is_its_naive_form() -> None:
    x, edges, encoder = parts()
    loss = Decorrelate(make(Options, NO_CHANGE, "x"))(encoder, x, edges)
    h = encoder(x, edges)
    z = (h - h.mean(0)) / h.std(0)
    off = sum(float((float(i == j) - (z[:, i] @ z[:, j]) / 20) ** 2) for i in range(4) for j in range(4))
    assert float(loss) == pytest.approx(2e-3 * math.sqrt(off), rel=1e-4)


def test_reconstruction_hides_the_masked_nodes_twice() -> None:
    x, _, encoder = parts()
    none = torch.zeros(2, 0, dtype=torch.int64)
    pretext = Reconstruct(6, 4, make(Options, NARROW | NO_CHANGE, "x"))
    # Without an edge nothing but the bias (here 0) can reach a masked node: the cosine is 0, the error 1.
    assert float(pretext(encoder, x, none)) == pytest.approx(1.0)
    (gradient,) = torch.autograd.grad(pretext(encoder, x, none), pretext.decoder.linear.weight)
    assert not gradient.any()


def test_infomax_compares_with_shuffled_features_and_keeps_their_statistics_out() -> None:
    x, edges, encoder = parts()
    pretext = Infomax(4)
    fresh = build().encoder.train()
    torch.manual_seed(5)
    loss = pretext(encoder, x, edges)
    torch.manual_seed(5)
    order = torch.randperm(20)
    real, false = fresh(x, edges), encoder(x[order], edges)
    summary = pretext.weight @ torch.sigmoid(real.mean(0))
    cross_entropy = torch.nn.functional.binary_cross_entropy
    expected = cross_entropy(torch.sigmoid(real @ summary), torch.ones(20)) + cross_entropy(
        torch.sigmoid(false @ summary), torch.zeros(20)
    )
    torch.testing.assert_close(loss, expected)
    other = build().encoder.train()
    pretext(other, x, edges)
    for ours, theirs in zip(other.buffers(), fresh.buffers(), strict=True):
        assert torch.equal(ours, theirs), "the shuffled pass has moved a running statistic"


def test_link_without_edges_is_zero_and_views_that_agree_contrast_well() -> None:
    x, edges, encoder = parts()
    options = make(Options, NARROW | NO_CHANGE, "x")
    assert float(Link(4, options)(encoder, x, torch.zeros(2, 0, dtype=torch.int64))) == 0
    assert float(Link(4, options)(encoder, x, edges)) == pytest.approx(math.log(2), abs=0.3)
    assert float(Contrast(4, options)(encoder, x, edges)) < math.log(2 * 20 - 1)


def test_min_norm_weights_are_of_the_encoders_gradients_alone() -> None:
    system, batch = build(**NO_CHANGE).train(), SCHEMA.example(30)
    balancer = _balancer.make("mgda", list(system.objectives()), {})
    losses = system.pretexts(batch)
    encoder = list(system.encoder.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, encoder, retain_graph=True, materialize_grads=True)])
        for loss in losses.values()
    ]
    gramian = torch.stack(rows) @ torch.stack(rows).T
    own = {name: system.task_parameters(name) for name in system.objectives()}
    used = balancer.step(Update(losses, system.shared_parameters(), own=own))
    expected = MGDAWeighting()(gramian / gramian.trace())
    torch.testing.assert_close(used, expected, rtol=1e-3, atol=1e-4)
    found = torch.cat([p.grad.flatten() for p in encoder if p.grad is not None])
    torch.testing.assert_close(found, expected @ torch.stack(rows), rtol=1e-3, atol=1e-5)


def test_parameters_are_the_encoder_and_each_pretexts_and_tasks_own() -> None:
    system = build()
    assert {id(p) for p in system.shared_parameters()} == {id(p) for p in system.encoder.parameters()}
    owned = [p for name in (*system.objectives(), *system.tasks) for p in system.task_parameters(name)]
    assert len(owned) + len(system.shared_parameters()) == len(list(system.parameters()))


def test_probes_do_not_move_the_encoder() -> None:
    system, batch = build().train(), SCHEMA.example(30)
    torch.autograd.backward(torch.stack(list(system.task_losses(system(batch), batch).values())).sum())
    assert all(p.grad is None for p in system.encoder.parameters())
    before = [p.clone() for p in system.encoder.parameters()]
    untaught = float(torch.stack(list(system.eval().losses(batch).values())).sum().detach())
    system.probe(batch, batch, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, system.encoder.parameters(), strict=True))
    assert float(torch.stack(list(system.losses(batch).values())).sum().detach()) < untaught


def test_a_probe_is_at_its_minimum() -> None:
    system, batch = build(decays=(1e-2,)), SCHEMA.example(40)
    system.probe(batch, batch, 0)
    own = system.task_parameters("kind")
    loss = system.losses(batch)["kind"] + 1e-2 * torch.stack([p.square().sum() for p in own]).sum()
    assert all(float(g.abs().max()) < 1e-2 for g in torch.autograd.grad(loss, own))


def test_the_embedding_of_some_rows_is_theirs_of_all() -> None:
    system, batch = build().eval(), SCHEMA.example(300)
    rows = torch.tensor([7, 250, 3])
    with torch.no_grad():
        torch.testing.assert_close(system.embed(batch.index(rows)), system.embed(batch)[rows])


def ring(labels: bool = True, cut: int | None = None) -> pa.Table:
    """Two rings of nodes with noisy features; without the edge from node `cut` to the next one."""
    generator = torch.Generator().manual_seed(0)
    edges: list[list[dict[str, int]]] = [[] for _ in range(60)]
    for i in range(60):
        j = (i + 1) % 30 + 30 * (i // 30)
        if i != cut:
            edges[i].append({"row": j})
    x = (torch.randn(60, 3, generator=generator) + torch.arange(60)[:, None] // 30).tolist()
    return pa.table({"x": x, "edges": pa.array(edges), "ring": ["a" if i < 30 else "b" for i in range(60)]})


def test_held_out_edges_are_not_in_the_graph_that_is_seen() -> None:
    schema = Schema.parse({"inputs": {"x": "vector 3", "edges": "links"}, "tasks": {}})
    system = build(schema)
    seen = [set(map(tuple, system.graph(schema.encode(ring(cut=cut)))[1].T.tolist())) for cut in (None, 10)]
    assert seen[0] - seen[1] == {(10, 11), (11, 10)}
    recorded: list[Tensor] = []
    system.encoder.register_forward_pre_hook(lambda module, inputs: recorded.append(inputs[1]))
    batch = schema.encode(ring(cut=10))
    system.train().pretexts(batch)
    system.embed(batch)
    assert len(recorded) == 9, "eight views of five pretexts, and the embedding"
    for edges in recorded:
        assert not ((edges[0] == 10) & (edges[1] == 11) | (edges[0] == 11) & (edges[1] == 10)).any()


SETTINGS: dict[str, Any] = {"system": NARROW, "training": {"epochs": 1, "steps": 10, "threads": 1, "lr": 1e-2}}


def test_it_fits_and_predicts_a_table(tmp_path: Path) -> None:
    run = fit(ring(), ["ring"], system="pareto_gnn", balancer="mgda", settings=SETTINGS, out=tmp_path / "run")
    assert run.scores["test"]["ring"]["accuracy"] > 0.8
    assert run.predict(ring().drop_columns("ring"))["ring"].isin(["a", "b"]).all()


def test_the_balancer_weighs_the_pretexts(tmp_path: Path) -> None:
    fit(ring(), ["ring"], system="pareto_gnn", settings=SETTINGS, out=tmp_path / "run")
    head = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"weight/{name}" for name in build().objectives()} <= set(head)
    assert "weight/ring" not in head


def test_it_fits_a_graphml_file(tmp_path: Path) -> None:
    graph = nx.Graph()
    for i in range(60):
        graph.add_node(f"node {i}", size=float(i // 30) + 0.01 * i, ring="a" if i < 30 else "b")
    graph.add_edges_from((f"node {i}", f"node {(i + 1) % 30 + 30 * (i // 30)}") for i in range(60))
    nx.write_graphml(graph, tmp_path / "rings.graphml")
    run = fit(tmp_path / "rings.graphml", ["ring"], system="pareto_gnn", settings=SETTINGS | {"ignore": ["node"]})
    assert run.schema.of_kind("links") == ("edges",)
    assert run.scores["test"]["ring"]["accuracy"] > 0.8


def test_a_table_without_links_is_refused() -> None:
    schema = Schema.parse({"inputs": {"x": "number"}, "tasks": {"y": "binary"}})
    with pytest.raises(OptionError, match="needs an input of kind 'links'"):
        build(schema)


def test_a_batch_of_some_rows_sees_its_neighbours() -> None:
    batch: Batch = SCHEMA.example(200).index(torch.arange(4))
    losses = build(nodes=32).train().pretexts(batch)
    assert list(losses) == ["p_link", "p_recon", "p_ming", "p_minsg", "p_decor"]
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert list(build(pretexts=("p_decor", "p_link")).train().pretexts(batch)) == ["p_decor", "p_link"]
