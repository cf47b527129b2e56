"""Lists models for people and downloads them: `./console.sh models`, `pull`, and the check of `use`.

Owns the client of the Hugging Face hub, the choice among a repository's files, and the verdict whether a
model fits into memory. Leaves what a model file is to runtime/models/, and the engine's settings to
runtime/engine/. Front doors: `listing`, `pull` and `model_fit`.
"""
