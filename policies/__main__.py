"""The policy pack: every rule, registered with the Pulumi engine. Rules live in `guardrails/rules/`."""

from guardrails.pack import policies
from pulumi_policy import PolicyPack

PolicyPack("product-api-guardrails", policies())
