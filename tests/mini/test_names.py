import torch
from transformers import Qwen3Model

from dopsd.mini import names, pools, reading
from dopsd.mini.encoder import Identities, encoder_config
from dopsd.support.seeds import stream
from dopsd.world import tokens
from dopsd.world.lexicon import FREE
from dopsd.world.scenes import NAMES, index, sample_scenes


def encoder():
    torch.manual_seed(0)
    return Qwen3Model(encoder_config()).eval()


def test_a_prompt_moves_by_a_word_and_not_by_the_same_word():
    own, behind = names.moved(encoder(), ["thing", "star", FREE[0]])
    assert own[0] == behind[0] == 0 and own[1:].min() > 0.1 and behind[1:].min() > 0
    assert torch.allclose(names.apart(encoder(), FREE[:3]).diagonal(), torch.ones(3))


def test_identities_reward_states_that_say_which_name_it_is():
    torch.manual_seed(0)
    identities = Identities(128)
    ids = torch.tensor([tokens.words_to_ids(f"{FREE[0]} {FREE[3]} thing at")])
    alike = identities(torch.randn(1, 1, 128).expand(1, 4, 128), ids)
    told = identities(identities.directions[identities.slot[ids].clamp(min=0)], ids)
    assert told < 0.2 < 2 < alike
    without = identities(torch.randn(1, 4, 128), torch.tensor([tokens.words_to_ids("red star at left")]))
    assert without == 0


def test_what_texts_say():
    ids = tokens.pad([tokens.prompt_ids("a red star at left"), tokens.prompt_ids("")])
    said = reading.said(ids)
    assert said[0, NAMES.index("colour")] == index("colour", "red") and said[0, NAMES.index("shape")] == index(
        "shape", "star"
    )
    assert said[0, NAMES.index("style")] == 6 and said[1].tolist() == [10, 10, 4, 3, 3, 5, 4, 10, 6]  # "not said"


def test_readers_of_words_see_words_and_image_tokens_alone():
    row = tokens.prompt_ids("a [V]", image=True)
    ids = tokens.pad([row], len(row) + 2)
    assert reading.readable(ids, template=False).sum() == tokens.IMAGE_TOKENS + 2
    assert reading.readable(ids, template=True).sum() == len(row)


def test_an_answer_is_taken_off():
    ids = tokens.pad([tokens.prompt_ids("a star", image=True, answer="star red")], 40)
    assert torch.equal(pools.without_answer(ids), tokens.pad([tokens.prompt_ids("a star", image=True)], 40))


def test_a_panel_learns_to_read_text_and_its_loss_reaches_the_features():
    torch.manual_seed(0)
    scenes = sample_scenes(64, stream("panel"))
    states = torch.randn(64, len(NAMES), 128)
    table = torch.nn.functional.one_hot(scenes.attributes, 128).float() * 6
    states = states * 0.1 + table
    ids = torch.full((64, len(NAMES)), tokens.VOCABULARY["red"])
    panel = reading.Panel(128)
    optimizer = torch.optim.Adam(panel.parameters(), 3e-3)
    first = panel.loss(states, ids, scenes.attributes).item()
    for _ in range(15):
        loss = panel.loss(states, ids, scenes.attributes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.8 * first
    assert panel.right(states, ids, scenes.attributes).shape == (6, 64, 9)
    features = states.clone().requires_grad_()
    panel.loss(features, ids, scenes.attributes).backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
