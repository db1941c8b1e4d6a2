from pathlib import Path

import pytest

from runner.sweeps.slurm import cluster
from tests.sweeps.slurm.commands import PARTITIONS, say


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, the only ones there are: scontrol knows three partitions."""
    monkeypatch.setenv("PATH", str(tmp_path))
    cluster._answer.cache_clear()
    (tmp_path / "partitions").write_text(PARTITIONS)
    say(
        tmp_path,
        "scontrol",
        f"echo once >>{tmp_path}/asked",
        'case "$2" in',
        "config) echo 'MaxArraySize            = 1001' ;;",
        f'partition) while read -r line; do echo "$line"; done <{tmp_path}/partitions ;;',
        "esac",
    )
    return tmp_path
