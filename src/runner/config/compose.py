"""Compose a config from groups and overrides outside the command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from runner.config import resolvers
from runner.config.locate import shipped_conf

CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"


@contextmanager
def composer() -> Iterator[None]:
    """Open runner's config folders for `compose` calls within, unless Hydra has them open."""
    resolvers.register()
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with hydra.initialize_config_dir(
        config_dir=str(shipped_conf()), job_name="runner", version_base=HYDRA_VERSION_BASE
    ):
        yield


def compose(
    overrides: Sequence[str] = (),
    *,
    config_name: str = CONFIG_NAME,
    with_hydra: bool = False,
) -> DictConfig:
    """Return the config `config_name` with `overrides`; raises what Hydra raises."""
    with composer():
        return hydra.compose(config_name, list(overrides), return_hydra_config=with_hydra)
