"""Tried and planted: flow, registry, gate, rollback, deployment."""
