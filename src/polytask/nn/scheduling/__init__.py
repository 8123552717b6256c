"""Periodic schedules of quantum networks: pairs, protocols on qubits, tasks and schedulers. No learning, no tensors."""
