"""Tells Hydra of the user's own config folders; their files come before those that runner ships."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from runner.config.locate import shipped_conf, user_confs


class UserConfFirst(SearchPathPlugin):
    """Prepends the user's folders when runner's own are searched, else leaves Hydra alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        sources = {entry.path for entry in search_path.get_path()}
        if sources.isdisjoint({str(shipped_conf()), f"file://{shipped_conf()}"}):
            return  # another Hydra application in an environment where runner is installed
        for folder in reversed(user_confs()):
            search_path.prepend(provider="user", path=f"file://{folder}")
