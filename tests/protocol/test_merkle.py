"""The certificate's root is the tree hash of RFC 6962: against published vectors and a second, naive reading."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.merkle import encode_entry, hash_tree, merkle_root
from protocol.wire import ManifestEntry

# The leaves and roots that Certificate Transparency's implementations test themselves with.
CT_LEAVES = [
    b"",
    bytes.fromhex("00"),
    bytes.fromhex("10"),
    bytes.fromhex("2021"),
    bytes.fromhex("3031"),
    bytes.fromhex("40414243"),
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hash_tree_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word: split at the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = hash_tree_by_definition(leaves[:split]), hash_tree_by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("count", range(9))
def test_the_published_vectors_hold(count: int) -> None:
    assert hash_tree(CT_LEAVES[:count]).hex() == CT_ROOTS[count]


@given(st.lists(st.binary(max_size=64), max_size=130))
def test_the_stack_computes_what_the_definition_says(leaves: list[bytes]) -> None:
    assert hash_tree(leaves) == hash_tree_by_definition(leaves)


def make_entry(index: int, run: int = 0, size: int = 1) -> ManifestEntry:
    return ManifestEntry(run=run, chunk_index=index, size=size, sha256=hashlib.sha256(b"%d" % index).hexdigest())


def test_an_entry_stands_in_the_tree_as_48_bytes_of_all_its_fields() -> None:
    entry = ManifestEntry(run=9_999, chunk_index=99_999_999, size=8 * 1024 * 1024, sha256="ab" * 32)
    assert encode_entry(entry).hex() == "0000270f" + "05f5e0ff" + "0000000000800000" + "ab" * 32


def test_the_root_changes_with_every_field_and_with_the_order() -> None:
    entries = [make_entry(0), make_entry(1), make_entry(2)]
    variants = [
        entries,
        entries[::-1],
        entries[:2],
        [*entries[:2], make_entry(3)],
        [*entries[:2], make_entry(2, run=1)],
        [*entries[:2], make_entry(2, size=2)],
        [],
    ]
    assert len({merkle_root(variant) for variant in variants}) == len(variants)


def test_no_leaf_can_pass_for_a_node() -> None:
    """The prefixes keep them apart (RFC 6962's second-preimage resistance)."""
    left, right = hash_tree([b"a"]), hash_tree([b"b"])
    assert hash_tree([left + right]) != hash_tree([b"a", b"b"])
