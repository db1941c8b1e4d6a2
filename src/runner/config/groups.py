"""What can be chosen: config groups, their members, and the line that describes each."""

from pathlib import Path

from runner.config.locate import SHIPPED_GROUPS, all_confs


def groups() -> list[str]:
    """Return the config groups, ours in their order and then those that only the user has."""
    own = [
        folder.name
        for conf in all_confs()
        for folder in sorted(conf.iterdir())
        if folder.is_dir() and folder.name != "hydra" and not folder.name.startswith((".", "_"))
    ]
    return list(dict.fromkeys([*SHIPPED_GROUPS, *own]))


def members(group: str) -> list[str]:
    """Return the members of `group`, sorted."""
    return sorted({path.stem for conf in all_confs() for path in (conf / group).glob("*.yaml")})


def describe(group: str, member: str) -> str:
    """Return the first comment line of the member's file, or "" if it has none."""
    paths = (conf / group / f"{member}.yaml" for conf in all_confs())
    path = next((path for path in paths if path.is_file()), None)
    return first_comment(path) if path is not None else ""


def first_comment(path: Path) -> str:
    """Return the first comment line of `path` that is no package directive, without its mark."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        if not line.startswith("#"):
            return ""
        text = line.lstrip("# ").strip()
        if text and not text.startswith("@package"):
            return text
    return ""
