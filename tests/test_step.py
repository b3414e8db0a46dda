"""The benchmark of a step: the sizes that it times, what it gives a model to read, and that its forms are one method."""

import json

import pytest
import torch
from typer.testing import CliRunner

from dopsd import backbones

CPU = torch.device("cpu")
WEIGHTS = {"zimage": 6154908736, "klein-4b": 3875544576, "klein-9b": 9078581248, "krea": 12820073036}


@pytest.fixture
def opened(benchmark, tmp_path):
    """A tiny model of random weights, as the benchmark writes and opens it."""
    step = benchmark("step")

    def open_it(model: str):
        path = step.random_model(model, tmp_path, CPU, torch.float32)
        return step, backbones.load(step.preset_of(model, path, [], 4, "float32").backbone)

    return open_it


@pytest.mark.parametrize(("model", "weights"), WEIGHTS.items())
def test_a_model_is_of_its_real_size_and_fits_the_real_autoencoder(benchmark, model, weights):
    step = benchmark("step")
    preset, config = step.MODELS[model]
    with torch.device("meta"):
        made = step.kind(step.load_preset(preset).backbone).transformer_class(**config)
        latents = step.vae(model, small=False).config
    assert sum(p.numel() for p in made.parameters()) == weights
    channels = latents.get("latent_channels") or latents["z_dim"]
    assert made.config.in_channels == channels * {"zimage": 1}.get(model, 4)  # the others read patches of 2 x 2


@pytest.mark.parametrize(
    ("model", "shapes"),
    [  # (tokens, width) of student and teacher, and the teacher's reference
        ("tiny-zimage", ((5, 64), (7, 64), [])),
        ("tiny-klein", ((512, 192), (512, 192), [(128, 4, 4)])),
        ("tiny-krea", ((5, 3 * 64), (7, 3 * 64), [])),
    ],
)
def test_a_model_is_given_what_it_reads(opened, model, shapes):
    step, built = opened(model)
    batch = step.inputs(built, 64, 5, 7)
    (student,), (teacher,) = batch.student_context, batch.teacher_context
    found = (student.features.shape, teacher.features.shape, [tuple(r.shape) for r in teacher.references])
    assert found == shapes and not student.references
    for context in (batch.student_context, batch.teacher_context):
        assert built.velocity(batch.noise, batch.times, context).isfinite().all()
    assert batch.noise.shape[1:] == built.latent_shape(64, 64)


@pytest.mark.parametrize(
    ("model", "language_models"), [("tiny-zimage", 2), ("tiny-klein", 1), ("tiny-krea", 1), ("klein-9b", 1)]
)
def test_the_reference_runs_its_encoders_on_what_both_read(opened, benchmark, model, language_models):
    step = benchmark("step")
    if not model.startswith("tiny"):
        encoders = step.Encoders(model, torch.device("meta"), torch.bfloat16)
        assert 3 * encoders.models[0].config.hidden_size == step.MODELS[model][1]["joint_attention_dim"]
        return
    encoders, (_, built) = step.Encoders(model, CPU, torch.float32), opened(model)
    assert len(set(map(id, encoders.models))) == language_models
    read, seen = [], []
    for language in set(encoders.models):
        language.register_forward_hook(lambda _, a, k, out: read.append(k["input_ids"].shape[1]), with_kwargs=True)
    encoders.vae.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    batch = step.inputs(built, 64, 5, 7)
    encoders.run(64, batch)
    assert read == [len(batch.student_context[0].features), len(batch.teacher_context[0].features)]
    assert [(s[-2], s[-1]) for s in seen] == [(64, 64)]


@pytest.mark.parametrize("model", ["tiny-zimage", "tiny-klein", "tiny-krea"])
def test_all_forms_take_the_same_steps(benchmark, tmp_path, model):
    step, out = benchmark("step"), tmp_path / "step.json"
    forms = ["reference", "dopsd", "dopsd+checkpointed", "dopsd+merged", "sft"]
    refused = {"dopsd+nf4": "needs a CUDA GPU", "dopsd+int8+merged": "needs backbone.quantize none or fp8"}
    given = ["--model", model, "--size", "64", "--rank", "4", "--rounds", "1", "--text", "5", "--seen", "7"]
    given += [x for form in (*refused, *forms) for x in ("--form", form)]
    run = benchmark("typer").Typer()
    run.command()(step.main)
    said = CliRunner().invoke(run, [*given, "--out", str(out), "--models", str(tmp_path)])
    assert said.exit_code == 0, said.output
    for form, why in refused.items():
        (line,) = (x for x in said.output.splitlines() if x.startswith(f"{form}: "))
        assert why in line or "is missing" in line  # without the library
    told = json.loads(out.read_text())
    assert [r["form"] for r in told["rows"]] == forms and told["forward_flops"] > 0
    assert all(r["tokens"] == ([512, 512] if model == "tiny-klein" else [5, 7]) for r in told["rows"])
    losses = {r["form"]: r["losses"] for r in told["rows"]}
    for form in forms[:-1]:
        assert losses[form] == pytest.approx(losses["dopsd"], rel=1e-4), form
    assert losses["dopsd"][0] > losses["dopsd"][-1] > 0 and len(losses["dopsd"]) == 3
    lines = said.output.splitlines()
    assert sum(x.startswith("| dopsd, merged |") for x in lines) == 2  # when it is done, and in the table
