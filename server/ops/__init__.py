"""What the operator's page shows: figures of now and of the last hour, and where every chunk lies."""
