from types import SimpleNamespace

import pytest

from dopsd.evaluation.drawing import check_words
from dopsd.support.errors import UserError


def tokenizer(unknown):
    class Words:
        unk_token_id = unknown

        def __call__(self, word):
            return SimpleNamespace(input_ids=[1 if word == "star" else 0])

        def get_vocab(self):
            return {"star": 1, "<unk>": 0}

    return Words()


def test_unknown_words_are_named_with_the_known_ones():
    check_words(tokenizer(0), "star star")
    with pytest.raises(UserError, match=r"no word for corgi, beach; it knows: star$"):
        check_words(tokenizer(0), "corgi star beach")


def test_a_tokenizer_without_an_unknown_token_takes_every_word():
    check_words(tokenizer(None), "corgi")
