"""Component resources, one noun a file; `__main__.py` wires them into a stack."""
