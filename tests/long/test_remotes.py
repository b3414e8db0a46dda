"""What was run once is fetched elsewhere: from a folder, and from S3 over HTTP."""

import pytest
from studies import MADE


@pytest.fixture
def bucket(study):
    """The address of a bucket on a local S3 server, which the study's commands may open."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    at = f"http://{host}:{port}"
    try:
        import boto3

        keys = {"aws_access_key_id": "study", "aws_secret_access_key": "study", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=at, **keys).create_bucket(Bucket="study")
        yield at, {name.upper().replace("REGION_NAME", "AWS_DEFAULT_REGION"): value for name, value in keys.items()}
    finally:
        server.stop()


def fetched(study, cloned):
    """A clone of a study after `dvc push` and `dvc pull`: it has all bytes, and nothing to run."""
    study.commit()
    assert "file" in study.run("dvc", "push")
    clone = cloned(study)
    clone.environment |= study.environment
    clone.run("dvc", "pull")
    assert clone.bytes(*MADE) == study.bytes(*MADE)
    assert clone.repro().stages == [] and clone.status() == []
    assert not (clone.folder / "models/store").exists()
    return clone


def test_from_a_folder_and_one_seed_more_trains_its_own_cells_only(study, cloned, tmp_path):
    study.run("dvc", "remote", "add", "-d", "elsewhere", str(tmp_path / "remote"))
    clone, lora = fetched(study, cloned), study.bytes("models/lora")
    clone.set(grid__seeds=[0, 1, 2])
    said = clone.repro("evaluate")
    assert set(said.stages) == {"keys", "prompts", "step_size", "train", "draw", "evaluate"}
    assert said.cells == {"train": (6, 4, 2), "draw": (12, 8, 4), "evaluate": (12, 8, 4)}, said.text
    assert clone.bytes("models/lora").items() > lora.items()


def test_from_s3(study, cloned, bucket):
    address, keys = bucket
    study.environment |= keys
    study.run("dvc", "remote", "add", "-d", "elsewhere", "s3://study/cache")
    study.run("dvc", "remote", "modify", "elsewhere", "endpointurl", address)
    fetched(study, cloned)
