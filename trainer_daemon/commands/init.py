"""`init`: a commented configuration to begin with."""

from pathlib import Path

from trainer_daemon.commands.opening import DEFAULT_CONFIG, CommandError
from trainer_daemon.config_template import template


def init(path: Path) -> None:
    """Write the configuration file, never over an existing one.

    Raises:
        CommandError: The file exists or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        msg = f"{path} exists already and is left as it is; name another file with --path, or remove it first"
        raise CommandError(msg) from None
    except OSError as exc:
        msg = f"cannot write {path}: {exc.strerror}"
        raise CommandError(msg) from exc
    option = "" if path == DEFAULT_CONFIG else f" -c {path}"
    print(f"Wrote {path}. Set `name`, `bucket` and `target` of the model in it, then start `trainer-daemon run{option}`.")  # noqa: T201
