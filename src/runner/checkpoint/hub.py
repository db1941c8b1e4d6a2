"""Fetch weights from the Hugging Face Hub, or from what of it lies on this machine."""

from pathlib import Path

from runner.errors import CheckpointError, ConfigError

_SAFE = ["*.safetensors", "*.safetensors.index.json"]
_OLD = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]


def download(name: str) -> Path:
    """Return the folder with the weights of `name`, OWNER/MODEL or OWNER/MODEL@REVISION.

    What was fetched before needs no network. CheckpointError if it is nowhere.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ImportError as error:
        raise ConfigError(
            f"init_weights_from={name}: a name on the Hub needs huggingface_hub: "
            "pip install 'runner[hub]'"
        ) from error
    model, _, revision = name.partition("@")
    try:
        for patterns in (_SAFE, _OLD):
            folder = Path(
                snapshot_download(model, revision=revision or None, allow_patterns=patterns)
            )
            if any(folder.glob(patterns[0])):
                break
        return folder
    except (OSError, ValueError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        raise CheckpointError(
            "there is no such file or folder here, and the Hub gives no model of that name "
            f"({type(error).__name__}; without a network, give a folder)"
        ) from error
