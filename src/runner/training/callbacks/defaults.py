"""The callbacks a `Trainer` has when none are given: the same as conf/callbacks/default.yaml."""

from runner.training.callback import Callback
from runner.training.callbacks.calibration import ConfidenceCalibration
from runner.training.callbacks.learning_curves import LearningCurves
from runner.training.callbacks.progress_bar import ProgressBar
from runner.training.callbacks.sample_pictures import SamplePictures


def default_callbacks() -> dict[str, Callback]:
    """Return new ones, by name."""
    return {
        "progress_bar": ProgressBar(),
        "learning_curves": LearningCurves(),
        "sample_pictures": SamplePictures(),
        "calibration": ConfidenceCalibration(),
    }
