import pytest
from omegaconf import OmegaConf

from runner.config.compose import compose
from runner.config.instantiate import instantiate
from runner.config.options import TrainerOptions
from runner.config.run_config import RunConfig
from runner.config.validate import read_options, validate
from runner.errors import ConfigError

DIGITS = {"data": "digits", "task": "ctc"}


def problems_of(*overrides: str, choices: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as error:
        validate(compose(overrides), choices=choices)
    return list(error.value.problems)


def test_the_default_config_is_typed_and_resolved() -> None:
    config = validate(compose())
    assert isinstance(config, RunConfig)
    assert config.options.trainer.max_epochs == 20
    assert config.loader.batch_size == 64
    assert config.data == {
        "_target_": "runner.data.digits.digits",
        "split_seed": 0,
        "normalize": True,
    }
    assert config.model["num_classes"] == 10
    assert config.scheduler is None
    assert config.frozen["model"]["num_classes"] == "${task.num_classes}"
    assert "hydra" not in config.frozen


def test_the_knobs_of_the_loader_are_taken_out_of_the_data_node() -> None:
    config = validate(compose(["data.batch_size=8", "data.num_workers=2"]))
    assert (config.loader.batch_size, config.loader.num_workers) == (8, 2)
    assert "batch_size" not in config.data


def test_all_mistakes_are_told_at_once() -> None:
    problems = problems_of(
        "data.batch_size=0", "+optimizer.lrr=1", "trainer.patience=-1", "seed=-1", "+nme=x"
    )
    assert len(problems) == 5
    assert "nme is no known key - did you mean 'name'?" in problems
    assert "seed must be a whole number >= 0, got -1" in problems


def test_a_new_key_in_a_node_of_ours_is_refused() -> None:
    assert problems_of("+trainer.max_step=1") == [
        "trainer.max_step is no known key - did you mean 'max_steps'?"
    ]


def test_what_an_interpolation_lacks_is_told_in_plain_words() -> None:
    problems = problems_of("task=ctc", choices=DIGITS)
    assert "task.alphabet needs data.alphabet, which data=digits does not have" in problems


def test_a_missing_value_and_a_missing_variable_are_told() -> None:
    problems = problems_of(
        "model=crnn", "task=ctc", "data=ocr_folder", "name=${oc.env:ABSENT_VARIABLE}"
    )
    assert "data.root has no value: give data.root=..." in problems
    assert "name needs the environment variable ABSENT_VARIABLE, which is not set" in problems


def test_a_callback_that_is_null_is_left_out() -> None:
    config = validate(compose(["callbacks.progress_bar=null", "trackers.mlflow=null"]))
    assert "progress_bar" not in config.callbacks
    assert config.trackers == {}


def test_the_optimizer_must_be_partial() -> None:
    (problem,) = problems_of("optimizer._partial_=false")
    assert "optimizer must have _partial_: true" in problem


SEVERAL = ["optimizer=gan", "task=adversarial", "model=gan"]


def test_several_optimizers_are_checked_each() -> None:
    config = validate(compose([*SEVERAL, "optimizer.generator.lr=0.5"]))
    assert [config.optimizer[name]["lr"] for name in ("generator", "discriminator")] == [0.5, 2e-4]
    (problem,) = problems_of(*SEVERAL, "optimizer.generator._partial_=false")
    assert "optimizer.generator must have _partial_: true" in problem
    (problem,) = problems_of(*SEVERAL, "optimizer.generator=null")
    assert problem == "optimizer.generator has no _target_, so there is nothing to build"
    (problem,) = problems_of(*SEVERAL, "+optimizer.discriminator.lrr=1")
    assert "optimizer.discriminator.lrr: torch.optim.Adam has no parameter 'lrr'" in problem


def test_each_of_several_optimizers_may_have_a_scheduler_or_none() -> None:
    step = "{_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 3}"
    scheduler = f"+scheduler={{generator: {step}, discriminator: null}}"
    config = validate(compose([*SEVERAL, "~scheduler", scheduler]))
    assert config.scheduler is not None
    assert config.scheduler["generator"]["step_size"] == 3
    (problem,) = problems_of(*SEVERAL, "~scheduler", scheduler.replace("_size", "_sice"))
    assert "scheduler.generator.step_sice" in problem
    cosine = "{_target_: runner.optim.schedules.cosine_with_warmup, _partial_: true}"
    knobs = [
        "~scheduler",
        f"+scheduler={{generator: {cosine}}}",
        "trainer.schedule_every=evaluation",
    ]
    (problem,) = problems_of(*SEVERAL, *knobs)
    assert "must know its length" in problem


def test_a_model_of_several_parts_is_built_of_nodes() -> None:
    part = "{_target_: torch.nn.Linear, in_features: 2, out_features: 3}"
    knobs = [*SEVERAL[:2], "~model", "+model._target_=torch.nn.ModuleDict"]
    config = validate(compose([*knobs, f"+model.modules={{generator: {part}}}"]))
    model = instantiate(config.model, "model")
    assert (type(model).__name__, model["generator"].out_features) == ("ModuleDict", 3)
    wrong = part.replace("in_features", "in_feature")
    problems = problems_of(*knobs, f"+model.modules={{generator: {wrong}}}")
    assert any("model.modules.generator.in_feature:" in problem for problem in problems)


def test_patience_with_a_train_metric_needs_no_evaluation() -> None:
    knobs = ["trainer.best_metric=train.loss", "trainer.patience=3", "trainer.evaluate_every=null"]
    assert validate(compose(knobs)).trainer.patience == 3


def test_a_component_without_a_target_is_told() -> None:
    assert "model has no _target_, so there is nothing to build" in problems_of("~model._target_")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.max_epochs=null"], "training would never end"),
        (["trainer.patience=3", "trainer.evaluate_every=null"], "trainer.patience counts"),
        (
            ["trainer.evaluate_every=null", "trainer.evaluate_at_end=false"],
            "needs an evaluation, and all are switched off",
        ),
        (["scheduler=plateau", "trainer.schedule_every=step"], "follows the score of evaluations"),
        (["scheduler=plateau", "trainer.evaluate_every=null"], "follows the score of evaluations"),
        (["scheduler=cosine", "trainer.schedule_every=evaluation"], "must know its length"),
        (
            ["scheduler=one_cycle", "trainer.max_epochs=null", "trainer.max_duration=1 hours"],
            "must know the number of steps",
        ),
        (["debug.overfit_batches=1", "debug.limit_batches=1"], "exclude each other"),
        (["trainer.on_nonfinite=rollback"], "would depend on the clock"),
        (
            ["trainer.on_nonfinite=rollback", "checkpoint.every=2 epochs", "checkpoint=off"],
            "trainer.on_nonfinite=rollback goes back to a checkpoint, and checkpoint=off",
        ),
    ],
)
def test_impossible_combinations_are_refused(overrides: list[str], message: str) -> None:
    (problem,) = problems_of(*overrides)
    assert message in problem


@pytest.mark.parametrize("every", ["100 steps", "1 epochs", "null"])
def test_a_rollback_to_planned_checkpoints_is_possible(every: str) -> None:
    changes = ["trainer.on_nonfinite=rollback", f"checkpoint.every={every}"]
    assert validate(compose(changes)).trainer.on_nonfinite == "rollback"


@pytest.mark.parametrize("name", ["a/b", "..", "null"])
def test_the_name_must_be_that_of_a_folder(name: str) -> None:
    (problem,) = problems_of(f"name={name}")
    assert "name must be the name of a folder" in problem


def test_read_options_names_the_path() -> None:
    with pytest.raises(ConfigError, match="^trainer.max_epochs must be int or null, got 'many'$"):
        read_options(TrainerOptions, {"max_epochs": "many"}, "trainer")


def test_a_whole_group_that_is_no_group_is_told() -> None:
    cfg = compose()
    OmegaConf.update(cfg, "trainer", 3)
    with pytest.raises(ConfigError, match="trainer must be a group of keys, got 3"):
        validate(cfg)
