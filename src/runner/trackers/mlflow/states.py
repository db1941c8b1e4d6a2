"""How a run ended, in MLflow's words."""

_STATES = {"completed": "FINISHED", "failed": "FAILED"}


def mlflow_state(state: str) -> str:
    """Return FINISHED, FAILED, or KILLED for everything that somebody or something ended."""
    return _STATES.get(state, "KILLED")
