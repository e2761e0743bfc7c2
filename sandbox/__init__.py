"""The rehearsal: a played AWS with a real Postgres, and the engine around it. Nothing outside knows that it exists."""
