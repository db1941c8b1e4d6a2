"""What there is to run, as text."""

from runner.cli.catalogue import COMMANDS
from runner.config.groups import describe, groups, members

HEADER = """\
runner composes a PyTorch experiment from config groups and runs it.

  python -m runner +experiment=NAME [key=value ...]     one run
  python -m runner -m key=1,2,3 ...                     a sweep
  python -m runner --cfg job [key=value ...]            show the config, run nothing
  python -m runner --help                               all flags, groups and keys
"""


def print_overview() -> None:
    """Print commands, experiments, and config groups with their members."""
    print(HEADER)
    _print_table(
        "Experiments (+experiment=NAME)",
        {m: describe("experiment", m) for m in members("experiment")},
    )
    choices = {group: ", ".join(members(group)) for group in groups() if group != "experiment"}
    _print_table("Config groups (group=member)", choices)
    _print_table("Commands (COMMAND --help)", COMMANDS)


def _print_table(title: str, rows: dict[str, str]) -> None:
    width = max((len(name) for name in rows), default=0)
    print(title)
    for name, text in rows.items():
        print(f"  {name.ljust(width)}  {text}".rstrip())
    print()
