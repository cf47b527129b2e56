"""How the replicas are deployed: how many, on what, and how many requests each gets.

Leaves Ray's processes to `node` and what a replica does to `replica`.
"""

from __future__ import annotations

from typing import Any

from runtime.config import Config
from runtime.engine.settings import EngineSettings

HTTP_HOST = "127.0.0.1"
"""The proxy runs on the head, so nothing else has to reach the engines' API."""
CHEAP_AT_A_TIME = 40
"""Requests that a replica takes beside those that generate: lists of models, tokenizing, /health."""
BUSY_SHARE = 0.6
"""The part of its slots from which on a replica is busy, and another is wanted. The proxy never sends
more than all slots, so a share of 1 would never ask for one."""
SCALE_UP_S = 10.0
HEALTH_EVERY_S = 5.0


def options(config: Config, settings: EngineSettings) -> dict[str, Any]:
    """The options of Ray Serve's deployment. `settings`: those of the engine on this machine."""
    fewest = config.integer("LLAMA_CLUSTER_MIN_REPLICAS")
    return {
        "max_ongoing_requests": settings.n_slots + CHEAP_AT_A_TIME,
        "ray_actor_options": {
            "num_cpus": settings.n_threads,
            "num_gpus": config.integer("LLAMA_CLUSTER_GPUS"),
        },
        "autoscaling_config": {
            "min_replicas": fewest,
            "max_replicas": max(fewest, config.integer("LLAMA_CLUSTER_MAX_REPLICAS")),
            "target_ongoing_requests": settings.n_slots * BUSY_SHARE,
            "upscale_delay_s": SCALE_UP_S,
            "downscale_delay_s": config.number("LLAMA_CLUSTER_SCALE_DOWN_SECONDS"),
        },
        "health_check_period_s": HEALTH_EVERY_S,
        # A replica that is given up finishes its responses first.
        "graceful_shutdown_timeout_s": settings.request_s,
    }


def deploy(config: Config, settings: EngineSettings, address: str) -> None:
    """Deploy the replicas in the cluster at `address`; returns when the first can answer.

    Raises:
        RuntimeError: Ray Serve could not start them; its text says why.
    """
    import ray  # noqa: PLC0415 - seconds, and only here
    from ray import serve  # noqa: PLC0415

    from runtime.cluster.replica import APPLICATION, DEPLOYMENT, Replica  # noqa: PLC0415

    ray.init(address=address, log_to_driver=False, logging_level="WARNING")
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": HTTP_HOST, "port": config.integer("LLAMA_CLUSTER_HTTP_PORT")},
    )
    deployment = serve.deployment(Replica).options(name=DEPLOYMENT, **options(config, settings))
    serve.run(deployment.bind(), name=APPLICATION, route_prefix="/")
