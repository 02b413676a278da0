"""Pipeline `hello`: proves in one step that a backend can run ours."""

from typing import Any

from kfp import dsl

from pipelines import components
from pipelines.tasks import GREETING, component, ready, with_effect


def hello_pipeline(image: str) -> Any:  # noqa: ANN401 - a KFP pipeline
    """The pipeline with its step in a container image.

    Args:
        image: Holds Python and this package.
    """
    say_hello = component(components.say_hello, image)

    def hello(name: str = "trainer") -> None:
        with_effect(ready(say_hello(name=name), "Say hello", GREETING))

    return dsl.pipeline(name="hello", display_name="Hello", description="Proves that the backend can run the steps.")(hello)
