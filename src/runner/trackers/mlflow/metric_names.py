"""How a value of the journal is called in MLflow: as in the journal, "split/name".

What the system monitor measures of the machine as a whole MLflow's own monitor measures too: that
has its name there, so that runs of both share a chart on the page "System metrics".
"""

from runner.trackers.mlflow.limits import clean_key

_THEIRS = {
    "system/machine_cpu_percent": "system/cpu_utilization_percentage",
    "system/machine_memory_percent": "system/system_memory_usage_percentage",
    "system/gpu_percent": "system/gpu_0_utilization_percentage",
}


def metric_name(split: str, name: str) -> str:
    """Return the name in MLflow of the value `name` of `split`."""
    key = f"{split}/{name}"
    return clean_key(_THEIRS.get(key, key))
