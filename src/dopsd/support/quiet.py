"""What other packages say at every start, which a person can neither mend nor need: left out of what commands print."""

from __future__ import annotations

import logging
import warnings

LOGGERS = (
    "torch.utils._pytree",  # of torchao's enums, as it is imported
    "diffusers.quantizers.torchao.torchao_quantizer",  # of tensors that newer torchao no longer has, and nothing here keeps
)
WARNINGS = (
    r"The `local_dir_use_symlinks` argument is deprecated",  # diffusers gives it to huggingface_hub
    r"Already found a `peft_config` attribute in the model",  # student and teacher are adapters of one model
)


def quiet() -> None:
    """Leave these lines out, in this process. Before what says them is imported."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for start in WARNINGS:
        warnings.filterwarnings("ignore", message=start)
