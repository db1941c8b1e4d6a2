"""What the server of a local pool imports once for all of its jobs."""

TORCH = ("torch", "torch._dynamo")  # the latter comes with the first optimizer: a second or more
TRAINING = (*TORCH, "runner.job.job", "runner.job.ordered", "runner.job.rehearsal")
