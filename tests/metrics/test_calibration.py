import numpy as np
import pytest

from runner.metrics.calibration import UNCALIBRATED, fit_calibration


def told(
    count: int, *, slope: float, offset: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences and outcomes whose true log-odds are slope x those said + offset."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(2.0, 2.0, count)
    rights = rng.random(count) < 1 / (1 + np.exp(-(slope * log_odds + offset)))
    return 1 / (1 + np.exp(-log_odds)), rights


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, 0.5), (1.8, -1.0)])
def test_it_finds_what_the_confidences_hide(slope: float, offset: float):
    fitted = fit_calibration(*told(40_000, slope=slope, offset=offset))
    assert fitted is not None
    assert fitted.slope == pytest.approx(slope, abs=0.05)
    assert fitted.offset == pytest.approx(offset, abs=0.08)
    confidences, rights = told(40_000, slope=slope, offset=offset, seed=1)
    assert np.mean(fitted(confidences)) == pytest.approx(rights.mean(), abs=0.01)


def test_what_is_calibrated_on_a_set_is_right_there_on_the_whole():
    confidences, rights = told(2000, slope=0.4, offset=-1.0)
    fitted = fit_calibration(confidences, rights)
    assert fitted is not None and (fitted.count, fitted.right) == (2000, rights.sum())
    assert np.mean(fitted(confidences)) == pytest.approx(rights.mean(), abs=0.003)


def test_few_samples_change_little():
    confidences = np.array([0.6, 0.9, 0.99])
    fitted = fit_calibration(confidences, np.array([True, True, False]))
    assert fitted is not None
    assert fitted(confidences) == pytest.approx(confidences, abs=0.25)


@pytest.mark.parametrize("right", [True, False])
def test_a_model_without_mistakes_or_without_success_is_never_called_certain(right: bool):
    confidences = np.linspace(0.7, 0.999, 50)
    fitted = fit_calibration(confidences, np.full(50, right))
    assert fitted is not None and np.isfinite([fitted.slope, fitted.offset]).all()
    low, high = min(fitted(confidences)), max(fitted(confidences))
    assert (0.7 < low < high < 1) if right else (0 < low <= high < 0.2)
    assert fitted([0.01])[0] < 0.2  # what no sample was like stays doubtful


def test_more_confidence_never_means_less_probability():
    confidences = np.array([0.3] * 50 + [0.9] * 50)
    fitted = fit_calibration(confidences, np.arange(100) < 50)  # wrong just where it is sure
    assert fitted is not None and fitted.slope == 0.0
    assert fitted([0.1, 0.99]) == pytest.approx([0.5, 0.5])


def test_the_order_of_the_samples_makes_no_difference_to_the_last_bit():
    confidences, rights = told(300, slope=0.5, offset=0.2)
    order = np.random.default_rng(3).permutation(300)
    assert fit_calibration(confidences, rights) == fit_calibration(
        confidences[order], rights[order]
    )


@pytest.mark.parametrize("confidences", [[], [1.0, 1.0], [0.5, float("nan")], [0.5, 1.5]])
def test_confidences_that_say_nothing_are_left_alone(confidences: list[float]):
    rights = np.arange(len(confidences)) % 2 == 0
    assert fit_calibration(np.array(confidences), rights) is None


def test_certainty_is_no_infinity():
    fitted = fit_calibration(np.array([0.0, 1.0, 1.0]), np.array([False, True, False]))
    assert fitted is not None
    assert all(0 < probability < 1 for probability in fitted([0.0, 1.0]))


def test_uncalibrated_confidences_stay_what_they_are():
    assert UNCALIBRATED([0.1, 1.0]) == [0.1, 1.0]
    assert "not calibrated" in str(UNCALIBRATED)
