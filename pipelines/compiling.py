"""The pipelines as YAML files that any KFP v2 backend runs, and the identity of such a file."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pipelines.tasks import DEFAULT_IMAGE

SDK_VERSION = "sdkVersion"


def compile_pipelines(folder: Path, image: str = DEFAULT_IMAGE) -> Iterator[Path]:
    """Write every pipeline as `<its name>.yaml`.

    Args:
        folder: Where to; made when missing.
        image: Of all steps.

    Returns:
        The files, one by one as they are written.
    """
    from kfp.compiler import Compiler

    from pipelines.evaluation_pipeline import evaluation_pipeline
    from pipelines.hello import hello_pipeline
    from pipelines.inference import inference_pipeline
    from pipelines.training import training_pipeline

    folder.mkdir(parents=True, exist_ok=True)
    for build in (training_pipeline, evaluation_pipeline, inference_pipeline, hello_pipeline):
        pipeline = build(image)
        path = folder / f"{pipeline.name}.yaml"
        Compiler().compile(pipeline, str(path))
        yield path


def compiled_digest(path: Path) -> str:
    """64 hexadecimal digits over what a compiled pipeline says; which version of kfp wrote it, and how, does not count.

    Args:
        path: The file; a platform's own settings may follow the pipeline as a second document.
    """
    import yaml  # type: ignore[import-untyped]

    documents = [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]
    for document in documents:
        document.pop(SDK_VERSION, None)
    return hashlib.sha256(json.dumps(documents, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
