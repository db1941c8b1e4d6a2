import subprocess
import sys

import pytest
import torch

from runner.data.digits import digits


def test_digits_are_normalised_pictures_with_classes():
    pictures, classes = digits().train.tensors
    assert pictures.shape == (1437, 1, 8, 8)
    assert pictures.dtype == torch.float32
    assert pictures.mean().item() == pytest.approx(0.0, abs=0.01)
    assert pictures.std().item() == pytest.approx(1.0, abs=0.01)
    assert sorted(classes.unique().tolist()) == list(range(10))


def test_splits_are_disjoint_and_complete():
    parts = [split.tensors[0].flatten(1) for split in digits().splits().values()]
    assert [len(part) for part in parts] == [1437, 180, 180]
    whole = torch.cat(parts).double()
    other = torch.cat(
        [split.tensors[0].flatten(1) for split in digits(split_seed=1).splits().values()]
    ).double()
    assert torch.allclose(whole.sum(0), other.sum(0), rtol=0, atol=1e-9)


def test_the_seed_alone_chooses_the_split():
    torch.manual_seed(0)
    first = digits().evaluation.tensors[0]
    torch.manual_seed(1)
    assert torch.equal(digits().evaluation.tensors[0], first)
    assert not torch.equal(digits(split_seed=1).evaluation.tensors[0], first)


def test_scikit_learn_is_not_imported():
    code = (
        "import sys; from runner.data.digits import digits; digits(); "
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
