"""Where a run comes from and what it has left: jobs, code, versions, checkpoints, evaluations."""

from runner.reports.figures import text_of
from runner.reports.page import Block, Facts, Folded, Paragraph, Section, Table
from runner.reports.run.facts import CheckpointFacts, RunFacts
from runner.reports.times import moment, size

_MOST_ROWS = 12
_MOST_METRICS = 6


def origin_sections(facts: RunFacts) -> list[Section]:
    """Return the jobs of a run, and its provenance."""
    return [_jobs(facts), _provenance(facts)]


def checkpoints_section(facts: RunFacts) -> Section:
    """Return the checkpoints, the newest first, with what a look at their files says."""
    if not facts.checkpoints:
        return Section(title="Checkpoints", blocks=[])
    newest = max((c.step for c in facts.checkpoints if c.problem is None), default=None)
    header = ["step", "", facts.metric, "size", "saved", "state"]
    rows = [
        [
            str(one.step),
            _role(one, facts, newest),
            text_of(one.score),
            size(one.num_bytes),
            "" if one.saved is None else moment(one.saved),
            "" if one.problem is None else "damaged",
        ]
        for one in sorted(facts.checkpoints, key=lambda one: -one.step)
    ]
    damaged = [one for one in facts.checkpoints if one.problem is not None]
    if not damaged:
        header, rows = header[:-1], [row[:-1] for row in rows]
    blocks: list[Block] = [Table(header=header, rows=rows, left=[""], most=_MOST_ROWS)]
    for one in damaged:
        text = f"The checkpoint of step {one.step} is damaged: {one.problem}."
        blocks.insert(0, Paragraph(text=text, is_warning=True))
    return Section(title="Checkpoints", blocks=blocks)


def evaluations_section(facts: RunFacts) -> Section:
    """Return what was measured after the training, an evaluation a row."""
    found = facts.evaluations
    if not found:
        return Section(title="Evaluations", blocks=[])
    names = list(dict.fromkeys(name for one in found for name in one.values))[:_MOST_METRICS]
    header = ["name", "split", "step", *names, "samples", "when", "overrides"]
    rows = [
        [
            one.name,
            one.split,
            "" if one.step is None else str(one.step),
            *(text_of(one.values.get(name)) for name in names),
            "" if one.num_samples is None else str(one.num_samples),
            one.time,
            " ".join(one.overrides),
        ]
        for one in found
    ]
    left = ("name", "split", "overrides")
    return Section(
        title="Evaluations", blocks=[Table(header=header, rows=rows, left=left, most=_MOST_ROWS)]
    )


def _role(checkpoint: CheckpointFacts, facts: RunFacts, newest: int | None) -> str:
    roles = {"best": facts.best_step, "newest": newest}
    return ", ".join(role for role, step in roles.items() if step == checkpoint.step)


def _jobs(facts: RunFacts) -> Section:
    if not facts.jobs:
        return Section(title="Jobs", blocks=[])
    header = ["job", "started", "from step", "host", "how it ended", "overrides"]
    rows = [
        [
            str(job.number),
            moment(job.started),
            "" if job.from_step is None else str(job.from_step),
            job.host + (f" (Slurm {job.slurm_job})" if job.slurm_job else ""),
            job.end,
            " ".join(job.overrides),
        ]
        for job in facts.jobs
    ]
    left = ("host", "how it ended", "overrides")
    return Section(
        title="Jobs", blocks=[Table(header=header, rows=rows, left=left, most=_MOST_ROWS)]
    )


def _provenance(facts: RunFacts) -> Section:
    told = [("Code", "; ".join(facts.code.states) or "in no git repository")]
    if facts.code.branch:
        told.append(("Branch", facts.code.branch))
    told += [(name.capitalize().replace("_", " "), text) for name, text in facts.machine.items()]
    if facts.versions:
        versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        told.append(("Versions", versions))
    told += [*facts.data, *facts.initial_weights]
    blocks: list[Block] = [Facts(facts=told)]
    if facts.packages:
        lines = [f"{name}=={version}" for name, version in facts.packages.items()]
        blocks.append(Folded(title=f"all {len(lines)} packages", lines=lines))
    if facts.code.diff:
        title = f"uncommitted changes, {len(facts.code.diff)} lines"
        blocks.append(Folded(title=title, lines=facts.code.diff, kind="diff"))
    return Section(title="Provenance", blocks=blocks)
