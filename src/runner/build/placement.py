"""Put a model where it computes: on one device, on several, or spread over the ranks."""

import copy

import torch
from torch import nn
from torch.optim import Optimizer

from runner.build.optimizers import GivenOptimizer
from runner.config.checks import refuse
from runner.config.options import Options
from runner.optim.freezing import freeze
from runner.runtime.device_map import spread_over_devices
from runner.runtime.ranks import Ranks
from runner.runtime.recompute import keep_blocks, recompute_blocks
from runner.runtime.sharding import shard


def place(
    model: nn.Module,
    optimizer: GivenOptimizer,
    options: Options,
    device: torch.device,
    ranks: Ranks,
) -> tuple[nn.Module, nn.Module | None, torch.device]:
    """Return the model, its copy for averaged weights if one is kept, and where batches go.

    What options of an earlier training have done to how it trains is undone.
    All ranks call it and have the weights of rank 0 afterwards.
    """
    device_map = options.hardware.device_map
    if device_map is None:
        model = model.to(device)
    freeze(model, options.parameters.freeze)
    keep_blocks(model)
    ranks.spread(model.state_dict().values())  # a rank may have drawn other numbers before
    averaged = None if options.trainer.ema_decay is None else copy.deepcopy(model)
    if options.trainer.gradient_checkpointing:
        recompute_blocks(model)
    if options.hardware.sharding is not None:
        _check_sharding(options, optimizer)
    for whole in (model, averaged):  # in one order on all ranks
        if whole is not None and device_map is not None:
            device = spread_over_devices(whole, device_map, device)
        if whole is not None and options.hardware.sharding is not None:
            shard(whole, ranks, device)
    return model, averaged, device


def _check_sharding(options: Options, optimizer: GivenOptimizer) -> None:
    refuse(
        "hardware.sharding=fsdp needs an optimizer that is made for its parameters, not one that "
        "was made before"
        if isinstance(optimizer, Optimizer)
        else None,
        "trainer.on_out_of_memory=split does not go with hardware.sharding=fsdp: a rank cannot "
        "begin a step again while the others wait for it"
        if options.trainer.on_out_of_memory == "split"
        else None,
        "checkpoint.max_shard_size does not go with hardware.sharding=fsdp, where each rank writes "
        "its own part of the weights: set checkpoint.max_shard_size=null"
        if options.checkpoint.max_shard_size is not None
        else None,
    )
