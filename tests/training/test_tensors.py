"""What counts as a number, and files that hold none."""

import pytest
import torch

from dopsd.support.errors import UserError
from dopsd.training.tensors import finite, read


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_a_number_of_any_type_is_told_from_what_is_none(dtype):
    assert finite(torch.tensor([1.0, torch.finfo(dtype).max], dtype=torch.float64).to(dtype))
    assert not finite(torch.tensor([1.0, float("nan")]).to(dtype)) and finite(torch.tensor([1, 2]))


def test_why_a_file_cannot_be_read_is_said(tmp_path):
    (tmp_path / "torn").write_bytes(b"\x08" + b"\0" * 7)
    said = r"/torn: not a readable safetensors file \(.*header.*\); write it again$"
    with pytest.raises(UserError, match=said):
        read(tmp_path / "torn")
