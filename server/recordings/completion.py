"""Completion: a certificate only where manifest, ledger and bucket agree, one and for ever (I4).

    1 the manifest by itself
    2 compare it with the ledger's rows
    3 read back what was never read back, within one call's bounds
    4 decide: one ledger insert, which compares again under the recording's lock
    5 store certificate.json
    6 note that it is stored
    7 answer its bytes

A call that ends anywhere leaves what the next one goes on from; from step 4 on the bytes are fixed.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from protocol.errors import PROBLEM_CHUNKS_MAX, ErrorCode
from protocol.limits import VERIFY_CHUNKS_MAX
from protocol.states import ChunkState
from protocol.wire import CompletePending, Manifest
from server.recordings.certificates import Certificates, build_certificate, require_certified
from server.recordings.describing import require_recording
from server.recordings.manifest_rules import check_manifest
from server.recordings.verification import Verifier
from server.refusal import Refusal
from server.storage.blob_store import BlobStore
from server.storage.ledger import Decided, Ledger, ManifestComparison


class Completer:
    """Completes recordings. `now` gives the time that a certificate states, in UTC."""

    def __init__(
        self,
        ledger: Ledger,
        store: BlobStore,
        verifier: Verifier,
        *,
        server_version: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._verifier = verifier
        self._certificates = Certificates(ledger, store)
        self._server_version = server_version
        self._now = now

    async def complete(self, recording_id: UUID, manifest: Manifest) -> bytes | CompletePending:
        """certificate.json as it stands in the bucket, the same bytes at every repeat; or how far reading back is.

        Refuses INVALID_REQUEST, RECORDING_UNKNOWN, RECORDING_DELETED, CHUNKS_MISSING, CHUNK_DISPUTED,
        MANIFEST_DIFFERS. Raises `BlobStoreError`, `LedgerError`.
        """
        # 1 the manifest by itself
        check_manifest(manifest)
        decided = await self._ledger.find_certificate(recording_id)
        if decided is None:
            outcome = await self._decide(recording_id, manifest)
            if isinstance(outcome, CompletePending):
                return outcome
            decided = outcome
        require_certified(recording_id, decided.certificate, manifest)
        # 5 store, 6 note, 7 answer
        return await self._certificates.publish(recording_id, decided)

    async def _decide(self, recording_id: UUID, manifest: Manifest) -> Decided | CompletePending:
        recording = await require_recording(self._ledger, recording_id)
        # 2 compare
        comparison = await self._compare(recording_id, manifest)
        if comparison.unverified:
            # 3 read back; what it found lost is missing now
            await self._verifier.read_back(recording_id, comparison.unverified)
            comparison = await self._compare(recording_id, manifest)
            if comparison.unverified:
                return _pending(recording_id, manifest, comparison)
        certificate = await self._certificates.find_in_bucket(recording_id)
        if certificate is None:
            certificate = await build_certificate(
                recording_id,
                manifest,
                started_at=recording.started_at,
                certified_at=self._now(),
                server_version=self._server_version,
            )
        else:
            require_certified(recording_id, certificate, manifest)
        # 4 decide
        decided = await self._ledger.decide_certificate(recording_id, manifest.chunks, certificate)
        if isinstance(decided, Decided):
            return decided
        # Something changed since the comparison: a delete, a loss, a late chunk.
        await require_recording(self._ledger, recording_id)
        await self._refuse_difference(recording_id, decided)
        return _pending(recording_id, manifest, decided)

    async def _compare(self, recording_id: UUID, manifest: Manifest) -> ManifestComparison:
        comparison = await self._ledger.compare_manifest(recording_id, manifest.chunks)
        await self._refuse_difference(recording_id, comparison)
        return comparison

    async def _refuse_difference(self, recording_id: UUID, comparison: ManifestComparison) -> None:
        """Bytes first: what can be sent again is asked for before a contradiction is called final."""
        if comparison.missing:
            raise Refusal(
                ErrorCode.CHUNKS_MISSING,
                f"{len(comparison.missing)} chunks of the manifest are not held",
                next_step="Send the listed chunks, then complete again.",
                chunks=comparison.missing[:PROBLEM_CHUNKS_MAX],
            )
        contradicting = sorted(comparison.surplus + comparison.differing)
        if not contradicting:
            return
        disputed = await self._find_disputed(recording_id, comparison.differing)
        if len(disputed) == len(contradicting):
            raise Refusal(
                ErrorCode.CHUNK_DISPUTED,
                f"of {len(disputed)} chunks the bucket holds two contents, and nothing says which one counts",
                next_step="Both are kept; verify these chunks, and complete again when they are settled.",
                chunks=disputed[:PROBLEM_CHUNKS_MAX],
            )
        raise Refusal(
            ErrorCode.MANIFEST_DIFFERS,
            f"{len(comparison.surplus)} held chunks are not in the manifest, "
            f"{len(comparison.differing)} are held with another run, size or sha256",
            next_step="GET …/chunks lists what is held. Keep the bytes and tell the person.",
            chunks=contradicting[:PROBLEM_CHUNKS_MAX],
        )

    async def _find_disputed(self, recording_id: UUID, differing: list[int]) -> list[int]:
        """Which of these differ only because they are disputed, which is not final."""
        located = await self._ledger.find_chunks(recording_id, differing[:VERIFY_CHUNKS_MAX])
        return [index for index in differing if index in located and _is_disputed(located[index].chunk.state)]


def _is_disputed(state: ChunkState) -> bool:
    return state is ChunkState.DISPUTED


def _pending(recording_id: UUID, manifest: Manifest, comparison: ManifestComparison) -> CompletePending:
    chunk_count = len(manifest.chunks)
    return CompletePending(
        recording_id=recording_id,
        verified_count=chunk_count - len(comparison.unverified),
        chunk_count=chunk_count,
    )
