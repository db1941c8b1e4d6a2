"""The commands and what they give: listing them imports nothing."""

COMMANDS = {
    "new": "begin a project of your own, ready to train",
    "resume": "continue a run exactly where it stands, or a sweep",
    "check": "tell everything that can be known of a run or a sweep without training",
    "verify-resume": "prove on this machine that an experiment resumes exactly",
    "find-lr": "find a learning rate by raising it step by step",
    "find-batch-size": "find the largest batch that fits, and how fast each size is",
    "evaluate": "measure a trained run on a split of its data, or on other data",
    "predict": "read pictures with a trained run",
    "export": "write a trained model into a folder of its own, also as ONNX",
    "ls": "runs and sweeps by state, score and age; filters, sorting",
    "status": "how the runs of a sweep stand, or one run",
    "compare": "what differs between runs or sweeps, where they part, whether it is real",
    "cancel": "end the jobs of a sweep or a run, here or on a cluster",
    "sync": "deliver to the trackers what runs have logged and not delivered",
    "report": "a sweep or a run as a page: scores, curves, samples, effect of each key, origin",
    "reproduce": "train a run again with the code of then, and compare every value",
    "clean": "delete checkpoints of a sweep that nobody needs any more",
}
