"""The two ports, bucket and ledger, and their adapters; each reaches one store and translates its errors."""
