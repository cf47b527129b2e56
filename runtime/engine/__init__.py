"""The model server: llama_cpp.server's own app, with our settings and guards round it."""
