"""What MLflow is told of decisions, by the real reconciler and ledger: never what did not happen, and nothing waits for it."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import structlog

from tests.builders import MODEL, a_drop, a_policy
from tests.emulators.fixtures import on_every_database
from tests.integration.test_reconciler import World
from tests.integration.test_reconciler_approval import APPROVAL, answer, live
from trainer_daemon.adapters.ledger import Ledger
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.model_card import Fate
from trainer_daemon.policy.runs import RunState
from trainer_daemon.recording import Recorder


@pytest.fixture
def world(usual_ledger_url: str) -> World:
    """An empty world."""
    return World(usual_ledger_url)


def headline(world: World, version: str) -> str:
    """The first line of a version's card."""
    return world.registry.cards[version].splitlines()[0]


def report(world: World, version: str) -> str:
    """The page of the run that registered a version."""
    return world.registry.reports[next(key for key, found in world.registry.versions.items() if found == version)]


@on_every_database
def test_promoted_versions_say_so_and_their_pages_have_rules_and_periods(world: World) -> None:
    """The second one is told in whose place it came."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    world.live()
    assert headline(world, "1").endswith(", as the first champion.")
    assert headline(world, "2").endswith(", in place of champion version 1.")
    assert "<strong>Promoted: version 2 in place of champion version 1</strong>" in report(world, "2")
    assert "min_gain[log_loss]" in report(world, "2")
    assert all(f'<th scope="row">{period}' in report(world, "2") for period in ("2025-03", "2025-05"))


def test_rejected_version_says_which_rule_it_failed(tmp_path: Path) -> None:
    """On the card as on the page."""
    demanding = replace(a_policy().promotion, thresholds={"roc_auc": 0.9})
    world = World(f"sqlite:///{tmp_path / 'ledger.db'}", policy=a_policy(promotion=demanding))
    world.arrive(a_drop())
    world.live()
    assert headline(world, "1").startswith("Rejected on ")
    assert "- roc_auc 0.8000, at least 0.9 is needed" in world.registry.cards["1"]
    assert "<strong>Rejected: there is no champion yet</strong>" in report(world, "1")


@pytest.mark.parametrize("approved", [True, False])
def test_card_and_page_follow_a_persons_answer(tmp_path: Path, *, approved: bool) -> None:
    """Who has to decide finds the page before, and what was said on it afterwards."""
    world = World(f"sqlite:///{tmp_path / 'ledger.db'}", policy=APPROVAL)
    world.arrive(a_drop("2025-03"))
    live(world)
    assert "waits for a person's approval" in headline(world, "1")
    assert "<strong>Waits for approval: version 1 passed the rules</strong>" in report(world, "1")
    answer(world, "2025-03", approved=approved)
    live(world)
    said, became = ("approved", "Promoted") if approved else ("rejected", "Rejected")
    assert headline(world, "1").startswith(f"{became} on ")
    assert f"- {said} by ann: seen" in world.registry.cards["1"]
    assert f"{said} by ann: seen<small>approval</small>" in report(world, "1")


def test_version_that_was_made_champion_by_hand_while_it_waited_says_so(tmp_path: Path) -> None:
    """Nobody approved it here."""
    world = World(f"sqlite:///{tmp_path / 'ledger.db'}", policy=APPROVAL)
    world.arrive(a_drop("2025-03"))
    live(world)
    world.registry.aliases["champion"] = "1"
    live(world)
    assert world.states() == {"2025-03": RunState.PROMOTED}
    assert headline(world, "1").startswith("Promoted on ")
    assert "- its version was made champion by hand" in world.registry.cards["1"]


def test_card_says_who_moved_a_champion_and_keeps_the_rest(world: World) -> None:
    """Also after the decision; a version of somebody else's keeps its description."""
    world.arrive(a_drop("2025-03"), a_drop("2025-05"))
    world.live()
    log = structlog.wrap_logger(world.log, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0))
    with Ledger(world.url) as ledger:
        recorder = Recorder(metric="log_loss", ledger=ledger, registry=world.registry, log=log)
        for version in ("2", "77", ""):
            recorder.tell_move(MODEL, version, Fate(headline="Rolled back by ann.", reasons=("it scores nobody",)))
    assert headline(world, "2") == "Rolled back by ann."
    assert "Trained on churn_data_2025_05.csv (2025-05)." in world.registry.cards["2"]
    assert "- it scores nobody" in world.registry.cards["2"]
    assert set(world.registry.cards) == {"1", "2"}


@pytest.mark.parametrize("error", [TemporaryError("the store is full"), PermanentError("mlflow keep_report: 403 forbidden")])
@pytest.mark.parametrize("call", ["describe", "keep_report"])
def test_promotion_does_not_wait_for_what_people_read(world: World, call: str, error: Exception) -> None:
    """It is said, and the champion is the candidate."""

    def refuse(*_: object) -> NoReturn:
        raise error

    setattr(world.registry, call, refuse)
    world.arrive(a_drop())
    world.live()
    assert world.states() == {"2025-03": RunState.PROMOTED}
    assert world.registry.aliases == {"champion": "1"}
    (complaint,) = (each.kwargs for each in world.log.calls if each.kwargs["event"] == "report_failed")
    assert complaint["reason"] == str(error)


def test_promotion_that_was_refused_is_not_told(world: World) -> None:
    """Somebody moved the alias in the last moment, so the version is no champion and its card may not say so."""
    original = world.registry.promote

    def too_late(model: str, version: str, *, expected: str) -> str:
        world.registry.register("somebody", "")
        world.registry.aliases["champion"] = "2"
        world.registry.promote = original  # type: ignore[method-assign]
        return original(model, version, expected=expected)

    world.registry.promote = too_late  # type: ignore[method-assign]
    world.registry.describe = lambda model, version, card: told.append(card)  # type: ignore[method-assign]  # noqa: ARG005
    told: list[str] = []
    world.arrive(a_drop())
    world.live()
    assert "promotion_refused" in world.events()
    assert [card for card in told if "as the first champion" in card] == []
