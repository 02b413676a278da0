"""The sections `[[notifications]]`: what they allow, and what they never tell."""

from typing import Any

import pytest

from tests.unit.test_config import a_table, checked, problems
from trainer_daemon.policy.notices import NoticeKind

URL = "https://example.com/hooks/hidden?token=hidden"


def table(*endpoints: dict[str, Any]) -> dict[str, Any]:
    """A configuration that is right but for what is given."""
    given = [{"name": "ops", "url": URL, "secret_file": "secret", **endpoint} for endpoint in endpoints or ({},)]
    return a_table(notifications=[{key: value for key, value in one.items() if value is not None} for one in given])


def test_endpoint_is_told_of_everything_unless_it_says_what() -> None:
    """By default as signed CloudEvents; paths start at the folder of the file."""
    (endpoint,) = checked(table()).notifications
    assert (endpoint.format, endpoint.timeout_s, endpoint.addressee.kinds) == ("cloudevents", 10.0, frozenset(NoticeKind))
    assert endpoint.secret_file.endswith("/secret")
    (some,) = checked(table({"events": ["run_failed"]})).notifications
    assert some.addressee.kinds == {NoticeKind.RUN_FAILED}
    assert checked(a_table()).notifications == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None}, "notifications[0].name is missing; it must be up to 64 letters"),
        ({"name": "a b"}, 'notifications[a b].name is "a b", but must be up to 64 letters'),
        ({"url": None}, "notifications[ops].url is missing; it must be http(s)://"),
        ({"url": "ftp://hidden"}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"url": "https://"}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"url": "https://hidden:99999/"}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"url": "https://h/hidden\r\nX: y"}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"url": "https://h/#hidden"}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"url": "https://ann:hidden@h/"}, "notifications[ops].url is ***, but must be without a name and a password"),
        ({"url": 7}, "notifications[ops].url is ***, but must be http(s)://"),
        ({"format": "teams"}, 'notifications[ops].format is "teams", but must be one of "cloudevents" or "slack"'),
        ({"events": []}, "notifications[ops].events is [], but must name at least one"),
        ({"events": ["run_fialed"]}, 'notifications[ops].events[0] is "run_fialed", but must be one of'),
        ({"events": ["run_fialed"]}, 'did you mean "run_failed"?'),
        ({"timeout_s": 0}, "notifications[ops].timeout_s is 0, but must be a number above 0"),
        ({"timeout_s": 61}, "notifications[ops].timeout_s is 61, but must be a number above 0"),
        ({"ca_file": "no.pem"}, "notifications[ops].ca_file is"),
        ({"secret_file": None}, "needs either notifications[ops].secret_file or notifications[ops].secret_variable"),
        ({"secret_variable": "S"}, "needs either notifications[ops].secret_file or notifications[ops].secret_variable"),
        ({"secret_file": None, "secret_variable": "hidden"}, "must be the name of an environment variable that holds the secret"),
        ({"format": "slack"}, 'secret_file is set, but means nothing unless notifications[ops].format is "cloudevents"'),
        ({"colour": "red"}, "notifications[ops].colour is not a known key"),
    ],
)
def test_wrong_key_is_one_sentence_that_tells_no_secret(changes: dict[str, Any], words: str) -> None:
    """Addresses may hold secrets, and somebody may put a secret where the name of a variable belongs."""
    (problem,) = problems(table(changes))
    assert words in problem
    assert "hidden" not in problem


def test_names_of_endpoints_differ() -> None:
    """Also in the environment, where a secret address comes from."""
    (problem,) = problems(table({}, {"name": "OPS"}))
    assert problem.startswith("notifications must differ in their names")
    settings = checked(
        table(), TRAINER_NOTIFICATIONS__OPS__URL="https://example.com/real", TRAINER_NOTIFICATIONS__OPS__TIMEOUT_S="3"
    )
    assert (settings.notifications[0].url, settings.notifications[0].timeout_s) == ("https://example.com/real", 3.0)


def test_secret_may_come_from_a_variable() -> None:
    """Which has to be there at the start."""
    given = {"secret_file": None, "secret_variable": "OPS"}
    assert checked(table(given), OPS="of sixteen bytes or more").notifications[0].secret_variable == given["secret_variable"]


def test_address_is_not_in_the_representation() -> None:
    """Which may end in a log or a traceback."""
    assert "hidden" not in repr(checked(table()))
