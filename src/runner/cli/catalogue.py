"""The commands and what they give: listing them imports nothing."""

COMMANDS = {
    "resume": "continue a run exactly where it stands",
    "verify-resume": "prove on this machine that an experiment resumes exactly",
    "predict": "read pictures with a trained run",
}
