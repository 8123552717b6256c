"""Writes docs/systems/*.md from the code and the ledger:  python scripts/make_pages.py"""

from pathlib import Path

from polytask.report import pages

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    pages.write(ROOT / "docs" / "systems", ROOT / "ledger")
