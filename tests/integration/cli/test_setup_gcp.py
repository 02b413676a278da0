"""`setup-gcp --print`: the script it writes, run by a real shell with a `gcloud` that remembers what it was asked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Call
from trainer_daemon.commands.setup_jobs import PERMISSIONS

BASH = shutil.which("bash") or "bash"
GCLOUD = """
import json, os, sys
from pathlib import Path
state = Path(os.environ["FAKE_GCLOUD"])
words = sys.argv[1:]
with (state / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
action, name = words[2], words[3] if len(words) > 3 else ""
made = state / "made"
key = " ".join((words[0], words[1], name.partition("@")[0]))
known = set(made.read_text().splitlines()) if made.exists() else set()
answers = json.loads((state / "answers").read_text())
if os.environ.get("REFUSE") and os.environ["REFUSE"] in " ".join(words):
    sys.exit("ERROR: refused")
if words[:2] == ["storage", "service-agent"]:
    print("storage-agent@example.com")
elif words[:2] == ["projects", "describe"]:
    print("4711")
elif words[:4] == ["storage", "buckets", "notifications", "list"]:
    sys.stdout.write(answers.get(words[4], ""))
elif action == "describe":
    if key not in known:
        sys.exit("ERROR: NOT_FOUND")
    if "--format=value(topic)" in words:
        print(answers.get(name, ""))
elif action == "create":
    if key in known:
        sys.exit("ERROR: ALREADY_EXISTS")
    made.write_text("\\n".join([*known, key]))
"""
AGENT = "serviceAccount:storage-agent@example.com"
PUBSUB_AGENT = "serviceAccount:service-4711@gcp-sa-pubsub.iam.gserviceaccount.com"
DAEMON = "serviceAccount:trainer-daemon@demo.iam.gserviceaccount.com"
TOPIC = "projects/demo/topics/trainer-drops"
SUBSCRIPTION = "projects/demo/subscriptions/trainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A `gcloud` on PATH, what it was asked, and what it answers."""

    folder: Path
    state: Path

    def answers(self, answers: Mapping[str, str]) -> None:
        """Topics of subscriptions by their name, and lists of notifications by their bucket."""
        (self.state / "answers").write_text(json.dumps(answers))

    def run(self, script: str, refuse: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script with it."""
        environment = {"PATH": f"{self.folder}:{os.defpath}", "FAKE_GCLOUD": str(self.state), "REFUSE": refuse}
        return subprocess.run([BASH], input=script, capture_output=True, text=True, check=False, env=environment, timeout=600)

    def calls(self, *, after: int = 0) -> list[list[str]]:
        """The words of every call."""
        lines = (self.state / "calls").read_text().splitlines()
        return [json.loads(line) for line in lines[after:]]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """It knows nothing yet."""
    bin_folder, state = tmp_path / "bin", tmp_path / "state"
    bin_folder.mkdir()
    state.mkdir()
    (bin_folder / "gcloud").write_text(f"#!{sys.executable}\n{GCLOUD}")
    (bin_folder / "gcloud").chmod(0o755)
    made = Cloud(folder=bin_folder, state=state)
    made.answers({})
    return made


def write(folder: Path, *models: Mapping[str, str]) -> None:
    """A configuration."""
    sections = ["\n".join(["[[models]]", *(f"{key} = {json.dumps(value)}" for key, value in model.items())]) for model in models]
    (folder / "trainer.toml").write_text("\n".join(sections) + "\n")


def a_model(name: str = "churn", **changes: str) -> dict[str, str]:
    """A model on Google Cloud."""
    return {"name": name, "bucket": "gs://churn-drops/in", "subscription": SUBSCRIPTION, **changes}


def script_for(call: Call, folder: Path, *models: Mapping[str, str], options: tuple[str, ...] = ()) -> str:
    """What is printed; every shell can read it."""
    write(folder, *models)
    answer = call("setup-gcp", "--print", *options)
    assert (answer.code, answer.err) == (0, "")
    checked = subprocess.run([BASH, "-n"], input=answer.out, capture_output=True, text=True, check=False, timeout=240)
    assert (checked.returncode, checked.stderr) == (0, "")
    return answer.out


def granted(calls: list[list[str]]) -> set[tuple[str, ...]]:
    """Who was given which role on what."""
    return {
        (words[3], words[-2].removeprefix("--member="), words[-1].removeprefix("--role="))
        for words in calls
        if words[2] == "add-iam-policy-binding"
    }


def created(calls: list[list[str]]) -> list[str]:
    """What was made: kind and name."""
    return [f"{words[1]} {words[3]}" for words in calls if words[2] == "create"]


def test_script_makes_everything_with_the_least_permissions(call: Call, folder: Path, cloud: Cloud) -> None:
    """Topic, dead letters with somebody who keeps them, subscription, account, roles, notification."""
    done = cloud.run(script_for(call, folder, a_model()))
    assert (done.returncode, done.stderr) == (0, "")
    calls = cloud.calls()
    assert created(calls) == [
        "service-accounts trainer-daemon",
        "topics trainer-drops",
        "topics trainer-dead-letters",
        "subscriptions trainer-dead-letters",
        "subscriptions trainer",
    ]
    settings = ["--ack-deadline=60", "--message-retention-duration=7d", "--expiration-period=never"]
    assert ["pubsub", "subscriptions", "create", "trainer", "--project=demo", f"--topic={TOPIC}", *settings] == calls[
        [words[2:4] for words in calls].index(["create", "trainer"])
    ][:-2]
    assert calls[[words[2:4] for words in calls].index(["create", "trainer"])][-2:] == [
        "--dead-letter-topic=projects/demo/topics/trainer-dead-letters",
        "--max-delivery-attempts=20",
    ]
    assert granted(calls) == {
        ("gs://churn-drops", DAEMON, "roles/storage.objectViewer"),
        ("trainer-drops", AGENT, "roles/pubsub.publisher"),
        ("trainer-dead-letters", PUBSUB_AGENT, "roles/pubsub.publisher"),
        ("trainer", PUBSUB_AGENT, "roles/pubsub.subscriber"),
        ("trainer", DAEMON, "roles/pubsub.subscriber"),
        ("trainer", DAEMON, "roles/pubsub.viewer"),
    }
    assert calls[-1] == [
        *("storage", "buckets", "notifications", "create", "gs://churn-drops", "--project=demo", f"--topic={TOPIC}"),
        *("--event-types=OBJECT_FINALIZE", "--payload-format=json", "--object-prefix=in/", "--skip-topic-setup"),
    ]


def test_script_can_be_run_again(call: Call, folder: Path, cloud: Cloud) -> None:
    """What exists is kept, and the subscription's settings are brought up to date."""
    script = script_for(call, folder, a_model())
    assert cloud.run(script).returncode == 0
    first = len(cloud.calls())
    notification = f"//pubsub.googleapis.com/{TOPIC}\tin/\tJSON_API_V1\tOBJECT_FINALIZE\n"
    cloud.answers({"trainer": TOPIC, "gs://churn-drops": notification})
    done = cloud.run(script)
    assert (done.returncode, done.stderr) == (0, "")
    again = cloud.calls(after=first)
    assert created(again) == []
    assert [words for words in again if "notifications" in words] == [
        words for words in again if words[2:4] == ["notifications", "list"]
    ]
    assert [words[:4] for words in again if words[2] == "update"] == [["pubsub", "subscriptions", "update", "trainer"]]


@pytest.mark.parametrize(
    "listed",
    [
        f"//pubsub.googleapis.com/{TOPIC}\tother/\tJSON_API_V1\tOBJECT_FINALIZE\n",
        f"//pubsub.googleapis.com/{TOPIC}\tin/\tNONE\tOBJECT_FINALIZE\n",
        "//pubsub.googleapis.com/projects/demo/topics/x\tin/\tJSON_API_V1\tOBJECT_FINALIZE\n",
    ],
)
def test_notification_of_another_kind_is_not_taken_for_ours(call: Call, folder: Path, cloud: Cloud, listed: str) -> None:
    """Ours is made beside it."""
    cloud.answers({"gs://churn-drops": listed})
    assert cloud.run(script_for(call, folder, a_model())).returncode == 0
    assert cloud.calls()[-1][2:5] == ["notifications", "create", "gs://churn-drops"]


def test_script_stops_at_what_fails(call: Call, folder: Path, cloud: Cloud) -> None:
    """A permission that is missing is no topic that exists."""
    done = cloud.run(script_for(call, folder, a_model()), refuse="topics create")
    assert done.returncode != 0
    assert "ERROR: refused" in done.stderr
    assert cloud.calls()[-1][:4] == ["pubsub", "topics", "create", "trainer-drops"]


def test_subscription_of_another_topic_is_left_alone(call: Call, folder: Path, cloud: Cloud) -> None:
    """It can never be moved to ours, so nothing is made for it."""
    script = script_for(call, folder, a_model())
    assert cloud.run(script).returncode == 0
    first = len(cloud.calls())
    cloud.answers({"trainer": "projects/demo/topics/mine"})
    done = cloud.run(script)
    assert done.returncode == 1
    assert "is not of topic projects/demo/topics/trainer-drops; delete it, or configure another one" in done.stderr
    assert not [words for words in cloud.calls(after=first) if words[2] in {"create", "update"}]


def test_odd_names_reach_gcloud_as_they_are(call: Call, folder: Path, cloud: Cloud) -> None:
    """No shell makes anything of them."""
    odd = 'it\'s $HOME `id` \\t "x" ü/$(id)'
    model = a_model(bucket=f"gs://churn-drops/{odd}", subscription="projects/demo/subscriptions/tr~ain%er+1")
    script = script_for(call, folder, model)
    done = cloud.run(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"--object-prefix={odd}/" in cloud.calls()[-1]
    assert "topics tr~ain%er+1-drops" in created(cloud.calls())

    topic = "projects/demo/topics/tr~ain%er+1-drops"
    listed = f"//pubsub.googleapis.com/{topic}\t{odd}/\tJSON_API_V1\tOBJECT_FINALIZE\n"
    cloud.answers({"tr~ain%er+1": topic, "gs://churn-drops": listed})
    assert cloud.run(script).returncode == 0
    assert cloud.calls()[-1][3] == "list"


def test_what_models_share_is_set_up_once(call: Call, folder: Path, cloud: Cloud) -> None:
    """Buckets, subscriptions, and notifications that cover one another."""
    models = (
        a_model("eu", bucket="gs://churn-drops/in/eu"),
        a_model("all"),
        a_model("same", drops="other_{period}.csv"),
        a_model("us", bucket="gs://us-drops", subscription="projects/demo/subscriptions/trainer-us"),
    )
    assert cloud.run(script_for(call, folder, *models)).returncode == 0
    calls = cloud.calls()
    made = created(calls)
    assert len(made) == len(set(made)) == 9
    notified = [
        [words[4], words[6]] + [word for word in words if "prefix" in word]
        for words in calls
        if words[2:4] == ["notifications", "create"]
    ]
    assert sorted(notified) == [
        ["gs://churn-drops", f"--topic={TOPIC}", "--object-prefix=in/"],
        ["gs://us-drops", "--topic=projects/demo/topics/trainer-us-drops"],
    ]
    viewers = [words for words in calls if words[-1] == "--role=roles/storage.objectViewer"]
    assert len(viewers) == 2


def test_options_say_what_the_configuration_does_not(call: Call, folder: Path, cloud: Cloud) -> None:
    """An account that exists is not made; buckets are, where it is said where."""
    options = ("--project", "data-project", "--service-account", "me@data-project.iam.gserviceaccount.com", "--location", "EU")
    assert cloud.run(script_for(call, folder, a_model(), options=options)).returncode == 0
    calls = cloud.calls()
    assert calls[0] == ["storage", "service-agent", "--project=data-project"]
    (bucket,) = [words for words in calls if words[:3] == ["storage", "buckets", "create"]]
    assert bucket[3:6] == ["gs://churn-drops", "--project=data-project", "--location=EU"]
    assert not [words for words in calls if words[0] == "iam"]
    assert ("trainer", "serviceAccount:me@data-project.iam.gserviceaccount.com", "roles/pubsub.viewer") in granted(calls)
    assert ("trainer", PUBSUB_AGENT, "roles/pubsub.subscriber") in granted(calls)
    assert ["projects", "describe", "demo", "--format=value(projectNumber)"] in calls


def test_models_that_are_not_on_google_cloud_are_named(call: Call, folder: Path) -> None:
    """All at once; another one may be chosen."""
    write(folder, {"name": "laptop", "bucket": "drops"}, {"name": "quiet", "bucket": "gs://churn-drops"}, a_model())
    answer = call("setup-gcp", "--print")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "error: nothing can be set up: the bucket of laptop is a folder, not gs://…, quiet has no `subscription`; "
        "correct the configuration, or name another model with --model\n"
    )
    assert call("setup-gcp", "--print", "-m", "churn").code == 0


def test_usage_is_checked(call: Call, folder: Path) -> None:
    """Without `--print` nothing is printed; several projects have no default."""
    write(folder, a_model(), a_model("us", subscription="projects/other/subscriptions/trainer-us"))
    answer = call("setup-gcp")
    assert (answer.code, answer.out, "it writes a script: add --print" in answer.err) == (2, "", True)
    answer = call("setup-gcp", "--print")
    assert (answer.code, answer.out, "demo, other" in answer.err) == (2, "", True)
    assert call("setup-gcp", "--print", "--project", "demo").code == 0


def test_script_is_clean_for_shellcheck(call: Call, folder: Path) -> None:
    """As whoever runs it would want it to be."""
    script = script_for(call, folder, a_model(), options=("--location", "EU"))
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_steps_on_vertex_ai_have_an_account_of_their_own(cloud: Cloud, call: Call, folder: Path) -> None:
    """The daemon may do with pipeline jobs what it has to and start steps as that account; run again, nothing is made twice."""
    write(folder, a_model())
    config = folder / "trainer.toml"
    keys = {
        "kind": "vertex",
        "project": "ml-demo",
        "location": "europe-west1",
        "pipeline_root": "gs://artifacts/runs",
        "image": "i:1",
    }
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    config.write_text(f"[orchestrator]\n{lines}\n{config.read_text()}")
    text = call("setup-gcp", "--print").out
    assert cloud.run(text).returncode == 0
    calls = cloud.calls()
    steps = "serviceAccount:trainer-steps@ml-demo.iam.gserviceaccount.com"
    assert {
        ("trainer-steps@ml-demo.iam.gserviceaccount.com", DAEMON, "roles/iam.serviceAccountUser"),
        ("gs://artifacts", steps, "roles/storage.objectUser"),
        ("gs://churn-drops", steps, "roles/storage.objectViewer"),
    } <= granted(calls)
    on_project = {tuple(words[-2:]) for words in calls if words[:2] == ["projects", "add-iam-policy-binding"]}
    assert on_project == {
        (f"--member={DAEMON}", "--role=projects/ml-demo/roles/trainerDaemonPipelines"),
        (f"--member={steps}", "--role=roles/aiplatform.user"),
    }
    assert ["services", "enable", "aiplatform.googleapis.com", "--project=ml-demo"] in calls
    (role,) = (words for words in calls if words[:3] == ["iam", "roles", "create"])
    assert sorted(role[5].removeprefix("--permissions=").split(",")) == sorted(PERMISSIONS)
    assert cloud.run(text).returncode == 0
    again = cloud.calls(after=len(calls))
    assert [words[:3] for words in again if words[1:3] == ["roles", "create"]] == []
    assert ["iam", "roles", "update"] in [words[:3] for words in again]
