"""The room of embeddings and reranking: texts to vectors, pairs of texts to scores.

Owns the models for it, their contexts and threads, and how inputs of several requests share a batch.
Leaves generation to `generation` and HTTP to `http`. Front door: `service.Embeddings`.
"""
