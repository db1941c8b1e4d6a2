from runner.trackers.parameters import flatten


def test_nested_keys_become_dotted_and_lists_stay_one_value():
    config = {"seed": 0, "optimizer": {"lr": 1e-3, "betas": [0.9, 0.999]}, "scheduler": None}
    assert flatten(config) == {
        "seed": "0",
        "optimizer.lr": "0.001",
        "optimizer.betas": "[0.9, 0.999]",
        "scheduler": "null",
    }


def test_texts_are_left_as_they_are():
    config = {"data": {"root": "${oc.env:HOME}", "alphabet": "بجد"}, "trackers": {}}
    assert flatten(config) == {
        "data.root": "${oc.env:HOME}",
        "data.alphabet": "بجد",
        "trackers": "{}",
    }
