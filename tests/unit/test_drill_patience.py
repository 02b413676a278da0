"""A drill on a slow machine waits for what goes on, and for nothing else."""

from trainer_daemon.drill.patience import Patience


class Course:
    """Something that goes on, or not, and a clock."""

    def __init__(self) -> None:
        self.steps, self.now = 0, 0.0

    def patience(self) -> Patience:
        """For ten seconds."""
        return Patience(lambda: self.steps, 10.0, monotonic=lambda: self.now)


def test_what_goes_on_is_waited_for_however_long_it_takes() -> None:
    """A step every nine seconds, for a quarter of an hour."""
    course = Course()
    patience = course.patience()
    for _ in range(100):
        course.now += 9.0
        course.steps += 1
        assert not patience.exhausted


def test_what_stands_still_is_given_up() -> None:
    """Once nothing has happened for the whole time, and not before."""
    course = Course()
    patience = course.patience()
    course.now += 10.0
    assert not patience.exhausted
    course.steps += 1
    course.now += 1.0
    assert not patience.exhausted
    course.now += 9.0
    assert not patience.exhausted
    course.now += 2.0
    assert patience.exhausted
