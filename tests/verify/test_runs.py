from runner.verify.runs import users_callbacks


def test_a_function_of_the_users_own_is_verified_and_pictures_are_not() -> None:
    ours = "runner.training.callbacks"
    config = {
        "callbacks": {
            "report": {"_target_": f"{ours}.function.FunctionCallback"},
            "progress_bar": {"_target_": f"{ours}.progress_bar.ProgressBar"},
            "monitor": {"_target_": f"{ours}.system_monitor.SystemMonitor"},
            "mine": {"_target_": "mine.Watch"},
            "off": None,
        }
    }
    assert list(users_callbacks(config)) == ["report", "mine"]
