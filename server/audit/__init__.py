"""Finds and repairs what bucket and ledger say differently; answers no client, knows no HTTP and no SQL."""
