"""What an update would do, for somebody who must agree to it and never saw the code.

`preview` reads what the engine says; `changes`, `permissions`, `reachability` and `migrations` each turn it into one
kind of sentence; `model` puts them together; `text`, `markdown`, `html` and `document` show them. All of it is pure:
the engine is run by `ops.commands.review`.
"""
