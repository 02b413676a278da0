"""The pages for people, over a real socket, of ledgers with a past."""

import hashlib
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html import unescape
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.builders import MODEL, NOW, a_drop, a_drop_event
from tests.emulators.processes import free_address
from tests.integration.ledger_story import Storyteller, a_whole_past, advanced
from tests.integration.manifests.tools import tool
from tests.integration.status_story import CUT_OFF, HOSTILE, a_night
from tests.integration.test_web import ask
from trainer_daemon.adapters.ledger import Change
from trainer_daemon.adapters.ledger.history import History, open_history
from trainer_daemon.commands.opening import Session
from trainer_daemon.config import load_settings
from trainer_daemon.policy.observations import Observation, Phase
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.telemetry.metrics import Metrics
from trainer_daemon.telemetry.vitals import Vitals
from trainer_daemon.web.app import make_app
from trainer_daemon.web.browsing import PAGES, Page, page_routes
from trainer_daemon.web.pages import REFRESH_S, ROWS, Pages
from trainer_daemon.web.server import served

CONFIGURATION = """\
ledger = "sqlite:///ledger.db"
[mlflow]
tracking_uri = "http://ann:secret@mlflow.example:5000"
[orchestrator]
kind = "kubeflow"
image = "trainer:1"
ui_url = "https://kubeflow.example/pipeline"
[[models]]
name = "churn"
bucket = "file:///drops"
"""


@dataclass
class Site:
    """The pages of a ledger, and who is asked about it."""

    folder: Path
    address: str = field(default_factory=free_address)
    vitals: Vitals = field(default_factory=Vitals)

    def __post_init__(self) -> None:
        config = self.folder / "trainer.toml"
        config.write_text(CONFIGURATION)
        self.session = Session(config=config, settings=load_settings(config, {}), daemon_pid=1, before=("kubectl", "exec", "--"))
        self.vitals.running()

    @contextmanager
    def open(self) -> Iterator["Site"]:
        """Answer meanwhile."""
        routes = page_routes(lambda: Pages(self.session, self.vitals, lambda: NOW + timedelta(hours=2)))
        with served(self.address, lambda: make_app(self.vitals, Metrics([MODEL]).registry, routes)):
            yield self

    def html(self, path: str = "/") -> str:
        """A page that is there."""
        answer, text = ask(self.address, path)
        assert answer.status == HTTPStatus.OK, text
        return text

    def text(self, path: str = "/") -> str:
        """What a person reads, without mark-up."""
        return words(self.html(path))

    def runs(self) -> tuple[Run, ...]:
        """All runs in the ledger."""
        history = open_history(self.session.settings.ledger)
        assert isinstance(history, History)
        try:
            return history.runs(MODEL)
        finally:
            history.close()

    def run(self, period: str) -> Run:
        """The run of a month."""
        return next(run for run in self.runs() if run.period == period)


def words(html: str) -> str:
    """A page without its mark-up, in single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A ledger in which things wait for a person; nobody writes it."""
    folder = tmp_path_factory.mktemp("night")
    a_night(folder / "ledger.db").ledger.close()
    with Site(folder).open() as site:
        yield site


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Site]:
    """A ledger in which everything has happened once."""
    a_whole_past(tmp_path / "ledger.db").ledger.close()
    with Site(tmp_path).open() as site:
        yield site


def test_what_waits_for_a_person_comes_first_with_the_command_for_it(night: Site) -> None:
    """An approval and a drop that nobody has corrected; the title counts them, so that a tab in the background tells."""
    html, run = night.html(), night.run("2026-01")
    text = words(html)
    assert "<title>(2) Status" in html
    assert text.index("2 things wait for a person") < text.index("Champion")
    config = night.session.config
    for verb in ("approve", "reject"):
        assert f"kubectl exec -- trainer-daemon {verb} {run.name} --reason WHY --by YOU -c {config}" in text
    assert f"churn_data_2025_12.csv : {CUT_OFF}; correct it and upload it again under the same name" in text


def test_secrets_in_reasons_are_masked(tmp_path: Path) -> None:
    """The ledger keeps a reason in the words of whoever gave it."""
    story = Storyteller(tmp_path / "ledger.db")
    run = story.ended(a_drop("2025-07"), RunState.QUARANTINED, "see https://ann:hunter2@host?token=hunter3")
    story.ledger.close()
    with Site(tmp_path).open() as site:
        for path in ("/", f"/runs/{run.key}"):
            assert "hunter" not in site.html(path)
            assert "see https://***@host?token=***" in site.text(path)


def test_what_is_moot_waits_for_nobody(past: Site) -> None:
    """A bad month that a later one was decided after, and a failure that is tried again."""
    text = past.text()
    assert "Nothing waits for a person" in text
    assert "line 501 has 3 fields" in text[text.index("Quarantine") :]


def test_part_that_cannot_be_reached_waits_for_a_person(past: Site) -> None:
    """With the reason, as on /readyz."""
    past.vitals.part("mlflow").failed("mlflow champion: no answer")
    assert "unreachable mlflow : mlflow champion: no answer kubectl exec -- trainer-daemon doctor" in past.text()


def test_every_rule_of_a_decision_is_told_with_its_sentence(night: Site) -> None:
    """On the first page, and on the run's own: also those that do not apply."""
    run = night.run("2025-11")
    for path in ("/", f"/runs/{run.key}"):
        text = night.text(path)
        assert run.decision is not None
        for outcome in run.decision.outcomes:
            assert f"{outcome.rule} {outcome.sentence}" in text
    assert "does not apply min_gain[log_loss] there is no champion to be better than" in night.text(
        f"/runs/{night.run('2025-05').key}"
    )


def test_champions_are_drawn_and_told(night: Site) -> None:
    """Every point has its number in the table behind the drawing."""
    html = night.html()
    assert (html.count('<circle class="own" cx'), html.count('<circle class="replaced" cx')) == (7, 6)  # each key has one, too
    table = words(html[html.index("<caption>Champions of churn") :])
    assert "version 7 2025-11 2026-03-01" in table
    assert "0.5300 0.6000" in table
    newest = night.run("2025-11")
    assert newest.decision is not None
    assert f"{newest.name} : {newest.decision.main_reason} version 6" in table, "and what carried the decision, no more"


def test_links_lead_to_pipeline_run_and_model_version(night: Site) -> None:
    """Of the user interfaces; what MLflow's address has of a name and a password stays here."""
    run = night.run("2025-11")
    html = night.html(f"/runs/{run.key}")
    assert f'href="https://kubeflow.example/pipeline/#/runs/details/{run.orchestrator_run}"' in html
    assert 'href="http://mlflow.example:5000/#/models/churn/versions/7"' in html
    assert "secret" not in html + night.html()


def test_run_under_way_says_its_step_and_how_long(past: Site) -> None:
    """As the last look of the daemon saw it."""
    run = past.run("2025-08")
    past.vitals.live_runs.note(Observation(name=run.name, phase=Phase.RUNNING, step="train-model"))
    for path in ("/", f"/runs/{run.name}"):
        assert re.search(r"train-model for \d+ s; the run for 1 h \d+ min", past.text(path))


def test_page_of_a_run_tells_what_explain_tells(past: Site) -> None:
    """From the arrival of its drop to the alias, and what to do next; it is found by the name that log lines have."""
    run = past.run("2025-03")
    text = past.text(f"/runs/{run.name}")
    for said in (
        "churn_data_2025_03.csv arrived",
        f"run {run.name} was queued",
        "attempt 1 finished",
        "version 2 became champion",
    ):
        assert said in text
    assert "Nothing has to be done: it is what serving loads." in text


def test_page_of_a_drop_tells_of_all_its_uploads(past: Site) -> None:
    """An upload of the same bytes has no run of its own; one that can be no drop has none at all."""
    links = re.findall(r'href="\./drops/(\d+)"', past.html("/drops"))
    pages = {number: past.text(f"/drops/{number}") for number in dict.fromkeys(links)}
    first, again = [text for text in pages.values() if "churn_data_2025_01.csv arrived again" in text]
    assert "run for the same bytes ended PROMOTED" in first
    assert "version 1 became champion" in again
    [ignored] = [text for text in pages.values() if "churn_data_2025_13.csv" in text]
    assert "No run came of it." in ignored
    assert "month 13 does not exist" in ignored


def test_nothing_that_a_stranger_wrote_is_markup(night: Site) -> None:
    """A drop is called what somebody wants, on every page that names it."""
    run = night.run("2026-03")
    number = night.html("/drops").split("drops/")[1].split('"')[0]
    for path in ("/", "/runs", f"/runs/{run.key}", "/drops", f"/drops/{number}"):
        html = night.html(path)
        assert "<img" not in html
        assert "<script" not in html
        assert HOSTILE in unescape(html)
    assert "&lt;svg onload=1&gt;" in ask(night.address, "/runs/<svg onload=1>".replace(" ", "%20"))[1]


def test_no_request_changes_anything(night: Site) -> None:
    """Everything but looking is refused, and looking leaves the ledger as it is."""
    ledger = night.folder / "ledger.db"
    before = hashlib.sha256(ledger.read_bytes()).hexdigest()
    for path in PAGES:
        address = path.format(word=night.run("2026-01").key)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert ask(night.address, address, method)[0].status == HTTPStatus.METHOD_NOT_ALLOWED
        assert ask(night.address, address, "HEAD")[1] == ""
        ask(night.address, address)
    assert hashlib.sha256(ledger.read_bytes()).hexdigest() == before
    assert "<form" not in night.html()


def test_pages_allow_no_script_and_nothing_from_elsewhere(night: Site) -> None:
    """Neither an error's page."""
    for path in ("/", "/runs", "/runs/nothing"):
        answer, html = ask(night.address, path)
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
        assert policy["style-src"] == "'self'"
        assert "script-src" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\sstyle=|<style|\son\w+=\"", html)


def test_style_is_a_file_whose_address_changes_with_it(night: Site) -> None:
    """So a browser may keep it; nothing else is there."""
    address = re.findall(r'href="\./(static/style\.css\?v=\w+)"', night.html())[0]
    answer, _ = ask(night.address, f"/{address}")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/nothing.css", "/static/..%2fpages.py", "/static/%2e%2e/pages.py"):
        assert ask(night.address, path)[0].status == HTTPStatus.NOT_FOUND


def test_pages_load_again_until_somebody_stops_them(night: Site) -> None:
    """By a link, since what is read aloud must not begin anew; every link keeps it so."""
    answer, html = ask(night.address, "/")
    assert answer.headers["refresh"] == str(REFRESH_S)
    assert 'href="./?refresh=off">stop</a>' in html
    answer, html = ask(night.address, "/?refresh=off")
    assert answer.headers["refresh"] is None
    inside = [link for link in re.findall(r'href="(\.[^"]*)"', html) if "static/" not in link]
    kept = [link for link in inside if "refresh=off" in link]
    assert {link for link in inside if link not in kept} == {"./", "./livez", "./readyz", "./metrics"}  # ./ starts it again


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/runs/0123456789abcdef", "No run has the key or the name 0123456789abcdef."),
        ("/runs/%25", "No run has the key or the name %."),
        ("/drops/99999", "Nothing arrived as number 99999."),
        ("/drops/99999999999999999999999", "Nothing arrived as number 99999999999999999999999."),
        ("/runs?model=upsell", "There is no model upsell; there is churn."),
        ("/runs?state=LOST", "LOST is no state of a run."),
    ],
)
def test_what_is_not_there_is_said(night: Site, path: str, said: str) -> None:
    """In the same dress."""
    answer, html = ask(night.address, path)
    assert answer.status == HTTPStatus.NOT_FOUND
    assert said in words(html)


def test_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Before the daemon has made it, and when it is none."""
    with Site(tmp_path).open() as site:
        answer, html = ask(site.address, "/")
        assert (answer.status, "The daemon has not made it yet." in words(html)) == (HTTPStatus.SERVICE_UNAVAILABLE, True)
        (tmp_path / "ledger.db").write_bytes(b"no database at all, but longer than the header of one would be" * 20)
        answer, html = ask(site.address, "/")
        assert (answer.status, "file is not a database" in words(html)) == (HTTPStatus.SERVICE_UNAVAILABLE, True)


def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    """Each row once, the newest first; the first page shows a few."""
    story = Storyteller(tmp_path / "ledger.db")
    events = [replace(a_drop_event(a_drop(content=str(number))), id=f"e{number}") for number in range(2 * ROWS + 5)]
    story.ledger.record(events, NOW)
    story.ledger.close()
    with Site(tmp_path).open() as site:
        assert site.html().count('data-label="Arrived"') == 10
        path, seen = "/drops?model=churn", []
        while path:
            html = site.html(path)
            seen += [int(number) for number in re.findall(r'href="\./drops/(\d+)"', html)]
            following = re.search(r'href="\./(drops\?[^"]*)">What arrived earlier', html)
            path = f"/{unescape(following[1])}" if following else ""
    assert len(seen) == len(events)
    assert seen == sorted(set(seen), reverse=True)


def test_runs_come_in_pages_and_by_state(night: Site) -> None:
    """Those of one state have an address."""
    text = night.text("/runs?state=QUARANTINED")
    assert "2025-12 QUARANTINED" in text
    assert "2025-11" not in text
    last = night.runs()[0]
    assert "2025-05 PROMOTED" in night.text(f"/runs?before={last.sequence + 1}")
    assert "There are none." in night.text(f"/runs?before={last.sequence}")


def test_champions_of_old_have_pages(night: Site) -> None:
    """Those that were it last are left out as asked."""
    assert "version 7" not in night.text("/champions?skip=1")
    assert "version 6" in night.text("/champions?skip=1")


def test_page_that_takes_long_holds_up_no_health(tmp_path: Path) -> None:
    """Pages are made one at a time; neither probes nor Prometheus wait for any of them."""
    site, go_on, begun = Site(tmp_path), threading.Event(), threading.Semaphore(0)

    class Slow:
        at_once = most_at_once = 0

        def get(self, path: str, query: Mapping[str, str]) -> Page:  # noqa: ARG002 - of the role
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            begun.release()
            go_on.wait(240)
            self.at_once -= 1
            return Page(html="late", status=HTTPStatus.OK, refresh_s=None)

    slow = Slow()
    with served(site.address, lambda: make_app(site.vitals, Metrics([MODEL]).registry, page_routes(lambda: slow))):
        readers = [threading.Thread(target=ask, args=(site.address, "/")) for _ in range(3)]
        for reader in readers:
            reader.start()
        assert begun.acquire(timeout=240)
        assert ask(site.address, "/livez")[0].status == HTTPStatus.OK
        assert ask(site.address, "/metrics")[0].status == HTTPStatus.OK
        go_on.set()
        for reader in readers:
            reader.join(240)
    assert slow.most_at_once == 1


def test_command_line_for_the_log_selects_one_run(night: Site) -> None:
    """By `jq` itself: its key in any attempt, and its drop from before there was a run; what is no JSON is passed over."""
    jq, run = tool("jq"), night.run("2026-03")
    text = night.html(f"/runs/{run.key}")
    terminal = unescape(re.findall(r"<code>(kubectl.*?)</code>", text, re.DOTALL)[0])
    arguments = shlex.split(terminal.split(" | ", 1)[1])
    assert arguments[0] == "jq"
    lines = [
        json.dumps({"message": "event_recorded", "drop": run.drop.ref}),
        json.dumps({"message": "run_queued", "run_key": run.key, "drop": run.drop.ref}),
        json.dumps({"message": "library_logged", "run_key": run.key}),
        json.dumps({"message": "run_queued", "run_key": "another", "drop": "another"}),
        "Traceback (most recent call last):",
        "42",
    ]
    done = subprocess.run([jq, *arguments[1:]], input="\n".join(lines), capture_output=True, text=True, timeout=240, check=True)
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == [
        "event_recorded",
        "run_queued",
        "library_logged",
    ]
    filter_ = f'(labels.run_key="{run.key}" OR labels.drop={json.dumps(run.drop.ref)})'
    assert filter_ in unescape(text), "for Cloud Logging the same, by labels"


def test_run_that_failed_for_good_waits_for_a_person(tmp_path: Path) -> None:
    """With what to do about it, until its drop is trained after all."""
    story = Storyteller(tmp_path / "ledger.db")
    run = story.ended(a_drop("2025-07"), RunState.FAILED, "step train_model failed: out of memory")
    for _ in range(2):
        run = advanced(story.ledger, run, RunState.QUEUED, why="again", now=story.tick(), change=Change(next_attempt=True))
        run = advanced(story.ledger, run, RunState.RUNNING, why="submitted", now=story.tick())
        run = advanced(story.ledger, run, RunState.FAILED, why="step train_model failed: out of memory", now=story.tick())
    story.ledger.close()
    with Site(tmp_path).open() as site:
        assert "1 thing waits for a person failed" in site.text()
        assert "trainer-daemon trigger --model churn --period 2025-07" in site.text()
