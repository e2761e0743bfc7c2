"""The product API: handlers, domain, data and health. Imports nothing else of this repository."""
