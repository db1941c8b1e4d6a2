import shutil

import onnxruntime
import pytest
import torch

from runner import Run, load_reader
from runner.build.trained import exporting
from runner.build.trained.exporting import ONNX, TORCH_EXPORT, export_model
from runner.build.trained.model import trained_model
from runner.build.weights_from import read_weights
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.model_card import read_model_card


def files_in(folder):
    return {path.name for path in folder.iterdir()}


ALWAYS = {
    "README.md",
    "calibration.json",
    "config.yaml",
    "model.json",
    "model.safetensors",
    "preprocessor",
    "signature",
}


def test_an_exported_model_is_the_model_of_its_run_wherever_it_lies(
    plate_run, own_plate_run, tmp_path, pictures
):
    done = export_model(own_plate_run, to=tmp_path / "plates")
    assert not done.problems and files_in(tmp_path / "plates") == ALWAYS
    shutil.rmtree(own_plate_run)
    moved = tmp_path / "elsewhere"
    (tmp_path / "plates").rename(moved)
    of_run = Run(plate_run).load_model().state_dict()
    for weights in (trained_model(moved).state_dict(), read_weights(str(moved))):
        assert weights.keys() == of_run.keys()
        assert all(torch.equal(weights[name], of_run[name]) for name in of_run)
    readings = list(load_reader(moved).read(pictures))
    assert readings == list(load_reader(plate_run).read(pictures))
    page = (moved / "README.md").read_text(encoding="utf-8")
    assert "# plate_ocr\n" in page and "step 4" in page and str(tmp_path) not in page


def test_the_step_that_is_asked_for_is_exported_with_its_own_score(plate_run, tmp_path):
    best = export_model(plate_run, to=tmp_path / "best").card
    older = export_model(plate_run, to=tmp_path / "older", step=2).card
    assert (best.step, older.step) == (4, 2)
    scores = dict(Run(plate_run).series("evaluation.loss"))
    assert [card.score for card in (best, older)] == [
        {"metric": "evaluation.loss", "value": scores[step]} for step in (4, 2)
    ]
    assert best.weights != older.weights
    assert read_model_card(tmp_path / "older/model.json") == older
    assert (best.input, best.predicts) == ("picture", "text")


def test_another_model_is_replaced_when_told_and_other_files_never(plate_run, tmp_path):
    target = tmp_path / "model"
    export_model(plate_run, to=target)
    export_model(plate_run, to=target)  # the same again
    with pytest.raises(RunError, match="--force"):
        export_model(plate_run, to=target, step=2)
    assert read_model_card(target / "model.json").step == 4
    export_model(plate_run, to=target, step=2, force=True)
    assert read_model_card(target / "model.json").step == 2
    (other := tmp_path / "other").mkdir()
    (other / "thesis.txt").touch()
    for place in (other, plate_run):
        before = files_in(place)
        with pytest.raises(RunError, match="--to"):
            export_model(plate_run, to=place, force=True)
        assert files_in(place) == before
    assert files_in(tmp_path) == {"model", "other"}


def test_an_export_that_fails_leaves_what_was_there(plate_run, tmp_path, monkeypatch):
    target = tmp_path / "model"
    export_model(plate_run, to=target)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(exporting, "write_readme", full)
    with pytest.raises(RunError, match="model cannot be written: No space"):
        export_model(plate_run, to=target, step=2, force=True)
    assert read_model_card(target / "model.json").step == 4
    assert files_in(tmp_path) == {"model"}


def test_a_program_that_cannot_be_made_is_told_and_the_rest_is_there(
    plate_run, tmp_path, monkeypatch
):
    def no_form(*_, **__):
        raise RunError("there is no form for it")

    monkeypatch.setattr(exporting, "trace", no_form)
    done = export_model(plate_run, to=tmp_path / "model", programs=(TORCH_EXPORT, ONNX))
    assert done.problems == [f"no {name}: there is no form for it" for name in (TORCH_EXPORT, ONNX)]
    assert files_in(tmp_path / "model") == ALWAYS


@pytest.mark.slow
def test_what_was_compared_is_there_in_figures_and_explained(own_plate_run, tmp_path):
    config = RunDirectory(own_plate_run).config
    text = config.read_text(encoding="utf-8").replace("autocast: null", "autocast: bf16")
    config.write_text(text, encoding="utf-8")
    told = []
    programs = (TORCH_EXPORT,)
    done = export_model(own_plate_run, to=tmp_path / "model", programs=programs, tell=told.append)
    assert not done.problems and told[-1] == "making and trying model.pt2"
    card = read_model_card(tmp_path / "model/model.json")
    found = card.checks[TORCH_EXPORT]
    assert found.keys() == {"samples", "largest_difference", "otherwise_in_own_precision"}
    assert found["samples"] == 8 and 0 <= found["largest_difference"] < 1e-4
    page = (tmp_path / "model/README.md").read_text(encoding="utf-8")
    number = found["otherwise_in_own_precision"]
    assert f"the original itself, in bf16 as it was trained, predicts {number} of them" in page
    export_model(own_plate_run, to=tmp_path / "model")  # the program stays
    assert read_model_card(tmp_path / "model/model.json").checks == card.checks


def test_the_page_says_what_its_confidences_are(own_plate_run, tmp_path):
    page = (export_model(own_plate_run).folder / "README.md").read_text(encoding="utf-8")
    assert "Confidence: calibrated on 8 evaluated samples, 4 of them right.\n" in page
    folder = export_model(own_plate_run, step=2, to=tmp_path / "other").folder
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "Confidence: the model's own, not calibrated: the run has fitted no map at ste" in page


def with_extras(target):
    (target / "evaluations/test").mkdir(parents=True)
    (target / "evaluations/test/evaluation.json").write_text("{}", encoding="utf-8")
    (target / ONNX).write_text("a program", encoding="utf-8")
    return target


def test_the_same_model_again_keeps_its_programs_and_all_evaluations(plate_run, tmp_path):
    target = tmp_path / "model"
    export_model(plate_run, to=target)
    with_extras(target)
    again = export_model(plate_run, to=target)
    assert (target / ONNX).read_text(encoding="utf-8") == "a program"
    assert again.card.programs == {ONNX: ""} == read_model_card(target / "model.json").programs
    export_model(plate_run, to=target, step=2, force=True)
    assert files_in(target) == {*ALWAYS, "evaluations"}  # a program of other weights is no use
    assert (target / "evaluations/test/evaluation.json").is_file()


def test_files_of_the_user_in_the_folder_are_named_and_stay(plate_run, tmp_path):
    target = tmp_path / "model"
    export_model(plate_run, to=target)
    with_extras(target)
    (target / "notes.txt").touch()
    with pytest.raises(RunError, match="holds more than the model: notes.txt; --force"):
        export_model(plate_run, to=target)
    assert files_in(target) == {*ALWAYS, "evaluations", "notes.txt", ONNX}
    export_model(plate_run, to=target, force=True)
    assert files_in(target) == {*ALWAYS, "evaluations", ONNX}


def test_an_evaluation_that_is_made_meanwhile_stays(plate_run, tmp_path, monkeypatch):
    target = tmp_path / "model"
    export_model(plate_run, to=target)
    put = exporting.put_in_place
    monkeypatch.setattr(exporting, "put_in_place", lambda a, b: put(a, with_extras(b) and b))
    export_model(plate_run, to=target)
    assert files_in(target / "evaluations") == {"test"}


def test_a_folder_that_cannot_be_written_is_a_sentence(plate_run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        export_model(plate_run, to=tmp_path / "file" / "model")


@pytest.mark.slow
def test_the_onnx_model_reads_as_the_original(own_plate_run, pictures):
    done = export_model(own_plate_run, programs=(TORCH_EXPORT, ONNX))
    assert not done.problems, done.problems
    assert all("for 8 samples of test" in line for line in done.told)
    folder = RunDirectory(own_plate_run).export
    assert files_in(folder) == {*ALWAYS, ONNX, TORCH_EXPORT}
    of_onnx, of_torch = (load_reader(folder, engine=name) for name in ("onnx", "torch"))
    texts = [[reading["text"] for reading in r.read(pictures)] for r in (of_onnx, of_torch)]
    assert texts[0] == texts[1]
    program = torch.export.load(folder / TORCH_EXPORT).module()
    image = torch.randint(0, 256, (3, 1, 32, 128), dtype=torch.uint8)
    assert torch.allclose(program(image)[0], trained_model(folder)(image), atol=1e-5)


@pytest.mark.slow
def test_the_onnx_model_is_used_without_runner(own_plate_run, tmp_path):
    folder = export_model(own_plate_run, to=tmp_path / "plates_onnx", programs=(ONNX,)).folder
    session = onnxruntime.InferenceSession(str(folder / ONNX))
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == (
        "image",
        ["batch", 1, 32, 128],
        "tensor(uint8)",
    )
    assert output.shape[:2] == [32, "batch"]
    facts = session.get_modelmeta().custom_metadata_map
    network = read_model_card(folder / "model.json").network
    task = load_reader(folder).task
    assert facts["alphabet"] == network["alphabet"] == task.alphabet
    assert (facts["blank"], network["blank"]) == ("0", 0)
    assert (network["height"], network["width"]) == (32, 128)
    assert network["inputs"] == {"image": {"type": "uint8", "shape": ["batch", 1, 32, 128]}}
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Without runner" in page and task.alphabet in page


def test_the_page_names_code_that_is_needed(own_plate_run, tmp_path):
    config = RunDirectory(own_plate_run).config
    text = config.read_text(encoding="utf-8").replace("runner.tasks.ctc.CTC", "mine.tasks.Reads")
    config.write_text(text, encoding="utf-8")
    folder = export_model(own_plate_run, to=tmp_path / "model").folder
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "predicts what its task mine.tasks.Reads does" in page
    assert "needs the code of mine: " in page and "trust=mine" in page
    for name in files_in(folder):
        assert f"| `{name}` | " in page or name == "README.md"
