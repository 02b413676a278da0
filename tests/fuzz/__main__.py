"""`python -m tests.fuzz csv --seconds 60`: atheris looks for bytes that break a target; files named after it are tried once."""

import argparse
import importlib.util
import random
import sys
import tempfile
from pathlib import Path

FINDINGS = Path("var") / "fuzz"
NAMES = ("csv", "message", "config", "evaluation", "reply")


def main() -> int:
    """Try the given files, or fuzz; 2 without atheris."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("files", nargs="*", type=Path, help="findings to try again, without atheris")
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    if given.files:
        from tests.fuzz.targets import TARGETS

        for file in given.files:
            TARGETS[given.target](file.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed: pip install atheris, into .venv or another environment\n")
        return 2
    return _fuzz(given.target, given.seconds)


def _fuzz(name: str, seconds: int) -> int:
    """Ends the process itself; what breaks the target is kept."""
    import atheris

    with atheris.instrument_imports(include=["pipelines", "trainer_daemon"]):
        from tests.fuzz.strategies import with_another_value
        from tests.fuzz.targets import SEEDS, TARGETS

    def mutate(data: bytes, size_max: int, seed: int) -> bytes:
        """Half of the time what can still be parsed, since what cannot is refused at the door."""
        chance = random.Random(seed)
        changed = with_another_value(data, chance) if chance.random() < 0.5 else data
        return bytes(changed[:size_max] if changed != data else atheris.Mutate(data, size_max))

    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=60", f"-artifact_prefix={FINDINGS}/{name}-"]
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name], custom_mutator=mutate)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
