"""Makes `debian_uploads.parquet` from the changelogs of the Debian source packages listed in `debian_uploads.txt`.

Needs Debian (apt-get). Fetches the packaging part of each source package, in a temporary apt state that leaves the
machine's own alone. The list names sources of packages that a Debian 12 machine commonly has, with their versions.
Binary packages would not do: since 2022 most of them carry changelogs without the older entries.

Run `python scripts/data/make_debian_uploads.py`.
"""

import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from _names import Names
from _write import write

LIST = Path(__file__).with_name("debian_uploads.txt")
START = datetime(2013, 1, 1, tzinfo=UTC)
"""Rows begin here; the numbers about earlier uploads look further back."""
END = datetime(2023, 3, 12, tzinfo=UTC)
"""The hard freeze of Debian 12, where watching ends: these changelogs lack what was uploaded for a later Debian."""
TEXT = 400

HEADER = re.compile(r"^(\w[\w.+-]*) \(([^)]+)\)\s*([^;]*);.*?urgency\s*=\s*(\w+)", re.I)
TRAILER = re.compile(r"^ --\s*(.*?)\s*<[^>]*>\s*(.*)$")
SIGNED = re.compile(r"^\s*\[\s*([^\]]+?)\s*\]\s*$")
CLOSES = re.compile(r"closes:?\s*(?:bug)?#?\s*\d+(?:[,\s]+(?:bug)?#\s*\d+)*", re.I)
NMU_TEXT = re.compile(r"non-?\s?maintainer(?:'s)? upload|\bNMU\b", re.I)
NMU_VERSION = re.compile(r"-\d+\.\d+$|\+nmu\d+$")


@dataclass
class Upload:
    """An entry of a changelog; `signed` are the names in it that head a part or end it."""

    source: str
    section: str | None
    version: str
    suite: str
    urgency: str
    date: datetime
    body: list[str]
    signed: list[str]


def fetch(folder: Path) -> list[Path]:
    """The packaging archives of the listed source packages, in `folder`."""
    state, parts, archives = folder / "lists", folder / "parts", folder / "archives"
    for path in (state / "partial", parts, archives / "partial"):
        path.mkdir(parents=True)
    own = Path("/etc/apt/sources.list.d/debian.sources").read_text()
    parts.joinpath("debian.sources").write_text(re.sub(r"(?m)^Types:.*", "Types: deb-src", own))
    options = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": parts, "Dir::State::lists": state}
    apt = ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    listed = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    wanted = [f"{source}={version}" for source, version in listed]
    subprocess.run([*apt, "source", "--download-only", "--diff-only", *wanted], cwd=archives, check=True)
    found = sorted(archives.glob("*.debian.tar.*"))
    if len(found) != len(listed):
        raise SystemExit(f"{len(listed)} source packages listed, {len(found)} fetched")
    return found


def read(archive: Path) -> Iterator[Upload]:
    """The uploads of one source package, in the order of the file; entries that were never uploaded are left out."""
    with tarfile.open(archive) as tar:
        changelog, control = (
            member.read().decode("utf-8", errors="replace")
            for member in map(tar.extractfile, ("debian/changelog", "debian/control"))
            if member is not None
        )
    found = re.search(r"(?m)^Section:\s*(\S+)", control)
    section, source = found[1].lower() if found else None, archive.name.split("_")[0]
    header, body, signed = None, list[str](), list[str]()
    for line in changelog.splitlines():
        if match := HEADER.match(line):
            header, body, signed = match, [], []
        elif header and (match := TRAILER.match(line)):
            date = _date(match[2])
            suite = " ".join(header[3].lower().split())
            if date and suite != "unreleased":
                entry = (header[2], suite, header[4].lower(), date, body, [*signed, match[1]])
                yield Upload(source, section, *entry)
            header = None
        elif match := SIGNED.match(line):
            signed.append(match[1])
        elif line.strip():
            body.append(line.strip())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)


def days(gap: timedelta) -> float:
    """To the hundredth of a day, at least one hundredth."""
    return max(round(gap / timedelta(days=1), 2), 0.01)


def bugs(upload: Upload) -> int:
    """How many bug reports the upload closes."""
    text = " ".join(upload.body)
    return len({number for match in CLOSES.finditer(text) for number in re.findall(r"\d+", match[0])})


def cut(text: str) -> str:
    """At most `TEXT` characters, cut between words."""
    return text if len(text) <= TEXT else text[:TEXT].rsplit(" ", 1)[0]


def rows(uploads: Iterable[Upload], names: Names) -> Iterator[dict[str, Any]]:
    """A row for each upload of one source within the window; two entries of the same second count as one upload."""
    by_date = {upload.date: upload for upload in sorted(uploads, key=lambda upload: upload.date) if upload.date < END}
    history = list(by_date.values())
    for i, upload in enumerate(history):
        if upload.date < START:
            continue
        following = history[i + 1] if i + 1 < len(history) else None
        text = names.remove(" ".join(upload.body))
        yield {
            "source": upload.source,
            "date": upload.date,
            "changes": cut(text) or None,
            "urgency": upload.urgency,
            "suite": upload.suite,
            "section": upload.section,
            "lines": len(upload.body),
            "characters": len(text),
            "previous_gap": days(upload.date - history[i - 1].date) if i else None,
            "age": round((upload.date - history[0].date) / timedelta(days=1), 2),
            "uploads_before": i,
            "closes": bugs(upload),
            "nmu": bool(NMU_TEXT.search(" ".join(upload.body)) or NMU_VERSION.search(upload.version)),
            "lifetime": days((following.date if following else END) - upload.date),
            "replaced": following is not None,
            "next_closes_bugs": bugs(following) > 0 if following else None,
            "next_lines": len(following.body) if following else None,
        }


SCHEMA = pa.schema(
    [("source", pa.string()), ("date", pa.timestamp("s", tz="UTC"))]
    + [(name, pa.string()) for name in ("changes", "urgency", "suite", "section")]
    + [("lines", pa.int32()), ("characters", pa.int32()), ("previous_gap", pa.float32()), ("age", pa.float32())]
    + [("uploads_before", pa.int32()), ("closes", pa.int32()), ("nmu", pa.bool_())]
    + [("lifetime", pa.float32()), ("replaced", pa.bool_())]
    + [("next_closes_bugs", pa.bool_()), ("next_lines", pa.int32())]
)


def main() -> None:
    """Fetch, parse, remove names and addresses, write."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [list(read(archive)) for archive in fetch(Path(folder))]
    names = Names(name for uploads in sources for upload in uploads for name in upload.signed)
    table = pa.Table.from_pylist([row for uploads in sources for row in rows(uploads, names)], schema=SCHEMA)
    write("debian_uploads", table)


if __name__ == "__main__":
    main()
