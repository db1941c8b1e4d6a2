"""A few lines of shell in the place of Slurm's commands."""

from pathlib import Path

PARTITIONS = """\
PartitionName=low Default=NO DefaultTime=NONE MaxTime=1-06:30:00 State=UP
PartitionName=day Default=YES DefaultTime=01:00:30 MaxTime=UNLIMITED State=UP
PartitionName=endless Default=NO DefaultTime=NONE MaxTime=UNLIMITED State=UP
"""


def say(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
