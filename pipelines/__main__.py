"""`python -m pipelines`: compile the pipelines, or print the digest of their code."""

import argparse
from pathlib import Path

from pipelines.digest import pipeline_digest

DEFAULT_IMAGE = "python:3.11"


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Compile the pipelines, or identify their code.")
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="write training.yaml, evaluation.yaml and hello.yaml")
    compiling.add_argument("--out", type=Path, required=True, help="folder to write into; created when missing")
    compiling.add_argument(
        "--image", default=DEFAULT_IMAGE, help="container image of the steps; kfp.local ignores it (default: %(default)s)"
    )
    commands.add_parser("digest", help="print the digest of the package's sources")
    arguments = parser.parse_args()
    match arguments.command:
        case "compile":
            _compile(arguments.out, arguments.image)
        case "digest":
            print(pipeline_digest())


def _compile(folder: Path, image: str) -> None:
    from kfp.compiler import Compiler

    from pipelines.evaluation_pipeline import evaluation_pipeline
    from pipelines.hello import hello_pipeline
    from pipelines.training import training_pipeline

    folder.mkdir(parents=True, exist_ok=True)
    for pipeline in (training_pipeline(image), evaluation_pipeline(image), hello_pipeline(image)):
        path = folder / f"{pipeline.name}.yaml"
        Compiler().compile(pipeline, str(path))
        print(path)


if __name__ == "__main__":
    main()
