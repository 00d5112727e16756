"""Where the bucket is and how to sign for it: the one form in which every part hands this on."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """One bucket of one S3 service.

    `endpoint` is `host:port` without a scheme; `is_secure` chooses https. The secret never shows in
    a repr, so that a log line or a traceback cannot give it away.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    region: str = "us-east-1"
    is_secure: bool = True

    @property
    def is_link_private(self) -> bool:
        """Whether nobody on a network can change what is sent: it is encrypted, or never leaves this machine."""
        host = urlsplit(f"//{self.endpoint}").hostname or ""
        if self.is_secure or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False
