"""Guardrails: rules for Pulumi stacks, and the pure semantics of IAM documents and SQL that they stand on.

Imports inside are relative, so that the package is the same as the pack's root (`guardrails`) and from the repository
(`policies.guardrails`). `iam` and `sql` know nothing of Pulumi; the command line uses them directly.
"""
