"""Slurm's words for why a job waits or how it ended, as sentences that say what to do."""

WAITING = {
    "": "Slurm has not said yet why",
    "Resources": "it is next, and begins when enough nodes are free",
    "Priority": "jobs with a higher priority are before it",
    "BeginTime": "it begins again at a set time; a requeued job waits up to two minutes",
    "Dependency": "it waits for another job to end",
    "DependencyNeverSatisfied": "the job that it waits for has failed: cancel it",
    "JobHeldUser": "it is held: scontrol release {job} lets it go",
    "JobHeldAdmin": "an administrator holds it: ask them",
    "JobHoldMaxRequeue": (
        "it was requeued too often and is held: see its log, then scontrol release {job}"
    ),
    "launch failed requeued held": (
        "Slurm could not start it on its node and holds it: "
        "scontrol release {job} lets it try again, best with that node excluded"
    ),
    "job requeued in held state": "it was requeued and held: scontrol release {job} lets it go",
    "JobArrayTaskLimit": "as many jobs as hydra.launcher.array_parallelism allows are at work",
    "PartitionTimeLimit": (
        "it asks for more time than the partition allows: hardware.slurm.time_limit"
    ),
    "PartitionNodeLimit": (
        "it asks for more nodes than the partition has: hardware.slurm.nodes or .partition"
    ),
    "PartitionConfig": "the partition cannot give what it asks for: hardware.slurm.partition",
    "PartitionDown": "the partition takes no jobs now: wait, or use another one",
    "PartitionInactive": "the partition starts no jobs now: wait, or use another one",
    "BadConstraints": "no node is like that: hardware.slurm.constraint, .gpus_per_node, .memory_gb",
    "NodeDown": "a node that it needs is down",
    "ReqNodeNotAvail": (
        "a node that it needs is down, drained or kept for maintenance; "
        "a shorter hardware.slurm.time_limit may end before that"
    ),
    "Reservation": "its reservation has not begun",
    "ReservationDeleted": "its reservation was deleted: cancel it and submit it again",
    "Licenses": "all licenses are taken",
    "InvalidAccount": "the account is not known: hardware.slurm.account",
    "InvalidQOS": "the quality of service is not known: hardware.slurm.qos",
    "QOSNotAllowed": "the quality of service may not be used there: hardware.slurm.qos",
    "AccountNotAllowed": "the account may not use the partition: hardware.slurm.account",
    "QOSJobLimit": "as many jobs as the quality of service allows are there",
    "QOSUsageThreshold": "the quality of service wants more usage left: another hardware.slurm.qos",
    "AssociationJobLimit": "as many jobs as you may have at once are there",
    "Prolog": "its node is being made ready",
    "Cleaning": "what is left of its last start is being cleaned up, then it begins again",
    "WaitingForScheduling": "the scheduler has not looked at it yet",
    "BurstBufferResources": "the burst buffer is full",
    "SystemFailure": "Slurm itself failed: ask the administrators",
}
# Families such as QOSMaxCpuPerUserLimit; the first that fits is taken.
_FAMILIES = (
    ("QOSGrp", "all that the quality of service may use at once is in use"),
    ("AssocGrp", "all that the account may use at once is in use"),
    ("QOSMin", "it asks for less than the quality of service wants"),
    ("PerUser", "you use as much as one user may at once"),
    ("PerAccount", "the account uses as much as it may at once"),
    ("MaxJobs", "as many jobs as you may have at work are at work"),
    ("MaxSubmit", "as many jobs as you may have in the queue are there"),
    ("QOSMax", "one job may not ask for that much there: another hardware.slurm.qos, or less"),
    ("AssocMax", "one job may not ask for that much on the account: ask for less"),
    ("TimeLimit", "it asks for more time than is allowed: hardware.slurm.time_limit"),
    ("DOWN", "the nodes that it could use are down, drained or reserved"),
)

ENDED = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "TIMEOUT": (
        "ended at its time limit: it continues from its last checkpoint when started again; "
        "hardware.slurm.time_limit gives more time"
    ),
    "NODE_FAIL": "its node was lost: Slurm starts it again where jobs may be requeued",
    "PREEMPTED": "a job with a higher priority took its place",
    "OUT_OF_MEMORY": "ended for using more memory than asked for: raise hardware.slurm.memory_gb",
    "CANCELLED": "cancelled (scancel, or a limit of the cluster)",
    "BOOT_FAIL": "its node could not be started",
    "DEADLINE": "ended at its deadline",
    "REVOKED": "another cluster of the federation took it",
}

_LAUNCH = "Slurm could not start it, a fault of the node or of its file system"
ENDED_BY = {
    "JobLaunchFailure": _LAUNCH,
    "RaisedSignal": "",  # the signal is told anyway
    "NonZeroExitCode": "",  # the same
    "BadConstraints": "no node is like what it asks for",
    "InvalidAccount": "the account is not known: hardware.slurm.account",
    "InactiveLimit": "it was idle for longer than the cluster allows",
    "SystemFailure": "Slurm itself failed, or a file system or the network",
}


def text_of(reason: str) -> str | None:
    """Return what Slurm's `reason` for a waiting job means; None for one that is not known here.

    `{job}` in it stands for the id of the job.
    """
    name = reason.partition(",")[0].replace("_", " ")  # "ReqNodeNotAvail, UnavailableNodes:node1"
    if name in WAITING:
        return WAITING[name]
    return next((text for part, text in _FAMILIES if part in reason), None)
