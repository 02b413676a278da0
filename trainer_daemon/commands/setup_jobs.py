"""The part of the script that lets the daemon run pipelines on Vertex AI: its own role, and an account for the steps. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer_daemon.commands.setup_shell import quietly, unless
from trainer_daemon.policy import gcloud

ROLE = "trainerDaemonPipelines"
PERMISSIONS = tuple(f"aiplatform.pipelineJobs.{verb}" for verb in ("cancel", "create", "get", "list"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Where pipelines are executed on Vertex AI.

    Attributes:
        bucket: That artifacts are kept in.
        account: That the steps run as; its e-mail address.
    """

    project: str
    location: str
    bucket: str
    account: str


def jobs_lines(jobs: Jobs, *, member: str, drops: Sequence[str]) -> Iterator[str]:
    """What is needed there.

    Args:
        jobs: Where that is.
        member: The daemon.
        drops: Buckets that the steps read.
    """
    steps = f"serviceAccount:{jobs.account}"
    yield ""
    yield f"# Vertex AI Pipelines in {jobs.project}, {jobs.location}."
    yield from quietly(gcloud.enable_api("aiplatform.googleapis.com", jobs.project))
    yield "# What the daemon may do there: pipeline jobs, nothing else; the role roles/aiplatform.user would be much more."
    permissions = (f"--permissions={','.join(PERMISSIONS)}", "--title=trainer-daemon pipelines", "--stage=GA", "--quiet")
    yield from unless(
        gcloud.custom_role("describe", ROLE, jobs.project),
        gcloud.custom_role("create", ROLE, jobs.project, *permissions),
        otherwise=gcloud.custom_role("update", ROLE, jobs.project, *permissions),
    )
    yield from quietly(gcloud.grant_on_project(jobs.project, member, f"projects/{jobs.project}/roles/{ROLE}"))
    yield "# The account of the steps: orchestrator.service_account. The daemon may start them as it, and as nobody else."
    yield from unless(gcloud.describe_account(jobs.account), gcloud.create_account(jobs.account, "trainer-daemon steps"))
    yield from quietly(gcloud.grant_on_account(jobs.account, member, "roles/iam.serviceAccountUser"))
    yield from quietly(gcloud.grant_on_project(jobs.project, steps, "roles/aiplatform.user"))
    yield f"# Artifacts are kept in {jobs.bucket}, which the steps read and write."
    yield from unless(
        gcloud.describe_bucket(jobs.bucket), gcloud.create_bucket(jobs.bucket, jobs.location, f"--project={jobs.project}")
    )
    yield from quietly(gcloud.grant_on_bucket(jobs.bucket, steps, "roles/storage.objectUser"))
    for bucket in drops:
        yield from quietly(gcloud.grant_on_bucket(bucket, steps, "roles/storage.objectViewer"))
