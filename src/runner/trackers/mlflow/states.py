"""How a run ended, in MLflow's words."""

_STATES = {"completed": "FINISHED", "failed": "FAILED", "running": "RUNNING"}


def mlflow_state(state: str) -> str:
    """Return FINISHED, FAILED or RUNNING; KILLED for all that somebody or something ended."""
    return _STATES.get(state, "KILLED")
