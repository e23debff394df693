"""Governance: lineage, audit, documents, incidents and what features are worth."""
