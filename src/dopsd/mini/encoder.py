"""The text encoder: a tiny Qwen3 trained on text alone to say the full description of what a prompt describes."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from dopsd.config.recipe import Encoder
from dopsd.mini import loop, pools
from dopsd.world import tokens
from dopsd.world.lexicon import LEXICON, NOTHING, sample_named

ROPE_THETA = 10_000.0
LENGTH = 64  # tokens of a training row: at most 51 prompt + 10 answer
READ_LAYER = -2  # of the hidden states: what the generator reads
SHARPNESS = 8.0  # inverse temperature of the cosines in `Identities`


def encoder_config() -> Qwen3Config:
    """Five layers of width 128: about a million weights."""
    return Qwen3Config(
        vocab_size=len(tokens.ALL),
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


class Identities(nn.Module):
    """Tells names apart at the layer that the generator reads, by cosines with learned directions; used in training only.

    To predict the description a free name need not be kept there: it says nothing. But a generator can learn what a name
    stands for, and a tuning can bind one, only if the state says *which* name it is.
    """

    slot: Tensor

    def __init__(self, width: int):
        super().__init__()
        words = [NOTHING, *(n.word for n in LEXICON)]
        slot = torch.full((len(tokens.ALL),), -100)
        slot[[tokens.ALL[w] for w in words]] = torch.arange(len(words))
        self.register_buffer("slot", slot)
        self.directions = nn.Parameter(torch.randn(len(words), width) / width**0.5)

    def forward(self, states: Tensor, ids: Tensor) -> Tensor:
        """Mean cross-entropy over the places of names and of "thing", 0 if there are none: states (n, L, D), ids (n, L)."""
        cosine = F.normalize(states.float(), dim=-1) @ F.normalize(self.directions, dim=-1).T
        slot = self.slot[ids].flatten()
        total = F.cross_entropy((SHARPNESS * cosine).flatten(0, 1), slot, ignore_index=-100, reduction="sum")
        return total / (slot >= 0).sum().clamp(min=1)


def train_encoder(settings: Encoder, seed: int, work: Path) -> Qwen3ForCausalLM:
    """Train from nothing on text alone."""
    torch.manual_seed(seed)
    where = loop.device()
    scenes = sample_named(settings.scenes, loop.generator(seed))
    pool = pools.token_pool(scenes, pools.answer_row, LENGTH, seed).to(where)
    model = loop.placed(Qwen3ForCausalLM(encoder_config()), where)
    identities = Identities(model.config.hidden_size).to(where)
    draw = loop.batches(len(pool), settings.batch_size, seed)

    def loss_fn(step: int) -> Tensor:
        ids = pool[next(draw).to(where)].long()
        with loop.autocast(where):
            out = model(input_ids=ids, output_hidden_states=True)
        return answer_loss(out.logits, ids) + settings.identity_weight * identities(out.hidden_states[READ_LAYER], ids)

    parameters = [*model.parameters(), *identities.parameters()]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    loop.fit(
        loss_fn,
        {"model": model, "identities": identities},
        optimizer,
        steps=settings.steps,
        minutes=settings.minutes,
        work=work,
        name="encoder",
    )
    return model


@torch.no_grad()
def text_features(encoder: Qwen3Model, ids: Tensor, layer: int = READ_LAYER) -> Tensor:
    """hidden_states[layer] of rows padded on the right: ids (n, L) -> (n, L, D). Causal, so padding changes nothing."""
    return encoder(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[layer]
