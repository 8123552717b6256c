"""Running claims: what is measured is kept, what is held is not measured again, and mutations move the verdict."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from polytask.core import OptionError
from polytask.ledger import claim as claims
from polytask.ledger import content
from polytask.ledger.book import Book
from polytask.ledger.run import current, run
from polytask.ledger.verdict import judge

CLAIM = '''"""A made-up claim."""

claim = {
    "statement": "Adding helps.", "source": "nowhere", "reported": "nothing",
    "arms": {"ours": "adds", "base": "does not"}, "controls": {"constant": "the mean"},
    "checks": {
        "main": {"arm": "ours", "against": "base", "metric": "score", "direction": "max", "margin": 0.0, "says": "Ours"},
    },
    "seeds": {"smoke": 1, "quick": 4, "full": 6}, "systems": [],
}

import time
from pathlib import Path

from polytask.ledger import Measured

PAUSE = 0.0


def measure(arm, seed, size):
    with open(Path(__file__).with_name("calls.txt"), "a") as file:
        file.write(f"{arm} {seed}\\n")
    time.sleep(PAUSE)
    return Measured({"score": seed + {"ours": 0.5 + 0.01 * seed, "base": 0.0, "constant": 0.1}[arm]}, 10, 5)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made_up.py"
    path.write_text(CLAIM)
    return path


def calls(file: Path) -> list[str]:
    path = file.with_name("calls.txt")
    return path.read_text().splitlines() if path.exists() else []


def test_what_the_ledger_holds_is_not_measured_again(file: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    reported: list[tuple[int, int, str]] = []
    assert run([str(file)], "quick", folder=ledger, jobs=1, done=lambda *at: reported.append(at)) == []
    assert len(calls(file)) == 12
    assert (reported[0][:2], reported[-1][:2]) == ((0, 12), (12, 12))
    run([str(file)], "quick", folder=ledger, jobs=1)
    assert len(calls(file)) == 12
    run([str(file)], "quick", seeds=5, folder=ledger, jobs=1)
    assert len(calls(file)) == 15
    run([str(file)], "smoke", folder=ledger, jobs=1)
    assert len(calls(file)) == 18, "another size is another experiment"
    run([str(file)], "smoke", folder=ledger, jobs=1, again=True)
    assert len(calls(file)) == 21
    assert len(Book(ledger).read("made_up")) == 21, "and nothing is overwritten"


def test_a_change_of_code_is_measured_anew_and_a_change_of_words_is_not(file: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    run([str(file)], "quick", folder=ledger, jobs=1)
    words = CLAIM.replace('"Adding helps."', '"Adding helps a lot."').replace("import time", "# a comment\nimport time")
    file.write_text(words)
    run([str(file)], "quick", folder=ledger, jobs=1)
    assert len(calls(file)) == 12
    assert len(current(claims.get(str(file)), "quick", Book(ledger).read("made_up"))) == 12
    file.write_text(words.replace("0.5 +", "0.6 +"))
    assert current(claims.get(str(file)), "quick", Book(ledger).read("made_up")) == []


def test_a_key_changes_with_the_parts_of_a_system() -> None:
    claim = claims.get("mmoe")
    paths = {path.name for path in content._closure((claim.path, content._file("mmoe")))}  # type: ignore[arg-type]
    assert {"mmoe.py", "experts.py", "heads.py", "trunk.py", "correlated_tasks.py", "support2.py"} <= paths
    assert not {"loop.py", "schema.py", "verdict.py"} & paths
    keys = {content.key(claim, arm, seed, size) for arm in ("mmoe", "shared") for seed in (0, 1) for size in ("smoke", "quick")}
    assert len(keys) == 8


def test_a_key_changes_with_the_data_that_a_claim_names(file: Path) -> None:
    named = claims.get(str(file))
    keys = [content.key(replace(named, data=data), "ours", 0, "quick") for data in ((), ("yeast",), ("digits",))]
    assert len(set(keys)) == 3


def test_processes_give_what_one_process_gives(file: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        run([str(file)], "quick", folder=tmp_path / str(jobs), jobs=jobs)
    one, two = ({(r.arm, r.seed): (r.metrics, r.key) for r in Book(tmp_path / str(jobs)).read("made_up")} for jobs in (1, 2))
    assert one == two


def test_a_killed_run_goes_on_from_where_it_was(file: Path, tmp_path: Path) -> None:
    file.write_text(CLAIM.replace("PAUSE = 0.0", "PAUSE = 0.3"))
    ledger = tmp_path / "ledger"
    command = [
        sys.executable,
        "-c",
        "from polytask.cli import main; main()",
        "claims",
        "run",
        str(file),
        "--ledger",
        str(ledger),
        "--jobs",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(Book(ledger).read("made_up")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # its processes end with it
    held = len(Book(ledger).read("made_up"))
    assert 3 <= held < 12
    before = len(calls(file))
    run([str(file)], "quick", folder=ledger, jobs=1)
    assert len(calls(file)) - before == 12 - held
    cells = [(r.arm, r.seed) for r in Book(ledger).read("made_up")]
    assert sorted(set(cells)) == sorted(cells)


def test_a_failing_cell_is_told_and_costs_only_itself(file: Path, tmp_path: Path) -> None:
    broken = (
        'from polytask.core import RunError\n    if arm == "base":\n        raise RunError.of("here", "broke")\n    with open'
    )
    file.write_text(CLAIM.replace("with open", broken, 1))
    faults = run([str(file)], "quick", seeds=2, folder=tmp_path / "ledger", jobs=1)
    assert [str(fault) for fault in faults] == [f"{file}, seed {seed}, base: here: broke" for seed in range(2)]
    assert len(Book(tmp_path / "ledger").read("made_up")) == 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"margin": 0.0, ', "", "needs arm, against, metric, direction, margin and says"),
        ('"against": "base"', '"against": "bsae"', "no arm 'bsae'. Did you mean 'base'"),
        ('"max"', '"up"', "is 'up'. Write max or min"),
        ('"reported": "nothing"', '"reportd": "nothing"', "unknown key 'reportd'. Did you mean 'reported'"),
        ('"full": 6', '"ful": 6', "none for size 'full'"),
    ],
)
def test_a_claim_that_is_not_well_stated_is_refused(file: Path, old: str, new: str, says: str) -> None:
    file.write_text(CLAIM.replace(old, new))
    with pytest.raises(OptionError, match=says):
        claims.get(str(file))


def test_unknown_names_and_sizes_propose_the_nearest(file: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="Did you mean 'mmoe'"):
        run(["mmo"], folder=tmp_path)
    with pytest.raises(OptionError, match="Write one of smoke, quick, full"):
        run([str(file)], "quik", folder=tmp_path)


MUTATIONS = {
    "as claimed": ("", "", "reproduced"),
    "arms swapped": ('{"ours": 0.5 + 0.01 * seed, "base": 0.0', '{"base": 0.5 + 0.01 * seed, "ours": 0.0', "not reproduced"),
    "the method frozen": ("0.5 + 0.01 * seed", "0.0", "undecided"),
    "scores shuffled": ("0.5 + 0.01 * seed", "(-1) ** seed * 0.5", "undecided"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_moves_the_verdict(file: Path, tmp_path: Path, name: str) -> None:
    old, new, outcome = MUTATIONS[name]
    file.write_text(CLAIM.replace(old, new) if old else CLAIM)
    run([str(file)], "quick", folder=tmp_path / "ledger", jobs=1)
    assert judge(claims.get(str(file)), "quick", Book(tmp_path / "ledger").read("made_up")).outcome == outcome
