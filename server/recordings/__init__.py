"""Registration, verification, completion, erasure and reading of recordings; knows no HTTP and no SQL."""
