"""The test at the end of a training, with the best weights that were kept."""

import logging

from runner.training.callback import Fit
from runner.training.evaluation import Evaluator
from runner.training.parts import Parts
from runner.training.saving import Saver

_log = logging.getLogger(__name__)


def tested(parts: Parts, evaluator: Evaluator, saver: Saver, fit: Fit) -> dict[str, float]:
    """Load the best weights into the model, or else the last ones; return their metrics on "test".

    Averaged weights stand for them if there are any. All ranks call it.
    """
    model, average = parts.model, parts.average.copy
    step = fit.tested_step = saver.restore_best_weights()
    if step is not None:
        _log.info("testing the weights of step=%d", step)
    else:
        _log.info("testing the last weights: no best checkpoint was kept")
        if average is not None:
            model.load_state_dict(average.state_dict())
    return evaluator.values_of("test", model, step=fit.progress.step)
