"""How deep in a model a parameter lies, for learning rates that fall with the depth.

After Clark et al. 2020, "ELECTRA", and Bao et al. 2022, "BEiT".
"""

from torch import nn

from runner.errors import ConfigError


def layer_depths(model: nn.Module) -> dict[nn.Parameter, int]:
    """Return the depth of each parameter of `model`.

    The blocks are the members, with parameters, of the longest nn.ModuleList or nn.Sequential in
    it: 1, 2, ... What is named before them has depth 0, what comes after them one more than the
    last of them. ConfigError for a model without such a list.
    """
    blocks = _blocks(model)
    number_of = {
        parameter: number
        for number, block in enumerate(blocks, start=1)
        for parameter in block.parameters()
    }
    depths: dict[nn.Parameter, int] = {}
    outside = 0
    for parameter in model.parameters():
        if parameter in number_of:
            outside = len(blocks) + 1
        depths[parameter] = number_of.get(parameter, outside)
    return depths


def _blocks(model: nn.Module) -> list[nn.Module]:
    found = [
        [member for member in module.children() if _has_parameters(member)]
        for module in model.modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
    ]
    blocks = max(found, key=len, default=[])
    if len(blocks) < 2:
        raise ConfigError(
            f"parameters.layer_decay: {type(model).__name__} has no nn.ModuleList or nn.Sequential "
            "of blocks to count its layers by: give parameters.lr_factors instead"
        )
    return blocks


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
