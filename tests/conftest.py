"""What every test rests on: Hypothesis without a clock and without chance.

The same examples come in every run; `--hypothesis-profile=explore` looks for new ones and prints how to get a failure
again.
"""

from hypothesis import settings

settings.register_profile("holdfast", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True, max_examples=2_000)
settings.load_profile("holdfast")
