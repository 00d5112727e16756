"""The server: routes decode and answer, ingest and recordings own the order of steps, storage reaches one store."""
