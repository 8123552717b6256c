"""Attached tables, systems that learn nothing, and claims, as a user meets them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from test_commands import data, run  # noqa: F401  (the fixture)

from polytask.core import registry

CLAIM = '''"""A made-up claim."""

claim = {
    "statement": "Adding helps.", "source": "nowhere", "reported": "nothing", "systems": [], "differs": "It is made up.",
    "arms": {"ours": "adds", "base": "does not"}, "controls": {"constant": "the mean"},
    "checks": {
        "main": {"arm": "ours", "against": "base", "metric": "score", "direction": "max", "margin": 0.0, "says": "Ours"},
    },
    "seeds": {"smoke": 1, "quick": 3, "full": 3},
}

from polytask.ledger import Measured


def measure(arm, seed, size):
    return Measured({"score": seed + {"ours": 0.5 + 0.01 * seed, "base": 0.0, "constant": 0.1}[arm]}, STEPS[arm], 5)


STEPS = {"ours": 10, "base": 10, "constant": 1}
'''


@pytest.fixture
def labs() -> str:
    frame = data().reset_index(names="number")
    frame[["number", "age", "ill"]].to_csv("people.csv", index=False)
    lines = [f"{n},{hour},{name},{hour + n % 3}" for n in range(len(frame)) for hour in range(n % 4) for name in ("hr", "bp")]
    Path("labs.csv").write_text("number,time,variable,value\n" + "\n".join(lines))
    return "labs=labs.csv:number"


def test_a_table_of_measurements_is_attached(run: Any, labs: str) -> None:  # noqa: F811
    fast = ["--epochs", "1", "--set", "members=1", "--set", "width=8", "--set", "training.steps=1"]
    done = run("fit", "people.csv", "--with", labs, "--tasks", "ill", "--out", "r", *fast)
    assert done.code == 0, done.err
    assert run("predict", "r", "people.csv", "--with", labs, "--out", "p.csv").code == 0
    assert len(Path("p.csv").read_text().splitlines()) == 151
    assert "auroc" in run("evaluate", "r", "people.csv", "--with", labs).out
    assert "Attach the table of values: --with NAME=FILE:KEY" in run("predict", "r", "people.csv").err
    wrong = run("fit", "people.csv", "--with", "labs=labs.csv", "--tasks", "ill")
    assert (wrong.code, "is not NAME=FILE:KEY or NAME=FILE:KEY:TO" in wrong.err) == (2, True)


def test_what_else_a_system_says_lies_beside_its_predictions(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    run("fit", "my.csv", "--tasks", "ill", "--out", "r", "--epochs", "1", "--set", "members=1", "--set", "training.steps=1")
    system = registry.load("hard_sharing")
    monkeypatch.setattr(system, "tables", lambda self, batch: {"rows": pa.table({"count": [len(batch)]})})
    done = run("predict", "r", "my.csv", "--out", "p.csv")
    assert "rows, 1 rows: p.rows.csv" in done.out
    assert Path("p.rows.csv").read_text() == '"count"\n150\n'


def test_a_system_that_learns_nothing_is_applied(run: Any) -> None:  # noqa: F811
    Path("demands.csv").write_text("src,dst,fidelity,rate\nA,B,0.6,1\n")
    assert run("apply", "quantum_qos_schedule", "demands.csv", "--set", "topology=line", "--out", "plan.csv").code == 0
    assert {path.name for path in Path().glob("plan*")} >= {"plan.csv", "plan.schedule.csv", "plan.demands.csv"}
    wrong = run("apply", "mmoe", "my.csv")
    assert (wrong.code, "learns from data before it can be applied" in wrong.err) == (2, True)


def test_claims_from_a_file_to_the_page(run: Any) -> None:  # noqa: F811
    Path("made_up.py").write_text(CLAIM)
    done = run("claims", "run", "made_up.py", "--jobs", "1")
    assert done.code == 0, done.err
    assert "made_up (quick, 3 seeds): reproduced" in " ".join(done.out.split())
    assert Path("ledger/made_up.jsonl").exists()
    assert "Adding helps." in run("claims", "show", "made_up.py").out
    assert run("claims", "run", "made_up.py", "--jobs", "1").code == 0
    assert len(Path("ledger/made_up.jsonl").read_text().splitlines()) == 9, "nothing is measured twice"
    assert run("claims", "report", "--field", "graphs", "--out", "page.html").code == 0
    assert "pareto_gnn" in Path("page.html").read_text()


def test_an_unequal_budget_ends_with_an_error(run: Any) -> None:  # noqa: F811
    Path("made_up.py").write_text(CLAIM.replace('"base": 10', '"base": 99'))
    done = run("claims", "run", "made_up.py", "--jobs", "1")
    assert done.code == 1
    assert "unequal budget: 'base' has 99 parameters, 'ours' 10" in " ".join(done.out.split())


def test_claims_are_listed_and_typos_are_told(run: Any) -> None:  # noqa: F811
    listed = run("claims", "list").out
    assert all(id in listed for id in registry.claims())
    assert "multimodn" not in run("claims", "list", "--field", "graphs").out
    assert "Did you mean 'mmoe'" in run("claims", "run", "mmo").err
    assert "no claim of field 'graph'. Did you mean 'graphs'" in run("claims", "table", "--field", "graph").err
    assert "Write one of smoke, quick, full" in run("claims", "run", "mmoe", "--size", "huge").err
