import itertools
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.testing import LogCapture

from tests.emulators.mlflow_server import MlflowServer
from tests.fakes import FakeRegistry
from tests.integration.registry_contract import KEY, OTHER_KEY, Author, Left, RegistryContract, an_evaluation
from trainer_daemon.adapters.registry import MlflowRegistry
from trainer_daemon.config import MlflowSettings
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Failure, parse_evaluation
from trainer_daemon.ports import Registry

if TYPE_CHECKING:
    import subprocess

_numbers = itertools.count(1)
_captured = LogCapture()
_log = structlog.wrap_logger(structlog.PrintLogger(), processors=[_captured]).bind()


class MlflowAuthor:
    """Writes through the real MlflowClient, in the author's process."""

    def __init__(self, process: "subprocess.Popen[str]", uri: str, artifacts: str) -> None:
        self._process = process
        self._uri = uri
        self._artifacts = artifacts

    def _act(self, action: str, **arguments: object) -> Any:  # noqa: ANN401 - as the action says
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([self._uri, action, arguments]) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def leave(self, model: str, left: Left) -> str:
        """An MLflow run; returns its id."""
        tags = {"trainer.run_key": left.run_key, "trainer.period": left.period}
        if left.failure is not None:
            tags["trainer.failure"] = json.dumps(left.failure, ensure_ascii=False)
        files = dict(left.files) | ({"evaluation.json": json.dumps(left.evaluation)} if left.evaluation else {})
        return str(self._act("leave_run", model=model, tags=tags, files=files, artifacts=self._artifacts))

    def register(self, model: str, left: Left) -> str:
        """An MLflow run with a version."""
        return self.version(model, self.leave(model, left), left)

    def version(self, model: str, run_id: str, left: Left) -> str:
        """A version of a run that exists, or of none."""
        tags = {"trainer.run_key": left.run_key, "trainer.period": left.period, "validation_status": "pending"}
        return str(self._act("register", model=model, run_id=run_id, tags=tags))

    def rewrite(self, model: str, left: Left) -> None:
        """The evaluation of another attempt."""
        files = {"evaluation.json": json.dumps(left.evaluation)}
        self._act("rewrite", model=model, run_key=left.run_key, files=files)

    def fail_with(self, model: str, tag: str) -> None:
        """An MLflow run whose failure tag is some text."""
        tags = {"trainer.run_key": KEY, "trainer.failure": tag}
        self._act("leave_run", model=model, tags=tags, files={}, artifacts=self._artifacts)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias."""
        self._act("set_alias", model=model, alias=alias, version=version)

    def alias(self, model: str, alias: str) -> str:
        """Where an alias points to."""
        return str(self._act("alias", model=model, alias=alias))

    def tags(self, model: str, version: str) -> Mapping[str, str]:
        """The tags of a version."""
        tags: dict[str, str] = self._act("tags", model=model, version=version)
        return tags

    def description(self, model: str, version: str) -> str:
        """The description of a version."""
        return str(self._act("description", model=model, version=version))

    def report(self, model: str, run_key: str) -> str:
        """The report of a run."""
        return str(self._act("report", model=model, run_key=run_key))


class FakeAuthor:
    """Writes into the registry in memory."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry

    def leave(self, model: str, left: Left) -> None:
        """What a run leaves besides its version."""
        del model
        if left.evaluation is not None:
            self._registry.evaluations[left.run_key] = parse_evaluation(left.evaluation)
        if left.failure is not None:
            self._registry.failures[left.run_key] = Failure(**left.failure)

    def register(self, model: str, left: Left) -> str:
        """A version, too."""
        self.leave(model, left)
        return self._registry.register(left.run_key, left.period)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias."""
        del model
        self._registry.aliases[alias] = version

    def alias(self, model: str, alias: str) -> str:
        """Where an alias points to."""
        del model
        return self._registry.aliases.get(alias, "")

    def tags(self, model: str, version: str) -> Mapping[str, str]:
        """The tags of a version."""
        del model
        return self._registry.tags[version]

    def description(self, model: str, version: str) -> str:
        """The description of a version."""
        del model
        return self._registry.cards.get(version, "")

    def report(self, model: str, run_key: str) -> str:
        """The report of a run."""
        del model
        return self._registry.reports.get(run_key, "")


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> str:
    """A SQLite file of MLflow."""
    return f"sqlite:///{shutil.copy(mlflow_database, tmp_path_factory.mktemp('mlflow'))}"


@pytest.fixture(scope="session")
def sqlite_registry(sqlite_uri: str) -> Iterator[MlflowRegistry]:
    """The registry in that file."""
    yield from _open_registry(sqlite_uri)


@pytest.fixture(scope="session")
def server_registry(server_uri: str) -> Iterator[MlflowRegistry]:
    """The registry behind that server."""
    yield from _open_registry(server_uri)


def _open_registry(uri: str) -> Iterator[MlflowRegistry]:
    registry = MlflowRegistry(MlflowSettings(tracking_uri=uri, call_timeout_s=600.0), log=_log, idle_s=60)
    registry.champion("nobody")
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def server_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQLite file of a server."""
    return tmp_path_factory.mktemp("server") / "mlflow.db"


@pytest.fixture(scope="session")
def server_uri(server_tables: Path, mlflow_database: Path) -> Iterator[str]:
    """A real MLflow server on loopback."""
    server = MlflowServer(server_tables.parent, mlflow_database)
    server.start()
    yield server.uri
    server.kill()


@pytest.fixture
def model() -> str:
    """A name that no other test uses."""
    return f"churn-{next(_numbers)}"


class TestFakeRegistry(RegistryContract):
    """The registry that other tests use in memory."""

    @pytest.fixture
    def registry(self) -> FakeRegistry:
        """One per test."""
        return FakeRegistry()

    @pytest.fixture
    def author(self, registry: FakeRegistry) -> Author:
        """Writes into it."""
        return FakeAuthor(registry)


class MlflowContract(RegistryContract):
    """What is special about MLflow, on whatever store."""

    def test_champion_has_run_key_and_schema(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """The schema is what drops are compared with."""
        schema = {"columns": {"Tenure": "numeric"}}
        version = author.register(model, Left(files={"schema.json": json.dumps(schema)}))
        author.set_alias(model, "champion", version)
        for _ in range(2):
            champion = registry.champion(model)
            assert champion is not None
            assert (champion.run_key, champion.schema) == (KEY, schema)

    def test_champion_that_somebody_else_registered_is_respected(
        self, registry: Registry, author: MlflowAuthor, model: str
    ) -> None:
        """It has no run, so no period and no schema."""
        author.set_alias(model, "champion", author.version(model, "", Left(run_key="", period="")))
        champion = registry.champion(model)
        assert champion is not None
        assert (champion.version, champion.run_key, champion.period, champion.schema) == ("1", "", "", {})

    def test_unreadable_schema_is_told(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """Nothing is compared with it, and the log says so."""
        author.set_alias(model, "champion", author.register(model, Left(files={"schema.json": "{"})))
        champion = registry.champion(model)
        assert champion is not None
        assert champion.schema == {}
        assert _logged("schema_ignored", model)

    def test_evaluation_is_kept_as_it_was_written(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """What this version of the daemon does not read is there for people and later versions."""
        document = an_evaluation(training={"estimator": "auto"})
        author.leave(model, Left(evaluation=document))
        assert registry.outcome(model, KEY).evaluation_json == document

    def test_lowest_of_duplicated_versions_wins(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """By number, not by text; and the log says so."""
        run_id = author.leave(model, Left())
        versions = [author.version(model, run_id, Left(run_key=KEY if number != 1 else OTHER_KEY)) for number in range(1, 12)]
        assert versions[-1] == "11"
        assert registry.outcome(model, KEY).version == "2"
        assert _logged("version_duplicated", model)["ignored"] == [str(number) for number in range(3, 12)]

    def test_oldest_of_duplicated_runs_is_read(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """The steps use the oldest one, too."""
        author.leave(model, Left(evaluation=an_evaluation(attempt=1)))
        author.leave(model, Left(evaluation=an_evaluation(attempt=9)))
        evaluation = registry.outcome(model, KEY).evaluation
        assert evaluation is not None
        assert evaluation.attempt == 1

    def test_long_decision_is_shortened_and_stays_json(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """A tag has an end; verdict and rules stay readable."""
        version = author.register(model, Left())
        decision = {"verdict": "reject", "rules": [{"rule": f"r{number}", "sentence": "worse " * 200} for number in range(20)]}
        registry.record_decision(model, version, {"trainer.decision": json.dumps(decision)})
        text = author.tags(model, version)["trainer.decision"]
        document = json.loads(text)
        assert len(text) <= 5000
        assert (document["verdict"], document["shortened"], len(document["rules"])) == ("reject", True, 20)

    def test_promoting_a_version_that_does_not_exist_moves_nothing(
        self, registry: Registry, author: MlflowAuthor, model: str
    ) -> None:
        """Not even the predecessor."""
        first = author.register(model, Left())
        author.set_alias(model, "champion", first)
        with pytest.raises(PermanentError, match="not found"):
            registry.promote(model, "99", expected=first)
        assert (author.alias(model, "champion"), author.alias(model, "previous-champion")) == (first, "")

    def test_deciding_about_a_version_that_does_not_exist_is_refused(self, registry: Registry, model: str) -> None:
        """It would be refused again."""
        with pytest.raises(PermanentError, match="not found"):
            registry.record_decision(model, "1", {"validation_status": "approved"})

    def test_decision_that_somebody_else_writes_at_the_same_time_is_written_later(
        self, registry: Registry, author: MlflowAuthor, model: str, tables: Path
    ) -> None:
        """MLflow looks whether there is such a tag before it writes one; its database refuses the second of two, as here."""
        version = author.register(model, Left())
        with closing(sqlite3.connect(tables, timeout=600.0, isolation_level=None)) as database:
            refusal = "SELECT RAISE(ABORT, 'UNIQUE constraint failed: model_version_tags.key')"
            database.execute(f"CREATE TRIGGER rival BEFORE INSERT ON model_version_tags BEGIN {refusal}; END")
            with pytest.raises(TemporaryError, match="UNIQUE constraint failed"):
                registry.record_decision(model, version, {"trainer.decision": "{}"})
            database.execute("DROP TRIGGER rival")
        registry.record_decision(model, version, {"trainer.decision": "{}"})
        assert author.tags(model, version)["trainer.decision"] == "{}"

    def test_quotes_in_a_key_find_nothing_else(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """A key is a value in a filter, never a part of its grammar."""
        author.register(model, Left())
        keys = ("it's", "a' OR '1'='1", "back`tick", 'quo"te', "percent%")
        assert [registry.outcome(model, key).version for key in keys] == [""] * len(keys)


def _logged(event: str, model: str) -> dict[str, Any]:
    return next(dict(entry) for entry in reversed(_captured.entries) if entry["event"] == event and entry["model"] == model)


class TestSqliteFile(MlflowContract):
    """MLflow without a server."""

    @pytest.fixture
    def registry(self, sqlite_registry: MlflowRegistry) -> MlflowRegistry:
        """One worker for all."""
        return sqlite_registry

    @pytest.fixture
    def author(self, author_process: "subprocess.Popen[str]", sqlite_uri: str, tmp_path: Path) -> MlflowAuthor:
        """Writes into the same file."""
        return MlflowAuthor(author_process, sqlite_uri, (tmp_path / "artifacts").as_uri())

    @pytest.fixture
    def tables(self, sqlite_uri: str) -> Path:
        """The file."""
        return Path(sqlite_uri.removeprefix("sqlite:///"))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "not JSON"),
            ("[1]", "not a JSON object"),
            (json.dumps(an_evaluation(format=9)), "format 9"),
            (json.dumps({"format": 1}), "lacks"),
            (json.dumps(an_evaluation(OTHER_KEY)), "is about run key"),
        ],
    )
    def test_unreadable_evaluation_is_none_and_says_why(
        self, registry: Registry, author: MlflowAuthor, model: str, text: str, words: str
    ) -> None:
        """No evidence is no promotion, and the ledger keeps the reason."""
        author.leave(model, Left(files={"evaluation.json": text}))
        outcome = registry.outcome(model, KEY)
        assert outcome.evaluation is None
        assert words in outcome.evaluation_json["error"]

    @pytest.mark.parametrize(
        "tag", ["{", "[]", '{"attempt": "x", "step": "s", "kind": "error", "reason": "r"}', '{"attempt": 1}']
    )
    def test_unreadable_failure_is_told(self, registry: Registry, author: MlflowAuthor, model: str, tag: str) -> None:
        """It is not guessed at."""
        author.fail_with(model, tag)
        assert registry.outcome(model, KEY).failure is None
        assert _logged("failure_ignored", model)

    def test_threads_share_one_worker(self, registry: Registry, author: MlflowAuthor, model: str) -> None:
        """Replies go to whoever asked."""
        versions = {f"{digit:x}" * 64: author.register(model, Left(run_key=f"{digit:x}" * 64)) for digit in range(4)}
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda key: (key, registry.outcome(model, key).version), [*versions] * 5)
        assert set(found) == set(versions.items())


class TestServer(MlflowContract):
    """A real MLflow server that keeps the artifacts, too."""

    @pytest.fixture
    def registry(self, server_registry: MlflowRegistry) -> MlflowRegistry:
        """One worker for all."""
        return server_registry

    @pytest.fixture
    def author(self, author_process: "subprocess.Popen[str]", server_uri: str) -> MlflowAuthor:
        """Writes into the same server, which decides where artifacts go."""
        return MlflowAuthor(author_process, server_uri, "")

    @pytest.fixture
    def tables(self, server_tables: Path) -> Path:
        """The server's file."""
        return server_tables
