"""The text encoder: a tiny Qwen3 trained on text alone to say the full description of what a prompt describes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from dopsd.config.recipe import Pooled
from dopsd.mini import loop, pools
from dopsd.world import tokens
from dopsd.world.scenes import sample_scenes

ROPE_THETA = 10_000.0
LENGTH = 64  # tokens of a training row: at most 51 prompt + 10 answer


def encoder_config() -> Qwen3Config:
    """Five layers of width 128: about a million weights."""
    return Qwen3Config(
        vocab_size=len(tokens.VOCABULARY),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        pad_token_id=tokens.PAD,
        eos_token_id=tokens.END,
        use_cache=False,
    )


def answer_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Cross-entropy of the answer: all that stands behind "assistant", up to and with its end mark.

    logits (n, L, V), ids (n, L) padded on the right.
    """
    assistant = tokens.VOCABULARY["assistant"]
    answer = ((ids == assistant).long().cumsum(1) > 0) & (ids != tokens.PAD) & (ids != assistant)
    answer[:, 1:] &= ~((ids[:, :-1] == assistant) & (ids[:, 1:] == tokens.VOCABULARY["\n"]))
    target = torch.where(answer, ids, -100)[:, 1:]
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), target.flatten(), ignore_index=-100)


def train_encoder(settings: Pooled, seed: int, work: Path) -> Qwen3ForCausalLM:
    """Train from nothing on text alone."""
    torch.manual_seed(seed)
    where = loop.device()
    scenes = sample_scenes(settings.scenes, loop.generator(seed))
    pool = pools.token_pool(scenes, pools.answer_row, LENGTH, seed).to(where)
    model = loop.placed(Qwen3ForCausalLM(encoder_config()), where)
    draw = loop.batches(len(pool), settings.batch_size, seed)

    def loss_fn(step: int) -> Tensor:
        ids = pool[next(draw).to(where)].long()
        with loop.autocast(where):
            logits = model(input_ids=ids).logits
        return answer_loss(logits, ids)

    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    loop.fit(
        loss_fn,
        {"model": model},
        optimizer,
        steps=settings.steps,
        minutes=settings.minutes,
        work=work,
        name="encoder",
    )
    return model


@torch.no_grad()
def text_features(encoder: Qwen3Model, ids: Tensor, layer: int = -2) -> Tensor:
    """hidden_states[layer] of rows padded on the right: ids (n, L) -> (n, L, D). Causal, so padding changes nothing."""
    return encoder(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[layer]
