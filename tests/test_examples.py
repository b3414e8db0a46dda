"""The launch configurations are ones that accelerate reads."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_accelerate_reads_it(file):
    config = load_config_from_file(str(file))
    processes, machines = {"1-gpu": (1, 1), "4-gpus": (4, 1), "8-gpus": (8, 1), "two-nodes": (16, 2)}[file.stem]
    assert (config.num_processes, config.num_machines) == (processes, machines)
    assert str(config.distributed_type.value) == ("NO" if processes == 1 else "MULTI_GPU")
    assert f"examples/accelerate/{file.name} -m dopsd tune" in file.read_text()


def test_there_is_one_for_each_promised_size():
    assert {f.stem for f in EXAMPLES} == {"1-gpu", "4-gpus", "8-gpus", "two-nodes"}
