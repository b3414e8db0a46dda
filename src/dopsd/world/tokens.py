"""The miniature's tokenizer: one token a word, Qwen's chat template, and a fast way to the same ids for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from dopsd.world.captions import vocabulary
from dopsd.world.lexicon import LEXICON, PLACEHOLDER

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<unk>",
)
ROLES = ("user", "assistant", "system")
IMAGE_TOKENS = 16  # 64x64 pixels, patches of 8, merged 2x2
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = {w: i for i, w in enumerate((*SPECIAL, *ROLES, "\n", PLACEHOLDER, *vocabulary()))}  # the world's
ALL = {
    w: i for i, w in enumerate(dict.fromkeys((*VOCABULARY, *(n.word for n in LEXICON))))
}  # and the lexicon's: ids go on
PAD = VOCABULARY["<|endoftext|>"]
USER = tuple(VOCABULARY[w] for w in ("<|im_start|>", "user", "\n"))
ASSISTANT = tuple(VOCABULARY[w] for w in ("<|im_end|>", "\n", "<|im_start|>", "assistant", "\n"))
END = VOCABULARY["<|im_end|>"]
IMAGE = (
    VOCABULARY["<|vision_start|>"],
    *[VOCABULARY["<|image_pad|>"]] * IMAGE_TOKENS,
    VOCABULARY["<|vision_end|>"],
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer with Qwen's special tokens and chat template."""
    tokenizer = Tokenizer(models.WordLevel(ALL, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer.add_special_tokens([AddedToken(w, normalized=False) for w in SPECIAL])
    tokenizer.add_tokens([AddedToken(w, normalized=False) for w in ("\n", PLACEHOLDER)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        padding_side="right",
        model_max_length=512,
        chat_template=CHAT_TEMPLATE,
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
            "vision_bos_token": "<|vision_start|>",
            "vision_eos_token": "<|vision_end|>",
        },
    )


def words_to_ids(text: str) -> list[int]:
    """Ids of a text made of the world's words and the lexicon's names; KeyError on any other."""
    return [ALL[w] for w in text.split()]


def prompt_ids(prompt: str, image: bool = False, answer: str | None = None) -> list[int]:
    """The chat template applied to one user turn (image first, then the prompt), with the generation prompt; with
    `answer`, the assistant's turn up to its end mark too. Equal to the tokenizer's own result (a test compares)."""
    ids = [*USER, *(IMAGE if image else ()), *words_to_ids(prompt), *ASSISTANT]
    return ids if answer is None else [*ids, *words_to_ids(answer), END]


def pad(rows: Sequence[Sequence[int]], length: int | None = None) -> Tensor:
    """Pad rows of ids on the right: -> LongTensor (n, length); ValueError if a row is longer than `length`."""
    longest = max(map(len, rows))
    length = length or longest
    if longest > length:
        raise ValueError(f"a row of {longest} tokens does not fit in {length}")
    out = torch.full((len(rows), length), PAD)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.tensor(row)
    return out
