"""The root that a certificate states: the Merkle tree hash of RFC 6962, section 2.1, over a manifest's entries."""

import hashlib
import struct
from collections.abc import Iterable

from protocol.wire import ManifestEntry

_ENTRY = struct.Struct(">IIQ")  # run, chunk_index, size; the digest's 32 bytes follow


def encode_entry(entry: ManifestEntry) -> bytes:
    """The 48 bytes that stand for an entry in the tree: run u32, chunk_index u32, size u64 (big-endian), sha256."""
    return _ENTRY.pack(entry.run, entry.chunk_index, entry.size) + bytes.fromhex(entry.sha256)


def merkle_root(entries: Iterable[ManifestEntry]) -> bytes:
    """The 32-byte root over the entries in their order; the root of none is SHA-256 of nothing."""
    return hash_tree(map(encode_entry, entries))


def hash_tree(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash over the leaves in their order, 32 bytes.

    Computed with a stack of perfect subtrees: O(n) time, O(log n) memory.
    """
    stack: list[tuple[int, bytes]] = []  # (leaves in the subtree, its hash), sizes strictly falling
    for leaf in leaves:
        count, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while stack and stack[-1][0] == count:
            _, left = stack.pop()
            count, node = count * 2, hashlib.sha256(b"\x01" + left + node).digest()
        stack.append((count, node))
    if not stack:
        return hashlib.sha256(b"").digest()
    _, root = stack.pop()
    while stack:
        _, left = stack.pop()
        root = hashlib.sha256(b"\x01" + left + root).digest()
    return root
