"""The version that certificates, the OpenAPI document and the command line state."""

from typing import Final

SERVER_VERSION: Final = "0.1.0"
