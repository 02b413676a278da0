import pytest

from trainer_daemon.adapters.local.run_log import failure_reason

FAILED = "Pipeline 'training' finished with status FAILURE. Inner task failed: 'train-model'."


def _reason(*lines: str, message: str = FAILED, kind: str = "RuntimeError") -> str:
    return failure_reason(message, kind, lines)


def test_reason_is_the_exception_that_the_last_traceback_ends_with() -> None:
    """Of chained exceptions the last one counts, without its module and without what follows it."""
    reason = _reason(
        "    Traceback (most recent call last):",
        '      File "a.py", line 1, in <module>',
        "    KeyError: 'Churn'",
        "    ",
        "    During handling of the above exception, another exception occurred:",
        "    ",
        "    Traceback (most recent call last):",
        '      File "b.py", line 2, in <module>',
        "        raise BadDrop(reason)",
        "    pipelines.errors.BadDrop: line 7: column 'Tenure' holds 'abc', which is no number",
        "    ",
    )
    assert reason == "step train-model failed: BadDrop: line 7: column 'Tenure' holds 'abc', which is no number"


def test_step_input_is_not_taken_for_its_words() -> None:
    """The JSON that kfp prints before a step starts says nothing about why it failed."""
    lines = (
        "    [KFP Executor 2026-11-21 06:18:38,056 INFO]: Got executor_input:",
        "    {",
        '        "inputs": {',
        '            "word": "x"',
        "        }",
        "    }",
    )
    assert _reason(*lines) == "step train-model failed: it ended without a message"
    assert _reason(*lines, "    fold 3 of 5", "    ", "-" * 80) == "step train-model failed: fold 3 of 5"


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("Killed", "it was killed, probably because memory ran out"), ("Terminated", "it was terminated from outside")],
)
def test_signals_are_explained(word: str, meaning: str) -> None:
    """What the shell says of a step that a signal ended is put into words."""
    assert _reason("    fold 3 of 5", f"    {word}", "    ") == f"step train-model failed: {meaning}"


def test_nested_step_is_named_with_its_groups() -> None:
    """A step inside a loop is named with the loop."""
    message = "Pipeline 'p' finished with status FAILURE. Inner task failed: 'train' inside 'for-loop-1'."
    assert _reason("    no luck", message=message) == "step train inside for-loop-1 failed: no luck"


def test_failure_outside_a_step_quotes_the_exception() -> None:
    """A pipeline that could not start is told in one line."""
    reason = _reason(message="[Errno 7] Argument list\n too long: 'sh'", kind="OSError")
    assert reason == "the pipeline could not be executed: OSError: [Errno 7] Argument list too long: 'sh'"


def test_reason_is_bounded() -> None:
    """A step that prints a megabyte on one line does not fill the ledger."""
    assert len(_reason("x" * 1_000_000)) == 500
