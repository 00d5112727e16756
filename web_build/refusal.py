"""The one error of the page's build."""


class BuildError(Exception):
    """The page cannot be built. `next_step` is what the person at the terminal should run."""

    def __init__(self, problem: str, *, next_step: str) -> None:
        super().__init__(f"{problem}\n  next: {next_step}")
        self.problem = problem
        self.next_step = next_step
