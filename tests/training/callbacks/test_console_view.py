import io

from runner.training.callbacks.console_view import LineView, Standing


def test_a_reader_that_has_left_does_not_end_the_training() -> None:
    """As behind `| head`."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    LineView(Closed()).log(Standing(step=1))
