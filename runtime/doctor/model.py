"""Checks of the models, and the settings with which the engine serves the chosen one."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.config import Config
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning
from runtime.engine import tuning
from runtime.engine.tuning import Choice
from runtime.library import model_fit
from runtime.library.model_fit import gigabytes
from runtime.models import embedding_models, projectors, selection
from runtime.models.selection import Model, ModelError


def files(checkout: Installation) -> Iterator[Finding]:
    """No file in models/ is damaged."""
    found, broken = selection.find_models(checkout.root / "models")
    for line in broken:
        yield warning(line, "remove it, or download it again")
    if not broken:
        yield ok(f"{len(found)} in models/, none damaged")


def chosen(checkout: Installation) -> Iterator[Finding]:
    """There is a model to serve, it fits into memory, and these are its settings."""
    config = checkout.known
    if not config.uses_local_server:
        yield ok(f"another engine is used: {', '.join(config.backend_urls)}")
        return
    pid = checkout.programs.get("server", 0)
    try:
        model = selection.select(config, last_used_first=bool(pid))
    except ModelError as error:
        yield problem(" ".join(error.what.split()), " ".join(error.remedy.split()))
        return
    yield ok(f"{'serving' if pid else 'the next start serves'} {model.path}")
    if model.pooling is not None:
        yield note(f"{model.id} embeds or reranks, and does not generate", "./console.sh use MODEL")
    elif not model.has_chat_template and not config.text("LLAMA_SERVER_CHAT_FORMAT"):
        yield warning("the model's file has no chat template", "set LLAMA_SERVER_CHAT_FORMAT")
    yield from _beside(checkout)
    yield from _projector(config)
    yield from _settings(checkout, model, pid)


def _beside(checkout: Installation) -> Iterator[Finding]:
    """The models that embed or rerank beside the one that is served can be read."""
    config = checkout.known
    try:
        models = embedding_models.beside(config)
    except ModelError as error:
        yield problem(" ".join(error.what.split()), " ".join(error.remedy.split()))
        return
    for model in models:
        need = tuning.embedding_bytes(config, [model])
        work = "reranks" if model.pooling == "rank" else "embeds"
        yield ok(f"{model.id} {work} beside it, with about {gigabytes(need)} of memory")


def _projector(config: Config) -> Iterator[Finding]:
    """The projector can be read, and there is a library for it."""
    try:
        path = projectors.chosen(config)
    except ModelError as error:
        yield problem(" ".join(error.what.split()), " ".join(error.remedy.split()))
        return
    if path is None:
        return
    if not tuning.has_image_library():
        what, _, remedy = tuning.NO_IMAGE_LIBRARY.partition(". ")
        yield problem(f"{path.name}: {what}", remedy)
        return
    yield ok(f"images are read with {path.name}, {gigabytes(projectors.file_bytes(config))}")


def _settings(checkout: Installation, model: Model, pid: int) -> Iterator[Finding]:
    config = checkout.known
    room = model_fit.room(config, freed_by=pid)
    room_bytes = tuning.room_bytes(config, room.memory, room.gpu)
    for name, choice in _choices(config, model, room_bytes):
        yield ok(f"{name}: {choice.value} ({choice.why})")
    yield ok(f"batch: {config.integer('LLAMA_SERVER_N_BATCH')} tokens (LLAMA_SERVER_N_BATCH)")
    fit = model_fit.fit(config, model, room)
    text = (
        f"memory: about {gigabytes(fit.need.total_bytes)} needed (weights {gigabytes(fit.need.weights)},"
        f" context {gigabytes(fit.need.keys_and_values)}, saved prompts up to "
        f"{gigabytes(fit.need.saved_prompts)}), {gigabytes(room.memory)} available"
    )
    if reason := model_fit.problem(config, model, room):
        shortage, _, remedy = reason.rpartition(": ")
        yield warning(shortage, remedy)
    elif fit.verdict == "tight":
        yield note(text, "a smaller LLAMA_SERVER_CACHE_BYTES leaves more memory")
    else:
        yield ok(text)


def _choices(config: Config, model: Model, room_bytes: int) -> list[tuple[str, Choice]]:
    gpu_layers = ("GPU layers", tuning.gpu_layers(config))
    if model.pooling is not None:
        return [
            ("longest input", tuning.embedding_context(config, model)),
            ("threads", tuning.embedding_threads(config)),
            gpu_layers,
        ]
    return [
        ("slots", tuning.slots(config, model, room_bytes)),
        ("context", tuning.context(config, model, room_bytes)),
        ("threads", tuning.threads(config)),
        ("threads for prompts", tuning.threads_batch(config)),
        gpu_layers,
    ]
