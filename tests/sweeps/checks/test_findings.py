from pathlib import Path

from runner.sweeps.checks.findings import Findings, note_findings, note_stage, read_notes


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    assert read_notes(path).findings == []
    note_stage(path, "the reading")
    found = Findings(problems=["es ist falsch: ß"], warnings=["odd"], facts={"steps": 3})
    note_findings(path, found)
    note_stage(path, "the forward pass")
    whole = path.read_bytes()
    note_findings(path, Findings())
    torn = path.read_bytes()[:-3]
    path.write_bytes(torn)
    notes = read_notes(path)
    assert notes.findings == [found]
    assert notes.stage == "the forward pass"
    path.write_bytes(whole)
    assert read_notes(path) == notes
