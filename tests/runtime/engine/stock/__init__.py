"""The stock llama_cpp.server's defects; a test that fails tells that a guard is no longer needed."""
