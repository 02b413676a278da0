"""Which drop an operator means, which run, and what will come of it."""

from pathlib import Path

import pytest

from tests.builders import a_drop, a_run
from trainer_daemon.commands.cancel import choose as choose_run
from trainer_daemon.commands.opening import CommandError, Session
from trainer_daemon.commands.trigger import Wish, choose, forecast
from trainer_daemon.config import Settings
from trainer_daemon.policy.runs import RunState

SETTINGS = Settings.model_validate({"models": ({"name": "churn", "bucket": "file:///drops"},)})
SESSION = Session(config=Path("trainer.toml"), settings=SETTINGS)
MARCH, MAY = a_drop("2025-03", generation="2"), a_drop("2025-05")


@pytest.mark.parametrize(
    ("wish", "drop"),
    [
        (Wish(), MAY),
        (Wish(period="2025_03"), MARCH),
        (Wish(drop="churn_data_2025_03.csv"), MARCH),
        (Wish(drop=MARCH.uri), MARCH),
        (Wish(drop=MARCH.ref), MARCH),
        (Wish(drop="/drops/churn_data_2025_05.csv"), MAY),
    ],
)
def test_drop_is_found_by_everything_that_names_it(wish: Wish, drop: object) -> None:
    """Without a name it is the newest."""
    assert choose(wish, (MAY, MARCH), SESSION) == drop


@pytest.mark.parametrize("wish", [Wish(period="2025-04"), Wish(period="march"), Wish(drop="churn_data_2025_04.csv")])
def test_unknown_drop_is_refused_with_the_known_ones(wish: Wish) -> None:
    """So that the next try is right."""
    with pytest.raises(CommandError, match=r"known are: churn_data_2025_05.csv \(2025-05\), churn_data_2025_03.csv \(2025-03\)$"):
        choose(wish, (MAY, MARCH), SESSION)


def test_replaced_generation_is_refused_as_such() -> None:
    """Training it would supersede nothing: its bytes are gone."""
    with pytest.raises(CommandError, match="it may have been replaced"):
        choose(Wish(drop=f"{MARCH.uri}#1"), (MAY, MARCH), SESSION)


def test_two_drops_of_one_period_have_to_be_told_apart() -> None:
    """The sentence names both."""
    other = a_drop("2025-03", uri="file:///drops/churn_data_2025-03.csv.gz")
    with pytest.raises(
        CommandError, match=r"more than one drop; name one with --drop: churn_data_2025_03.csv .*, churn_data_2025-03.csv.gz"
    ):
        choose(Wish(period="2025-03"), (MARCH, other), SESSION)


def test_nothing_is_known_before_the_daemon_has_looked() -> None:
    """Then the daemon is what is missing."""
    with pytest.raises(CommandError, match=r"no drop is known yet.*`trainer-daemon run`"):
        choose(Wish(), (), SESSION)


def test_forecast_tells_when_nothing_will_be_trained() -> None:
    """Before the operator waits for it."""
    assert forecast(Wish(), None, SESSION) == "A run will be queued."
    assert "--force trains it again" in forecast(Wish(), a_run(RunState.PROMOTED), SESSION)
    assert "on its way already (RUNNING)" in forecast(Wish(), a_run(RunState.RUNNING), SESSION)
    assert "will be queued again" in forecast(Wish(), a_run(RunState.CANCELED), SESSION)
    assert forecast(Wish(force=True), a_run(RunState.PROMOTED), SESSION).startswith("A new run will be queued")


def test_run_that_has_ended_cannot_be_cancelled() -> None:
    """One that will be tried again can."""
    ended = a_run(RunState.FAILED, attempt=3)
    with pytest.raises(CommandError, match="has ended already, it is FAILED"):
        choose_run(ended.name, [ended])
    retried = a_run(RunState.FAILED, attempt=1)
    assert choose_run(retried.name, [retried]) == retried


def test_run_to_cancel_has_to_be_one() -> None:
    """Unknown and ambiguous words are answered with the runs there are."""
    first, second = a_run(RunState.RUNNING, key="abcd1"), a_run(RunState.QUEUED, a_drop("2025-05"), key="abcd2")
    with pytest.raises(CommandError, match=f"more than one run; name one of {first.name}, {second.name}"):
        choose_run("abcd", [first, second])
    with pytest.raises(CommandError, match="there is no run nonsense; runs that can be cancelled: "):
        choose_run("nonsense", [first, second])
    with pytest.raises(CommandError, match="no run is under way"):
        choose_run("nonsense", [a_run(RunState.PROMOTED)])
