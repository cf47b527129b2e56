"""The room of the API's dialect: what requests may ask (OpenAI's fields and llama_cpp.server's), what is
generated for them, and what responses look like.

Knows no sockets and no llama_context. Front door: `preparation.Preparation`, from a body to `Prepared`.
"""
