"""The only loop of the client: event -> core -> effects -> ports. It schedules and holds no rule."""

from client_py.messages import FromWindow
from client_py.ports import Clock, Entropy, FileTree, Http, Locks, Tabs, Window


class Runtime:
    """One worker's life; compose it with adapters, feed it the window's messages, run it."""

    def __init__(
        self,
        *,
        files: FileTree,
        http: Http,
        clock: Clock,
        entropy: Entropy,
        locks: Locks,
        tabs: Tabs,
        window: Window,
    ) -> None:
        self._files = files
        self._http = http
        self._clock = clock
        self._entropy = entropy
        self._locks = locks
        self._tabs = tabs
        self._window = window
        self._inbox: list[FromWindow] = []

    def receive(self, message: FromWindow) -> None:
        """Take one message of the window; returns at once, never raises, keeps the order of calls."""
        self._inbox.append(message)

    async def run(self) -> None:
        """Handle events until a fatal error, which the window is told as `Failed`."""
        raise NotImplementedError
