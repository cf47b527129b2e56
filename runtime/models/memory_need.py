"""Estimates how much memory a model needs, and which context fits.

    need = memory_need(shape, n_ctx=8192, ...)          shape: shape_of(header)
    n_ctx = largest_context(shape, room_bytes=..., n_ctx_limit=...)

The estimate uses the header alone; the engine is not loaded. Its parts:

- weights: the tensors' bytes. A mapped file's pages may be dropped and read again, but a model that
  does not stay in memory is too slow to serve.
- keys and values: F16, for each layer its KV heads × (key + value length) × context; as many times
  as there are slots (responses at a time). Sliding windows
  count as the whole context, which is what the engine's cache takes by default. A layer of a hybrid
  model counts as attention unless its number of KV heads says 0; the states of recurrent layers are
  added.
- compute buffers: the largest of the logits, the attention scores and the feed-forward layer of one
  batch, and the buffers beside them. This is the roughest part: the engine's graph allocator decides.
- process: Python, the server and llama.cpp without a model, as measured.
- saved prompts: LLAMA_SERVER_CACHE_BYTES, which are filled while users take turns.

All functions are pure. `runtime/machine/memory.py` reads the free memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.models.gguf_header import Header

MICRO_BATCH_TOKENS = 512
"""The most tokens of a prompt that llama.cpp computes at a time (n_ubatch of llama_cpp.Llama)."""
CONTEXT_STEP = 256
"""The engine rounds a context up to a multiple of it."""
PROCESS_BYTES = 150 * 2**20
"""The model server without a model."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers of a model that determine its memory."""

    weights_bytes: int
    context_length: int
    """Trained context in tokens; 0 if the file does not say."""
    vocabulary: int
    heads: int
    width: int
    feed_forward: int
    kv_bytes_per_token: int
    state_bytes: int
    """States of recurrent layers, independent of the context."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """The memory that a model needs, by purpose, in bytes."""

    weights: int
    keys_and_values: int
    compute: int
    process: int
    saved_prompts: int

    @property
    def total_bytes(self) -> int:
        return self.on_device_bytes + self.process + self.saved_prompts

    @property
    def on_device_bytes(self) -> int:
        """The part on the GPU if it has all layers. The rest stays in the machine's memory."""
        return self.weights + self.keys_and_values + self.compute


def shape_of(*headers: Header) -> Shape:
    """The shape of a model from its header, or from the headers of its parts in order."""
    fields = headers[0].fields
    architecture = str(fields.get("general.architecture", ""))

    def numbers(name: str, default: int = 0) -> list[int]:
        """A field that has one value for all layers, or one for each."""
        value = fields.get(f"{architecture}.{name}", default)
        values = value if isinstance(value, tuple) else (value,)
        return [max(0, one) for one in values if isinstance(one, int)] or [default]

    def number(name: str, default: int = 0) -> int:
        return max(numbers(name, default))

    layers = min(number("block_count"), 2**16)
    width, heads = number("embedding_length"), number("attention.head_count")
    head_length = width // heads if heads else 0
    kv_heads = numbers("attention.head_count_kv", heads)
    kv_heads = kv_heads * layers if len(kv_heads) == 1 else kv_heads
    length = number("attention.key_length", head_length) + number("attention.value_length", head_length)
    inner, kernel = number("ssm.inner_size"), number("ssm.conv_kernel")
    groups, state = number("ssm.group_count"), number("ssm.state_size")
    per_state = max(kernel - 1, 0) * (inner + 2 * groups * state) + inner * state
    return Shape(
        weights_bytes=sum(header.file_bytes for header in headers),
        context_length=number("context_length"),
        vocabulary=headers[0].lengths.get("tokenizer.ggml.tokens", number("vocab_size")),
        heads=heads,
        width=width,
        feed_forward=number("feed_forward_length"),
        kv_bytes_per_token=2 * length * sum(kv_heads),
        state_bytes=4 * per_state * layers,
    )


def memory_need(
    shape: Shape,
    *,
    n_ctx: int,
    n_slots: int = 1,
    n_batch: int = MICRO_BATCH_TOKENS,
    flash_attn: bool = False,
    cache_bytes: int = 0,
) -> Need:
    """The memory for serving a model.

    Args:
        shape: of the model.
        n_ctx: tokens, of each slot; 0 is the trained context, as for the engine.
        n_slots: responses at a time.
        n_batch: tokens of a prompt at a time.
        flash_attn: the attention scores are not held.
        cache_bytes: the bound of saved prompts.
    """
    n_ctx = -(-(n_ctx or shape.context_length) // CONTEXT_STEP) * CONTEXT_STEP
    tokens = min(n_batch, MICRO_BATCH_TOKENS, max(n_ctx, 1))
    scores = 0 if flash_attn else shape.heads * n_ctx
    # In floats for each token of a batch; the mask (one for each place of the context) and the
    # residual stream are there beside the largest.
    largest = max(shape.vocabulary, scores, 3 * shape.feed_forward, 4 * shape.width)
    beside = n_ctx + 4 * shape.width
    return Need(
        weights=shape.weights_bytes,
        keys_and_values=n_slots * (shape.kv_bytes_per_token * n_ctx + shape.state_bytes),
        compute=4 * tokens * (largest + beside),
        process=PROCESS_BYTES,
        saved_prompts=cache_bytes,
    )


def embedding_need(shape: Shape, *, n_ctx: int) -> Need:
    """The memory for a model that embeds or reranks.

    All tokens of a batch are computed in one piece. A model that could generate, one with keys and
    values, also computes the logits of each, and llama.cpp keeps a copy.

    Args:
        shape: of the model.
        n_ctx: the most tokens of an input; 0 is the trained context.
    """
    tokens = max(n_ctx or shape.context_length, MICRO_BATCH_TOKENS)
    logits = shape.vocabulary if shape.kv_bytes_per_token else 0
    largest = max(logits, 3 * shape.feed_forward, 4 * shape.width)
    return Need(
        weights=shape.weights_bytes,
        keys_and_values=shape.kv_bytes_per_token * tokens + shape.state_bytes,
        compute=4 * tokens * (largest + logits + tokens + 4 * shape.width),
        process=PROCESS_BYTES,
        saved_prompts=0,
    )


def largest_context(
    shape: Shape,
    *,
    room_bytes: int,
    n_ctx_limit: int,
    n_slots: int = 1,
    n_batch: int = MICRO_BATCH_TOKENS,
    flash_attn: bool = False,
    cache_bytes: int = 0,
) -> int:
    """The most tokens of context, of each slot, with which the model fits into `room_bytes`; 0 for none.

    At most the model's own context (if its file says) and `n_ctx_limit`; else a multiple of
    CONTEXT_STEP. The other arguments are `memory_need`'s.
    """
    limit = min(n_ctx_limit, shape.context_length or n_ctx_limit)

    def fits(n_ctx: int) -> bool:
        need = memory_need(
            shape,
            n_ctx=n_ctx,
            n_slots=n_slots,
            n_batch=n_batch,
            flash_attn=flash_attn,
            cache_bytes=cache_bytes,
        )
        return need.total_bytes <= room_bytes

    if limit > 0 and fits(limit):
        return limit
    low, high = 0, limit // CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * CONTEXT_STEP) else (low, middle - 1)
    return low * CONTEXT_STEP
