"""Reads facts about this machine: free memory, usable cores, ports.

Owns the ways to ask Linux, macOS, control groups and nvidia-smi. Leaves the decisions that follow from
the facts to others (runtime/engine/tuning.py, runtime/library/model_fit.py). No front door: each module
answers one question.
"""
