"""Tiny pipelines that orchestrator tests execute; `python -m tests.integration.orchestrator_pipelines OUT` compiles them."""

import sys

from kfp import compiler, dsl


@dsl.component(  # type: ignore[untyped-decorator]
    packages_to_install=[], install_kfp_package=False, base_image="python:3.11"
)
def probe(out: str, action: str, seconds: float, word: str, items: list, table: dict) -> str:  # type: ignore[type-arg]
    """Add one line to the file `out`, then do as `action` says."""
    import json
    import os
    import signal
    import sys
    import time
    from pathlib import Path

    if action == "sleep stubbornly":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Path(out).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"pid": os.getpid(), "word": word, "items": items, "table": table}) + "\n")
    print("the step has begun", flush=True)  # noqa: T201 - the log is what is tested
    if action == "fail":
        raise ValueError(word)
    if action == "vanish":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "exit":
        sys.exit(3)
    if action.startswith("sleep"):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.05)
    if action == "wait":
        while not Path(f"{out}.go").exists():
            time.sleep(0.05)
    return word


@dsl.pipeline(name="probe")  # type: ignore[untyped-decorator]
def probe_pipeline(
    out: str,
    action: str = "end",
    seconds: float = 0.0,
    word: str = "",
    items: list = [],  # type: ignore[type-arg]  # noqa: B006 - kfp reads the defaults
    table: dict = {},  # type: ignore[type-arg]  # noqa: B006
) -> None:
    """One step."""
    probe(out=out, action=action, seconds=seconds, word=word, items=items, table=table)


@dsl.pipeline(name="two-steps")  # type: ignore[untyped-decorator]
def two_steps(out: str, action: str, word: str = "") -> None:
    """The first step ends well, the second does as it is told."""
    first = probe(out=out, action="end", seconds=0.0, word=word, items=[], table={})
    second = probe(out=out, action=action, seconds=0.0, word=first.output, items=[], table={})
    second.set_display_name("second")


if __name__ == "__main__":
    for name, pipeline in {"probe": probe_pipeline, "two_steps": two_steps}.items():
        compiler.Compiler().compile(pipeline, f"{sys.argv[1]}/{name}.yaml")
