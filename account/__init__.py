"""What exists once per AWS account, as a Pulumi program of its own: evidence, identities, artifacts."""
