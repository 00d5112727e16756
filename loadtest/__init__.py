"""The load test of the assignment and what follows it: profiles for k6, the byte-level audit, benchmarks, results."""
