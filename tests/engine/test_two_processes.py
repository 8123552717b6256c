"""Two processes on one processor agree on every weight."""

import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

SCRIPT = """
import os, sys
sys.path.insert(0, {here!r})
import polytask
from conftest import QUICK, small
from safetensors.torch import save_file

if __name__ == "__main__":
    settings = QUICK | {{"training": QUICK["training"] | {{"devices": 2, "epochs": 1}}}}
    for balancer in ("equal", "mgda", "flat_mtl_sam"):
        run = polytask.fit(small(), ["cost", "ill"], balancer=balancer, settings=settings)
        state = {{name: value.contiguous().clone() for name, value in run.system.state_dict().items()}}
        save_file(state, f"{{sys.argv[1]}}/{{balancer}}-{{os.environ.get('LOCAL_RANK', '0')}}")
"""


def test_both_ranks_end_with_the_same_weights(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for balancer in ("equal", "mgda", "flat_mtl_sam"):
        first, second = (load_file(tmp_path / f"{balancer}-{rank}") for rank in range(2))
        assert all(first[name].equal(second[name]) and bool(first[name].isfinite().all()) for name in first | second)
