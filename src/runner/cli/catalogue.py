"""The commands and what they give: listing them imports nothing."""

COMMANDS = {
    "resume": "continue a run exactly where it stands",
    "predict": "read pictures with a trained run",
}
