"""The Pulumi engine in a rehearsal: where its command line comes from, and a warm host for its Python plugins."""
