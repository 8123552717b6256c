"""The book of records: nothing is lost or mixed, whoever writes and whatever is killed."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polytask.ledger.book import Book, Record, latest, machine, versions
from polytask.ledger.measured import Measured


def record(arm: str = "ours", seed: int = 0, value: float = 0.5, size: str = "quick") -> Record:
    measured = Measured({"auroc": value}, 10, 20, 1, {"loss": [1.23456789, 0.5]})
    return Record.of(("made_up", arm, seed, size, "key"), measured, 1.5)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    book, first = Book(tmp_path), record()
    book.append(first)
    book.append(record(seed=1))
    assert book.read("made_up")[0] == first
    assert first.curves == {"loss": [1.23457, 0.5]}
    assert first.machine == machine()
    assert set(versions()) >= {"polytask", "torch"}
    assert book.read("other") == []


def test_nothing_is_overwritten_and_the_newest_counts(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for value in (0.1, 0.2):
        book.append(record(value=value))
    assert [r.metrics["auroc"] for r in book.read("made_up")] == [0.1, 0.2]
    assert [r.metrics["auroc"] for r in latest(book.read("made_up"), "quick")] == [0.2]
    assert latest(book.read("made_up"), "full") == []


@pytest.mark.parametrize("torn", [b'{"claim": "made_up", "arm": "ou', b"\xff\xfe", b"null", b"{}"])
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    book = Book(tmp_path)
    book.append(record())
    with open(tmp_path / "made_up.jsonl", "ab") as file:
        file.write(torn)
    book.append(record(seed=1))
    assert [r.seed for r in book.read("made_up")] == [0, 1]


def write(folder: str, first: int) -> None:
    for seed in range(first, first + 40):
        Book(Path(folder)).append(record(seed=seed))


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(str(tmp_path), 100 * n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(r.seed for r in Book(tmp_path).read("made_up")) == [100 * n + i for n in range(3) for i in range(40)]


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    Book(tmp_path).append(record())
    path = tmp_path / "made_up.jsonl"
    writer = threading.Thread(target=Book(tmp_path).append, args=(record(seed=1),))
    with open(path, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer.start()
        writer.join(timeout=0.3)
        assert writer.is_alive()
        assert len(Book(tmp_path).read("made_up")) == 1
    writer.join(timeout=10)
    assert [r.seed for r in Book(tmp_path).read("made_up")] == [0, 1]


def test_a_killed_writer_leaves_whole_records(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from polytask.ledger.book import Book, Record; "
        "from polytask.ledger.measured import Measured; book = Book(Path(sys.argv[1]))\n"
        "for seed in range(10**6):\n"
        "    book.append(Record.of(('made_up', 'ours', seed, 'quick', 'k'), Measured({'a': 1.0}, 1, 1), 0.1))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 60
    while len(Book(tmp_path).read("made_up")) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = Book(tmp_path).read("made_up")
    assert len(found) >= 5
    assert [r.seed for r in found] == list(range(len(found)))
    Book(tmp_path).append(record(seed=10**7))
    assert Book(tmp_path).read("made_up")[-1].seed == 10**7
