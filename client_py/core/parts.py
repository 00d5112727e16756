"""The parts of the core, composed once: which part knows which."""

from client_py.core.adopting import Adopting
from client_py.core.book import Book
from client_py.core.capturing import Capturing
from client_py.core.clearing import Clearing
from client_py.core.completion import Completion
from client_py.core.deleting import Deleting
from client_py.core.listing import Listing
from client_py.core.log_writer import LogWriter
from client_py.core.parked import Parked
from client_py.core.persisting import Persisting
from client_py.core.preparing import Preparing
from client_py.core.queue import SendQueue
from client_py.core.renaming import Renaming
from client_py.core.requests import Requests
from client_py.core.room import Room
from client_py.core.starting import Starting
from client_py.core.tabs import Tabs
from client_py.core.verifying import Verifying
from client_py.core.view import Showing


class Parts:
    """One of each, over one book."""

    def __init__(self, segment_bytes: int) -> None:
        book = self.book = Book(segment_bytes)
        self.room = Room(book)
        self.log = LogWriter(book)
        self.requests = Requests(book)
        self.persisting = Persisting(book, self.log, self.room)
        self.preparing = Preparing(book, self.log, self.room)
        self.capturing = Capturing(book, self.log, self.persisting, self.preparing)
        self.queue = SendQueue(book, self.requests)
        self.verifying = Verifying(book, self.requests, self.log, self.queue)
        self.parked = Parked(book, self.verifying)
        self.completion = Completion(book, self.requests, self.queue)
        self.clearing = Clearing(book, self.log, self.room)
        self.listing = Listing(book, self.requests)
        self.deleting = Deleting(book, self.requests, self.log, self.queue, self.clearing, self.listing)
        self.renaming = Renaming(book, self.requests, self.log, self.listing)
        self.adopting = Adopting(book, self.log, self.verifying, self.clearing, self.deleting, self.renaming)
        self.tabs = Tabs(book)
        self.starting = Starting(book, self.adopting, self.preparing)
        self.showing = Showing(book, self.room, self.preparing, self.adopting, self.clearing, self.tabs, self.starting)
