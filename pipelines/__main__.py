"""`python -m pipelines`: compile the pipelines, or print the digest of their code."""

import argparse
from pathlib import Path

from pipelines.digest import pipeline_digest


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Compile the pipelines, or identify their code.")
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="write training.yaml, evaluation.yaml, inference.yaml and hello.yaml")
    compiling.add_argument("--out", type=Path, required=True, help="folder to write into; created when missing")
    compiling.add_argument(
        "--image", help="container image of the steps; kfp.local ignores it (default: trainer-daemon of this version)"
    )
    commands.add_parser("digest", help="print the digest of the package's sources")
    arguments = parser.parse_args()
    match arguments.command:
        case "compile":
            _compile(arguments.out, arguments.image)
        case "digest":
            print(pipeline_digest())


def _compile(folder: Path, image: str | None) -> None:
    from pipelines.compiling import compile_pipelines, compiled_digest
    from pipelines.tasks import DEFAULT_IMAGE

    for path in compile_pipelines(folder, image or DEFAULT_IMAGE):
        print(f"{path}  sha256:{compiled_digest(path)}")


if __name__ == "__main__":
    main()
