"""The drill's configuration: the user's settings with everything outside replaced, and drops that fit them."""

import gzip
import tomllib
from pathlib import Path

import pytest

from pipelines.errors import BadDrop
from tests.unit.pipelines.builders import read
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.demo_stage import DemoError
from trainer_daemon.drill.stage import configuration, cut_off, drops_of, name_of, packed, period_of
from trainer_daemon.policy.events import parse_period

OURS = {
    "ledger": "sqlite:////srv/real.db",
    "mlflow": {"tracking_uri": "https://mlflow.example"},
    "orchestrator": {"kind": "kubeflow", "image": "trainer:1", "host": "https://kf.example"},
    "models": [
        {
            "name": "churn",
            "bucket": "gs://real/in",
            "subscription": "projects/my-project/subscriptions/trainer",
            "schedule": "@daily",
            "attempts_max": 1,
            "target": 'Ab"gang',
            "entity_column": "kunde",
            "positive_label": "ja",
            "ranges": {"Alter": [0, 120]},
            "training": {"estimator": "random_forest", "hyperparameters": {"max_depth": 3}},
            "promotion": {"metric": "roc_auc", "mode": "approval", "thresholds": {"roc_auc": 0.7}},
        }
    ],
}


def drilled(settings: Settings, folder: Path) -> Settings:
    """What a daemon reads of the drill's file."""
    (model,) = settings.models
    return check_settings(tomllib.loads(configuration(settings, model, drops_of(model))), {}, folder=folder)


def test_nothing_outside_of_the_folder_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    """Ledger, MLflow, bucket and orchestrator are the drill's own; how is trained and judged is the user's."""
    settings = check_settings(OURS, {}, folder=tmp_path)
    result = drilled(settings, tmp_path / "stage")
    text = configuration(settings, settings.models[0], drops_of(settings.models[0]))
    assert not [word for word in ("real", "example", "kubeflow", "projects/", "@daily") if word in text]
    assert result.ledger == f"sqlite:///{tmp_path}/stage/var/ledger.db"
    assert result.orchestrator.kind == "local"
    (model,), (ours,) = result.models, settings.models
    assert (model.folder, model.schedule, model.promotion.mode) == (tmp_path / "stage" / "drops", "", "automatic")
    assert (model.target, model.entity_column, model.training) == (ours.target, ours.entity_column, ours.training)
    assert (model.promotion.metric, model.promotion.thresholds) == ("roc_auc", {"roc_auc": 0.7})
    assert model.attempts_max == 2, "a run that is killed has another attempt"


def test_invented_months_have_the_configured_columns_and_differ(tmp_path: Path) -> None:
    """The same customers every month, and the label's own words."""
    (model,) = check_settings(OURS, {}, folder=tmp_path).models
    drops = drops_of(model)
    first, second = drops.month(1), drops.month(2)
    header, row = first.splitlines()[:2]
    assert header == 'kunde,Tenure,MonthlyCharges,ContractType,SupportTickets,Ab"gang'
    assert row.startswith("c00000,")
    assert {line.rpartition(",")[2] for line in first.splitlines()[1:]} == {"ja", "not ja"}
    assert first != second
    assert first == drops.month(1)


@pytest.mark.parametrize("name", ["churn_data_{period}.csv", "x-{period}.csv.gz", "x-{period}.tar.gz"])
def test_names_are_those_of_drops_in_the_past(tmp_path: Path, name: str) -> None:
    """Whatever the template; the bytes are packed as the name says."""
    (model,) = check_settings({"models": [{"name": "churn", "bucket": "b", "drops": name}]}, {}, folder=tmp_path).models
    assert parse_period(name_of(model, 14), model.drops) == period_of(14) == "2002-03"
    assert packed(name_of(model, 14), "a,b\n").startswith(b"\x1f\x8b" if name.endswith("gz") else b"a,b")


def test_copies_are_of_the_newest_drop_which_stays_as_it_is(tmp_path: Path) -> None:
    """Each lacks another row."""
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "churn_data_2025_03.csv").write_text("a,Churn\nold,1\n")
    newest = folder / "churn_data_2025_05.csv"
    newest.write_text("a,Churn\n1,0\n2,1\n3,0\n")
    (model,) = check_settings({"models": [{"name": "churn", "bucket": "b"}]}, {}, folder=tmp_path).models
    drops = drops_of(model)
    assert [drops.month(number) for number in (1, 2)] == ["a,Churn\n1,0\n3,0\n", "a,Churn\n1,0\n2,1\n"]
    assert not drops.generated
    assert newest.read_text() == "a,Churn\n1,0\n2,1\n3,0\n"


def copied(folder: Path, content: bytes, name: str = "churn_data_2025_05.csv") -> str:
    """The first month of a drill with one drop in the bucket."""
    (folder / "b").mkdir()
    (folder / "b" / name).write_bytes(content)
    entry = {"name": "churn", "bucket": "b", "drops": "churn_data_{period}.csv" + ".gz" * name.endswith(".gz")}
    (model,) = check_settings({"models": [entry]}, {}, folder=folder).models
    return drops_of(model).month(1)


@pytest.mark.parametrize(
    ("separator", "row"), [(",", "7,1,2.5"), (";", "7;1;2,5"), ("\t", "7\t1\t2,5"), ("|", "7|1|2,5"), (";", '"7";"1";"2,5"')]
)
def test_file_that_is_cut_off_has_too_few_cells_whatever_separates_them(separator: str, row: str) -> None:
    """Also where a cell has a decimal comma, or quotes."""
    text = "\n".join([separator.join(["a", "Churn", "c"]), *[row] * 9, ""])
    assert read(text.encode()).table.num_rows == 9
    with pytest.raises(BadDrop, match=r"ends in the middle of row 5|quote is opened in row 5"):
        read(cut_off(text).encode())


def test_copies_lack_whole_rows(tmp_path: Path) -> None:
    """A cell in quotes may go on in the next line."""
    assert copied(tmp_path, b'\xef\xbb\xbfa,Churn\r\n1,0\r\n"2\nx",1\r\n3,0\r\n') == "a,Churn\n1,0\n3,0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("churn_data_2025_05.csv", "a,Churn\nMüller,1\n".encode("latin-1")),
        ("churn_data_2025_05.csv.gz", b"no gzip"),
        ("churn_data_2025_05.csv.gz", gzip.compress(b"a,Churn\n1,0\n" * 99)[:-9]),
        ("churn_data_2025_05.csv.gz", gzip.compress(b"a,Churn\n1,0\n" * 99, mtime=0)[:12] + b"\xff" * 50),
    ],
    ids=["latin-1", "no gzip", "cut off", "broken"],
)
def test_drop_that_cannot_be_copied_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """In one sentence, before anything is started."""
    with pytest.raises(DemoError, match=rf"{name} cannot be read to drill with: .+"):
        copied(tmp_path, content, name)
