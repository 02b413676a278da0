"""What would be applied to a cluster is valid, restricted, and agrees with the daemon and with itself."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.manifests.tools import (
    K8S,
    MLFLOW,
    MONITORING,
    OVERLAYS,
    ROOT,
    Manifest,
    built,
    container,
    environment,
    manifests,
    only,
    rendered,
    run,
    tool,
)
from trainer_daemon.config import Settings, load_settings
from trainer_daemon.daemon import DRAIN_S, INTERRUPTED_S
from trainer_daemon.healthcheck import LIVE_PATH, READY_PATH

LABELS = {"app.kubernetes.io/name": "trainer-daemon"}
CUSTOM = {"PodMonitor", "PrometheusRule"}
EGRESS = {
    *{("kube-dns, node-local-dns", 53), ("169.254.20.10/32", 53), ("ml-pipeline", 8888), ("mlflow", 5000), ("0.0.0.0/0", 443)},
    *{("169.254.169.252/32", port) for port in (987, 988)},
    *{("169.254.169.254/32", port) for port in (80, 8080)},
}
PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
GRANTED = {
    "experiments": {"create", "get", "list"},
    "pipelines": {"create", "get", "list"},
    "runs": {"archive", "create", "get", "list", "terminate"},
    "jobs": {"disable", "list"},  # recurring runs, in the words of Kubeflow Pipelines
}
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def settings(overlay: str, folder: Path) -> Settings:
    """The settings that the daemon of an overlay has."""
    file = folder / "trainer.toml"
    file.write_text(only(overlay, "ConfigMap")["data"]["trainer.toml"])
    return load_settings(file, environment(overlay))


def port_of(manifest: Manifest) -> object:
    """The first port of a rule or of a Service."""
    return manifest["ports"][0]["port"]


def test_every_manifest_follows_the_schema_of_kubernetes(tmp_path: Path) -> None:
    """Strictly: an unknown field is a misspelt one."""
    folders = [*OVERLAYS, MLFLOW, MONITORING]
    files = {overlay: tmp_path / f"{overlay.replace('/', '-')}.yaml" for overlay in folders}
    for overlay, file in files.items():
        file.write_text(rendered(K8S / overlay))
    said = run(tool("kubernetes-validate"), "--strict", *files.values())
    lines = [line for line in (said.stdout + said.stderr).splitlines() if "passed" in line]
    passed = {overlay: sum(str(file) in line for line in lines) for overlay, file in files.items()}
    own = {overlay: [each for each in manifests(overlay) if each["kind"] not in CUSTOM] for overlay in folders}
    assert passed == {overlay: len(each) for overlay, each in own.items()}


@every_overlay
def test_pod_is_restricted(overlay: str) -> None:
    """As the Pod Security Standard `restricted` has it, and with nothing of the image to write to."""
    pod = only(overlay, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(overlay)["securityContext"]
    assert security == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"memory", "ephemeral-storage"} <= container(overlay)["resources"]["limits"].keys()


@every_overlay
def test_configuration_is_valid(overlay: str, tmp_path: Path) -> None:
    """The daemon would start with it, and with the variables of its container."""
    assert settings(overlay, tmp_path).models[0].name == "churn"


@every_overlay
def test_daemon_writes_to_volumes_only(overlay: str, tmp_path: Path) -> None:
    """The root file system is read-only."""
    mounts = [mount["mountPath"] for mount in container(overlay)["volumeMounts"] if not mount.get("readOnly")]
    configured = settings(overlay, tmp_path)
    databases = [configured.ledger, configured.mlflow.tracking_uri]
    files = [Path(url.removeprefix("sqlite:///")) for url in databases if url.startswith("sqlite:")]
    assert configured.workspace.is_absolute()
    for path in (configured.workspace, *files, Path("/tmp")):  # noqa: S108 - a path of the container
        assert any(path.is_relative_to(mount) for mount in mounts), path


@every_overlay
def test_ports_agree(overlay: str, tmp_path: Path) -> None:
    """Where the daemon listens, what its container declares, and who refers to it."""
    port = int(settings(overlay, tmp_path).http.listen.rpartition(":")[2])
    declared = {each["name"]: each["containerPort"] for each in container(overlay)["ports"]}
    assert declared == {"http": port}
    service = only(overlay, "Service")["spec"]
    assert (port_of(service), service["ports"][0]["targetPort"]) == (port, "http")


@every_overlay
def test_everything_that_refers_to_the_port_uses_its_name(overlay: str) -> None:
    """Probes, the policy of the network, and the monitor."""
    probes = {name: container(overlay)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert probes == {
        "startup": {"path": LIVE_PATH, "port": "http"},
        "liveness": {"path": LIVE_PATH, "port": "http"},
        "readiness": {"path": READY_PATH, "port": "http"},
    }
    ingress = only(overlay, "NetworkPolicy")["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in ingress] == [["http"]]
    endpoints = only(MONITORING, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert [(each["port"], each["path"]) for each in endpoints] == [("http", "/metrics")]


@every_overlay
def test_selectors_find_the_pod(overlay: str) -> None:
    """A selector that finds nothing is no error anywhere else."""
    spec = only(overlay, "Deployment")["spec"]
    found = [
        spec["selector"]["matchLabels"],
        only(overlay, "Service")["spec"]["selector"],
        only(overlay, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        only(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(MONITORING, "PodMonitor")["spec"]["selector"]["matchLabels"],
    ]
    assert found == [LABELS] * len(found)
    assert LABELS.items() <= spec["template"]["metadata"]["labels"].items()
    namespaces = {
        each["metadata"]["namespace"] for each in manifests(overlay) if each["kind"] not in {"Namespace", "Role", "RoleBinding"}
    }
    assert namespaces | {only(MONITORING, "PodMonitor")["metadata"]["namespace"]} == {"kubeflow"}


@every_overlay
def test_volumes_and_accounts_exist(overlay: str) -> None:
    """Every name that the pod refers to is one of a manifest beside it."""
    pod = only(overlay, "Deployment")["spec"]["template"]["spec"]
    assert {mount["name"] for mount in container(overlay)["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests(overlay)}
    assert ("ServiceAccount", pod["serviceAccountName"]) in names
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    assert claims == {name for kind, name in names if kind == "PersistentVolumeClaim"}
    assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} == {
        name for kind, name in names if kind == "ConfigMap"
    }


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "overlays/minikube"])
def test_steps_run_in_the_image_of_the_daemon(overlay: str) -> None:
    """It is written once."""
    assert environment(overlay)["TRAINER_ORCHESTRATOR__IMAGE"] == container(overlay)["image"]


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "overlays/minikube"])
def test_token_is_for_kubeflow_pipelines_only(overlay: str) -> None:
    """It is mounted where the client looks for it."""
    volumes = {volume["name"]: volume for volume in only(overlay, "Deployment")["spec"]["template"]["spec"]["volumes"]}
    [source] = volumes["kfp-token"]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    [mount] = [mount for mount in container(overlay)["volumeMounts"] if mount["name"] == "kfp-token"]
    token = Path(mount["mountPath"]) / source["serviceAccountToken"]["path"]
    assert token == Path("/var/run/secrets/kubeflow/pipelines/token")


@every_overlay
def test_the_grace_of_a_stop_fits_the_drain(overlay: str) -> None:
    """Ten seconds are promised; a stop that is cut short loses nothing, but leaves work to the next start."""
    grace_s = only(overlay, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s >= 2 * max(10, DRAIN_S + INTERRUPTED_S)


@every_overlay
def test_one_replica_of_a_ledger_on_a_file(overlay: str) -> None:
    """Two would fight for the volume; several need a ledger on a server."""
    deployment = only(overlay, "Deployment")["spec"]
    shared = any(each["name"] == "TRAINER_LEDGER" for each in container(overlay).get("env", []))
    assert deployment["replicas"] == (2 if shared else 1)
    assert deployment["strategy"]["type"] == ("RollingUpdate" if shared else "Recreate")


def test_role_of_the_profile_is_for_the_account_of_the_daemon() -> None:
    """The binding, the role and the variable name the same profile."""
    overlay = "overlays/multi-user"
    profile = environment(overlay)["TRAINER_ORCHESTRATOR__USER_NAMESPACE"]
    role, binding = only(overlay, "Role"), only(overlay, "RoleBinding")
    account = only(overlay, "ServiceAccount")["metadata"]
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {profile}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]
    assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"pipelines.kubeflow.org"}
    assert {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]} == GRANTED


def peer_of(door: Manifest) -> str:
    """Whom a rule of the network is about."""
    if "ipBlock" in door:
        return str(door["ipBlock"]["cidr"])
    selector = door["podSelector"]
    return (
        str(selector["matchLabels"]["app"]) if "matchLabels" in selector else ", ".join(selector["matchExpressions"][0]["values"])
    )


@every_overlay
def test_network_is_open_for_what_is_used_only(overlay: str) -> None:
    """In to metrics, for collectors; out to names, Kubeflow Pipelines, MLflow, Google, and the database if there is one."""
    policy = only(overlay, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    [[collectors]] = [rule["from"] for rule in policy["ingress"]]
    assert [each["values"] for each in collectors["namespaceSelector"]["matchExpressions"]] == [["gmp-system", "monitoring"]]
    doors = {(peer_of(to), port["port"]) for rule in policy["egress"] for to in rule["to"] for port in rule["ports"]}
    assert doors == EGRESS | ({("postgres", 5432)} if overlay == "overlays/postgres" else set())
    internet = [to["ipBlock"] for rule in policy["egress"] for to in rule["to"] if peer_of(to) == "0.0.0.0/0"]
    assert [each["except"] for each in internet] == [PRIVATE]


def test_mlflow_is_where_the_daemon_looks_for_it(tmp_path: Path) -> None:
    """It answers to the name that it is asked by, is as restricted as the daemon, and admits the daemon and steps only."""
    address = urlsplit(settings("base", tmp_path).mlflow.tracking_uri)
    service, pod = only(MLFLOW, "Service"), only(MLFLOW, "Deployment")["spec"]["template"]
    [server] = pod["spec"]["containers"]
    [names] = [each.partition("=")[2].split(",") for each in server["args"] if each.startswith("--allowed-hosts=")]
    assert address.netloc in names
    assert address.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}"
    assert (port_of(service["spec"]), server["ports"]) == (address.port, [{"name": "http", "containerPort": address.port}])
    assert service["spec"]["selector"] == pod["metadata"]["labels"] == {"app": "mlflow"}
    daemon = only("base", "Deployment")["spec"]["template"]["spec"]
    assert (server["image"], server["securityContext"]) == (container("base")["image"], container("base")["securityContext"])
    assert pod["spec"]["securityContext"] == daemon["securityContext"]
    policy = only(MLFLOW, "NetworkPolicy")["spec"]
    admitted, steps = (each["podSelector"] for [rule] in [policy["ingress"]] for each in rule["from"])
    assert (admitted["matchLabels"], steps["matchExpressions"][0]["key"]) == (LABELS, "pipeline/runid")
    assert "egress" not in policy


@every_overlay
def test_account_is_one_of_google_where_there_is_google(overlay: str) -> None:
    """By Workload Identity."""
    annotations = only(overlay, "ServiceAccount")["metadata"].get("annotations", {})
    google = {"iam.gke.io/gcp-service-account": "trainer-daemon@PROJECT.iam.gserviceaccount.com"}
    assert annotations == ({} if overlay == "overlays/minikube" else google)


@every_overlay
def test_pod_may_always_be_evicted(overlay: str) -> None:
    """A budget of none would block every upgrade of a node."""
    assert only(overlay, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_overlay_of_the_installation_guide_builds(tmp_path: Path) -> None:
    """As the guide has it written: its own image in both places, its own account."""
    shutil.copytree(K8S, tmp_path / "k8s")
    mine = tmp_path / "k8s" / "overlays" / "mine"
    mine.mkdir()
    for name in ("trainer.toml", "image.yaml"):
        shutil.copy(K8S / "base" / name, mine / name)
    guide = (ROOT / "docs" / "installation.md").read_text()
    text = guide.split("kustomization.yaml <<END\n")[1].split("\nEND\n")[0]
    for word, value in {"$IMAGE": "registry.example/trainer", "sha256:…": f"sha256:{'0' * 64}", "$ACCOUNT": "me@example"}.items():
        assert word in text
        text = text.replace(word, value)
    (mine / "kustomization.yaml").write_text(text)
    made = {(each["kind"], each["metadata"]["name"]): each for each in built(mine)}
    daemon, mlflow = (
        made["Deployment", name]["spec"]["template"]["spec"]["containers"][0] for name in ("trainer-daemon", "mlflow")
    )
    images = {daemon["image"], mlflow["image"], *(each["value"] for each in daemon["env"])}
    assert images == {f"registry.example/trainer@sha256:{'0' * 64}"}
    account = made["ServiceAccount", "trainer-daemon"]
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": "me@example"}
