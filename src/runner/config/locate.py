"""Where config files lie: those that runner ships, and a user's own, which come before them."""

import os
import sys
from pathlib import Path

SHIPPED_GROUPS = (
    "model",
    "data",
    "task",
    "optimizer",
    "parameters",
    "scheduler",
    "precision",
    "hardware",
    "trainer",
    "checkpoint",
    "callbacks",
    "trackers",
    "debug",
    "sweep",
    "experiment",
)
ENVIRONMENT_VARIABLE = "RUNNER_CONFIG_DIR"  # one or more folders, separated as in PATH


def shipped_conf() -> Path:
    """Return the folder conf/ of an installed wheel, or else that of the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def user_confs() -> list[Path]:
    """Return the user's own config folders, the strongest first.

    These are the folders in RUNNER_CONFIG_DIR (`--config-dir DIR` puts DIR before them), then
    `conf/` of the current folder if it has one of runner's groups in it.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep)
    folders = [Path(name).expanduser().resolve() for name in named if name]
    here = Path.cwd() / "conf"
    if any((here / group).is_dir() for group in SHIPPED_GROUPS):
        folders.append(here.resolve())
    unique = dict.fromkeys(folders)
    return [folder for folder in unique if folder != shipped_conf()]


def put_config_dir_first(folder: str) -> None:
    """Let the conf folder of `--config-dir` count as the user's own, before all others."""
    others = os.environ.get(ENVIRONMENT_VARIABLE)
    named = [str(Path(folder).resolve()), *([others] if others else [])]
    os.environ[ENVIRONMENT_VARIABLE] = os.pathsep.join(named)


def all_confs() -> list[Path]:
    """Return every config folder in the order in which a file is looked for."""
    return [*user_confs(), shipped_conf()]


def make_user_code_importable() -> None:
    """Put the current folder, and those that hold the user's conf/, on Python's search path.

    `python -m runner` has the current folder there already; the console script has not.
    """
    parents = [Path.cwd(), *(folder.parent for folder in user_confs())]
    for parent in parents:
        for folder in (parent, parent / "src"):
            if folder.is_dir() and str(folder) not in sys.path:
                sys.path.append(str(folder))
