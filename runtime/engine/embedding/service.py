"""The models of a server that embed or rerank, and the requests to them: from a body to a `Job` and its
response.

`Embeddings.embedding` and `.reranking` may take long and belong in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.engine import errors
from runtime.engine.api.body import parse
from runtime.engine.embedding import responses
from runtime.engine.embedding.embedder import Embedder
from runtime.engine.embedding.inputs import Inputs
from runtime.engine.embedding.job import Job, Vectors
from runtime.engine.embedding.model import EmbeddingModel
from runtime.engine.embedding.requests import EmbeddingRequest, RerankRequest
from runtime.engine.embedding.threads import BatchThreads
from runtime.engine.metrics import Metrics
from runtime.engine.settings import EmbedderSettings, EngineSettings
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.progress import Progress
from runtime.machine.load import OtherLoad

MAX_NUMBERS = 2**21
"""Numbers that a response may have; some 12 bytes each."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that has passed all checks, submitted or not."""

    job: Job
    embedder: Embedder
    respond: Callable[[Vectors], dict[str, Any]]
    """Makes the response from the job's rows."""


class Served:
    """One loaded model with its thread. `is_generating` tells whether a response is generated beside it.

    Raises:
        ValueError: on creation, the model cannot be loaded.
    """

    def __init__(
        self, settings: EmbedderSettings, metrics: Metrics, is_generating: Callable[[], bool]
    ) -> None:
        self.settings = settings
        self.progress = Progress()
        self.model = EmbeddingModel(settings)
        self.inputs = Inputs(self.model)
        threads = BatchThreads(
            most=settings.n_threads, is_generating=is_generating, other_cores=OtherLoad().cores
        )
        self.embedder = Embedder(
            self.model,
            metrics=metrics,
            progress=self.progress,
            is_beside=settings.is_beside,
            threads=threads.number if settings.adjusts_threads else lambda: settings.n_threads,
        )
        self.embedder.start()

    @property
    def names(self) -> tuple[str, str]:
        """By which requests may call it."""
        return self.settings.alias, self.settings.alias.removesuffix(".gguf")


class Embeddings:
    """All models of a server that embed or rerank; possibly none."""

    def __init__(self, served: Sequence[Served], settings: EngineSettings) -> None:
        self.served = served
        self._settings = settings

    @property
    def n_ctx(self) -> int:
        """The longest context of them; 0 if there are none."""
        return max((served.model.n_ctx for served in self.served), default=0)

    def embedding(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/embeddings.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request, _ = parse(EmbeddingRequest, body)
        served = self._chosen(request.model, ranks=False)
        width = served.model.width
        dimensions = request.dimensions
        if dimensions is not None and dimensions > width:
            raise errors.invalid("dimensions", f"dimensions: this model's vectors have {width} numbers.")
        if len(request.input) * (dimensions or width) > MAX_NUMBERS:
            most = MAX_NUMBERS // (dimensions or width)
            raise errors.invalid(
                "input", f"input: at most {most} with vectors of this length; send several requests."
            )
        job = Job(inputs=served.inputs.of_texts(request.input), seconds=self._settings.request_s)
        as_base64 = request.encoding_format == "base64"

        def respond(rows: Vectors) -> dict[str, Any]:
            vectors = responses.normalised(rows, dimensions)
            return responses.embeddings(
                served.settings.alias, vectors, as_base64=as_base64, n_tokens=job.n_tokens
            )

        return Prepared(job=job, embedder=served.embedder, respond=respond)

    def reranking(self, body: bytes) -> Prepared:
        """Prepare a request to /v1/rerank.

        Raises:
            Refusal: the request cannot be answered; says why.
        """
        request, _ = parse(RerankRequest, body)
        served = self._chosen(request.model, ranks=True)
        inputs = served.inputs.of_pairs(request.query, request.documents)
        job = Job(inputs=inputs, seconds=self._settings.request_s)

        def respond(rows: Vectors) -> dict[str, Any]:
            return responses.ranking(
                served.settings.alias,
                responses.scores(rows, is_raw=request.raw_scores),
                request.documents,
                top_n=request.top_n,
                with_documents=request.return_documents,
                n_tokens=job.n_tokens,
            )

        return Prepared(job=job, embedder=served.embedder, respond=respond)

    def stop(self) -> None:
        """End all jobs, present and future. A signal's handler may call it."""
        for served in self.served:
            served.embedder.stop()

    def vocabulary_of(self, name: str | None) -> Vocabulary | None:
        """The vocabulary of the model of this name; None if it is none of these."""
        found = (served for served in self.served if name in served.names)
        return next((served.model.vocabulary for served in found), None)

    def _chosen(self, name: str | None, *, ranks: bool) -> Served:
        """The model for a request that names one, or none.

        Raises:
            Refusal: there is none for it, or the name is another model's.
        """
        fitting = [served for served in self.served if served.model.ranks == ranks]
        if not fitting:
            raise errors.cannot_rerank() if ranks else errors.cannot_embed()
        if not name or self._settings.any_model:
            return fitting[0]
        for served in fitting:
            if name in served.names:
                return served
        raise errors.model_not_found(fitting[0].settings.alias)
