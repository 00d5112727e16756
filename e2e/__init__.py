"""Stories in a real Chromium against a real server, bucket and ledger; see e2e/README.md for how to run one."""
