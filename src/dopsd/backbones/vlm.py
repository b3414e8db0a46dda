"""A vision-language model that is asked in words: it writes captions and prompts, and judges pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image
from transformers import AutoProcessor, BatchFeature, Qwen3VLForConditionalGeneration

from dopsd.backbones.hub import load_part
from dopsd.backbones.pipeline import device
from dopsd.config.backbone import Model

DESCRIBE = (
    "Describe this picture in one sentence, as a prompt that an image generator could draw it from. Call the main subject "
    "[V] and do not describe the subject itself; say where it is, what it does, and the light."
)


def user_turn(processor: Any, pictures: Sequence[Image], text: str) -> BatchFeature:
    """One user turn, the pictures first, no system prompt, and the start of the answer, as a VLM's processor makes it."""
    parts = [{"type": "image", "image": p.convert("RGB")} for p in pictures] + [{"type": "text", "text": text}]
    return processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )


class Vlm:
    """A Qwen3-VL with its own weights. source: a folder or a hub name; max_pixels: of each picture that it sees."""

    def __init__(self, source: str, revision: str | None, where: torch.device, dtype: torch.dtype, max_pixels: int):
        model = load_part(Qwen3VLForConditionalGeneration, source, revision, "VLM", dtype=dtype)
        self.model = model.eval().requires_grad_(False).to(where)
        self.processor = load_part(AutoProcessor, source, revision, "VLM's processor")
        smallest = min(self.processor.image_processor.size["shortest_edge"], max_pixels)
        self.processor.image_processor.size = {"shortest_edge": smallest, "longest_edge": max_pixels}
        self.device = where

    @classmethod
    def beside(cls, backbone: Model, source: str, revision: str | None = None) -> Vlm:
        """On the device and in the type of a section `backbone`, with pictures of the size that its teacher sees."""
        pixels = getattr(backbone, "max_pixels", 768 * 768)
        return cls(source, revision, device(backbone.device), getattr(torch, backbone.dtype), pixels)

    def _inputs(self, pictures: Sequence[Image], question: str) -> BatchFeature:
        return user_turn(self.processor, pictures, question).to(self.device)

    @torch.no_grad()
    def ask(self, pictures: Sequence[Image], question: str, tokens: int = 128) -> str:
        """The greedy answer to a question about pictures, of at most so many tokens."""
        inputs = self._inputs(pictures, question)
        out = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        said = out[0, inputs["input_ids"].shape[1] :]
        return self.processor.tokenizer.decode(said, skip_special_tokens=True).strip()

    @torch.no_grad()
    def choose(self, pictures: Sequence[Image], question: str, letters: Sequence[str]) -> int:
        """Which of some letters the answer would most likely begin with: an index."""
        first = [self.processor.tokenizer(letter, add_special_tokens=False).input_ids[0] for letter in letters]
        logits = self.model(**self._inputs(pictures, question), use_cache=False, logits_to_keep=1).logits[0, -1]
        return int(logits[first].argmax())
