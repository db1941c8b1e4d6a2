"""Tell how the network of a trained model is called without runner, from any language."""

from typing import Any

from runner.config.instantiate import instantiate
from runner.config.run_config import RunConfig
from runner.data.pictures import Preprocessor
from runner.inference.call import Call
from runner.tasks.classification import Classification
from runner.tasks.ctc import CTC
from runner.tasks.decoding.greedy import BLANK
from runner.tasks.task import Task

BATCH = "batch"  # the size that is free


def reads_pictures(config: RunConfig) -> bool:
    """Return whether a preprocessor makes the input, which then has one size."""
    return isinstance(config.data.get("preprocessor"), dict)


def describe_network(
    config: RunConfig, task: Task, call: Call, output_names: list[str], *, any_batch: bool
) -> dict[str, Any]:
    """Return what goes into the network and comes out, in plain values.

    `inputs` by name have type and shape. What only runner's own parts know (how a picture is
    prepared, what the classes stand for) is there for those.
    """
    inputs = {
        name: {
            "type": str(tensor.dtype).removeprefix("torch."),
            "shape": [BATCH if any_batch else tensor.shape[0], *tensor.shape[1:]],
        }
        for name, tensor in call.tensors.items()
    }
    return {"inputs": inputs, "outputs": output_names, **_picture(config), **_classes(config, task)}


def _picture(config: RunConfig) -> dict[str, Any]:
    if not reads_pictures(config):
        return {}
    made = instantiate(config.data["preprocessor"], "data.preprocessor")
    if not isinstance(made, Preprocessor):
        return {}
    return {
        "height": made.height,
        "width": made.width,
        "channels": "grey",
        "resize": "bilinear",
        "values": "0 (black) to 255 (white); the network scales them itself",
    }


def _classes(config: RunConfig, task: Task) -> dict[str, Any]:
    if isinstance(task, Classification):
        return {"output": f"logits ({BATCH}, classes)", "classes": list(task.class_names)}
    if not isinstance(task, CTC):
        return {}
    known: dict[str, Any] = {
        "output": f"logits (time, {BATCH}, classes)",
        "decoding": "CTC: of each time the best class, equal neighbours once, without blanks",
        "alphabet": task.alphabet,  # class n is its symbol n - 1
        "blank": BLANK,
    }
    if grammar := config.task.get("grammar"):
        known["grammar"] = grammar  # runner's own reading keeps to it
    return known
