"""How a run stands, in MLflow's words."""

_STATES = {
    "completed": "FINISHED",
    "failed": "FAILED",
    "running": "RUNNING",
    "queued": "SCHEDULED",
}


def mlflow_state(state: str) -> str:
    """Return FINISHED, FAILED, RUNNING or SCHEDULED; KILLED for what somebody or something ended.

    That is preempted, cancelled, pruned and lost; which of them it was says the tag runner.state. A
    preempted run is RUNNING again once its next job delivers: until then nothing runs.
    """
    return _STATES.get(state, "KILLED")
