"""What starting the embedded services raises, with what to do next in every message."""


class EmbeddedServiceError(Exception):
    """Root of what the embedded services raise.

    EmbeddedServiceError
    +-- DataDirectoryBusyError    another server holds the data directory
    +-- ServiceStartError         a service did not come up; the message names its log
    """


class DataDirectoryBusyError(EmbeddedServiceError):
    """Another server runs on this data directory; `pid` is its process, or None where the lock does not say."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class ServiceStartError(EmbeddedServiceError):
    """A service did not come up."""
