"""What is neither Python nor Markdown is linted, too."""

from tests.integration.manifests.tools import ROOT, run, tool


def test_dockerfile_has_no_findings() -> None:
    """Of hadolint; an exception is beside the line it is for."""
    run(tool("hadolint"), "Dockerfile")


def test_yaml_has_no_findings() -> None:
    """Of yamllint, in its strict form."""
    run(tool("yamllint"), "--strict", "k8s", "tests/integration/manifests", ".yamllint.yaml")


def test_shell_scripts_have_no_findings() -> None:
    """Of shellcheck."""
    run(tool("shellcheck"), ".ci/run")


def test_image_asks_for_health_without_a_shell() -> None:
    """Both the entry point and the health check are programs with arguments."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["/usr/bin/tini", "--", "trainer-daemon"]' in lines
    [health] = [line for line in lines if line.startswith("HEALTHCHECK")]
    assert health.endswith('CMD ["python3", "-P", "-m", "trainer_daemon.healthcheck"]')


def test_nothing_reaches_a_build_but_what_it_copies() -> None:
    """The list begins with everything being left out."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        word.replace("[e]", "e")
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == allowed
