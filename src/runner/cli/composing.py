"""Compose the config of one run as training does, for commands that are not training."""

from collections.abc import Sequence
from copy import deepcopy

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner.config.compose import compose
from runner.config.overrides import diagnose


def compose_run(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """Return the config, without Hydra's node, and the chosen members of groups.

    Raises ConfigError with a sentence for each override that does not fit.
    """
    try:
        cfg = compose(overrides, with_hydra=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise diagnose(overrides, error) from error
    HydraConfig.instance().set_config(cfg)
    choices = dict(HydraConfig.get().runtime.choices)
    cfg = deepcopy(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, choices
