"""Users' files: `/v1/files`, as OpenAI has it (https://platform.openai.com/docs/api-reference/files).

Owns uploads (`uploads`, `form`), the directory that they are in (`directory`), their rows (`table`), and
their contents as responses (`contents`). The content of an uploaded file is on disk; that of a file with
results is made of the lines of `llama_batch_items`. Leaves to `batches` what is done with a file.

Front door: `api.Files`.
"""
