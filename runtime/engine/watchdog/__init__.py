"""The room that notices when nothing goes on: progress, the end of a stuck process, llama.cpp's log, and
the switch that breaks a step off.

Front door: `progress.Progress` and `progress.Watchdog`, `abort.AbortSwitch`, `llama_log.LlamaLog`.
"""
