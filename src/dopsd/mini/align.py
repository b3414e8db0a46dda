"""Alignment: the vision tower learns to be read by the frozen language model.

[image + prompt] must make the frozen model say the canonical description (`loss_answer`), and, where `word_weight` is
above 0, the image tokens must be word-like at the layer that the generator reads (`loss_words`, `loss_values`); where
`reading_weight` is above 0, readers that were trained on text must read the picture's words there (`mini/reading.py`). The
language model's weights never move, and no generator takes part.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3VLForConditionalGeneration

from dopsd.config.recipe import Align
from dopsd.mini import loop, pools, reading
from dopsd.mini.encoder import READ_LAYER, answer_loss
from dopsd.mini.observers import augment
from dopsd.mini.vision import multimodal_states
from dopsd.world import tokens
from dopsd.world.lexicon import sample_named
from dopsd.world.scenes import ATTRIBUTES, NAMES, visible

LENGTH = 64  # tokens: 3 + 18 + at most 22 + 5 + 10 fit with room
SHARPNESS = 30.0  # inverse temperature of the cosines in `loss_values`


def attribute_of_token() -> Tensor:
    """For each token id, the index of the attribute that it is a value of, or -1: LongTensor (vocabulary,)."""
    table = torch.full((len(tokens.ALL),), -1)
    for i, a in enumerate(NAMES):
        for word in ATTRIBUTES[a]:
            table[tokens.VOCABULARY[word]] = i
    return table


def tags_row(words: dict[str, str], rng: random.Random) -> list[int]:
    """All nine words in a random order, as a prompt."""
    values = list(words.values())
    rng.shuffle(values)
    return tokens.prompt_ids(" ".join(values))


def loss_words(image: Tensor, text: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine from each wanted word's state to its nearest image token, and from each image token to its nearest word.

    image (n, 16, D), text (n, L, D): hidden states at the read layer; wanted (n, L): words that the picture shows.
    """
    cosine = F.normalize(text.float(), dim=-1) @ F.normalize(image.float(), dim=-1).transpose(1, 2)  # (n, L, 16)
    words = ((1 - cosine.amax(2)) * wanted).sum() / wanted.sum()  # no indexing by a mask: it would wait for the device
    images = 1 - cosine.masked_fill(~wanted[:, :, None], -1).amax(1)
    return words + 0.5 * images.mean()


@torch.no_grad()
def word_prototypes(language: nn.Module, rows: Tensor) -> Tensor:
    """The mean direction of every word's state at the read layer over many texts: rows (n, L) -> (vocabulary, D)."""
    states = language(input_ids=rows, output_hidden_states=True, use_cache=False).hidden_states[READ_LAYER]
    states = F.normalize(states.float(), dim=-1).flatten(0, 1)
    total = torch.zeros(len(tokens.ALL), states.shape[1], device=rows.device)
    return F.normalize(total.index_add_(0, rows.flatten(), states), dim=-1)


def loss_values(image: Tensor, prototypes: Tensor, attributes: Tensor) -> Tensor:
    """Cross-entropy over the values of each attribute that can be seen: a value's logit is the largest cosine of an image
    token with that word's prototype. States of words of one kind lie close together, so that being near is not enough:
    the right word must be nearer than its siblings.

    image (n, 16, D); prototypes (vocabulary, D); attributes (n, 9).
    """
    cosine = F.normalize(image.float(), dim=-1) @ prototypes.T  # (n, 16, vocabulary)
    best, losses = SHARPNESS * cosine.amax(1), []
    target = torch.where(visible(attributes), attributes, -100)
    for i, a in enumerate(NAMES):
        first = tokens.VOCABULARY[ATTRIBUTES[a][0]]  # the values of an attribute stand side by side in the vocabulary
        losses.append(F.cross_entropy(best[:, first : first + len(ATTRIBUTES[a])], target[:, i], ignore_index=-100))
    return torch.stack(losses).mean()


def train_align(
    vlm: Qwen3VLForConditionalGeneration, settings: Align, seed: int, work: Path, name: str = "align"
) -> None:
    """Train `vlm.model.visual` in place."""
    torch.manual_seed(seed)
    where = loop.device()
    vlm = loop.placed(vlm, where)
    scenes = sample_named(settings.scenes, loop.generator(seed))
    images = pools.render_pool(scenes, where)
    answers = [pools.token_pool(scenes, pools.image_answer_row, LENGTH, seed + i).to(where) for i in range(3)]
    tags = pools.token_pool(scenes, tags_row, 32, seed).to(where)
    attributes = scenes.attributes.to(where)
    table = attribute_of_token().to(where)
    draw = loop.batches(len(scenes), settings.batch_size, seed)
    language = vlm.model.language_model
    block = slice(len(tokens.USER) + 1, len(tokens.USER) + 1 + tokens.IMAGE_TOKENS)
    prototypes = word_prototypes(language, tags[:8192].long())
    panel = None
    if settings.reading_weight:
        panel = reading.train_panel(language, settings.panel_steps, settings.batch_size, seed, work, f"{name}_panel")

    def loss_fn(step: int) -> Tensor:
        rows = next(draw).to(where)
        ids = answers[step % len(answers)][rows].long()
        with loop.autocast(where):
            states = multimodal_states(vlm, augment(pools.pixels(images[rows])), ids)
            logits = vlm.lm_head(states[-1])
        loss = answer_loss(logits, ids)
        if settings.word_weight:
            text_ids = tags[rows].long()
            with torch.no_grad(), loop.autocast(where):
                text = language(input_ids=text_ids, output_hidden_states=True, use_cache=False)
            which = table[text_ids]
            seen = visible(attributes[rows]).gather(1, which.clamp(min=0))
            term = loss_words(states[READ_LAYER][:, block], text.hidden_states[READ_LAYER], seen & (which >= 0))
            image = states[READ_LAYER][:, block]
            loss = loss + settings.word_weight * (term + loss_values(image, prototypes, attributes[rows]))
        if panel is not None and step >= settings.reading_after:
            target = reading.seen(attributes[rows])
            prompt = pools.without_answer(ids)
            with loop.autocast(where):
                loss = loss + settings.reading_weight * panel.loss(states[READ_LAYER], prompt, target)
        return loss

    parameters = [p for p in vlm.model.visual.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    loop.fit(
        loss_fn,
        {"visual": vlm.model.visual},
        optimizer,
        steps=settings.steps,
        minutes=settings.minutes,
        work=work,
        name=name,
    )


@torch.no_grad()
def named(vlm: Qwen3VLForConditionalGeneration, images: Tensor, prompt: str = "a [V]") -> Tensor:
    """What the frozen language model names of images (n, 3, 64, 64) from [image + prompt], greedily word by word.

    -> LongTensor (n, 9): the value of each attribute in the order of the canonical description, -1 for another word.
    """
    ids = tokens.pad([tokens.prompt_ids(prompt, image=True)] * len(images)).to(images.device)
    for _ in NAMES:
        logits = vlm.lm_head(multimodal_states(vlm, images, ids)[-1][:, -1:])
        ids = torch.cat([ids, logits.argmax(-1)], 1)
    said = ids[:, -len(NAMES) :]
    out = torch.full_like(said, -1)
    for i, a in enumerate(NAMES):
        for value, word in enumerate(ATTRIBUTES[a]):
            out[:, i] = torch.where(said[:, i] == tokens.VOCABULARY[word], value, out[:, i])
    return out
