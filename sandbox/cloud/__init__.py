"""The played AWS: the emulator, wrapped with what it lacks (`python -m sandbox.cloud`).

Nothing is imported here: the emulator reads its environment when it is imported, so the environment comes first.
"""
