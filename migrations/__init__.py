"""The database's revisions, their offline rendering, and the function that applies them."""
