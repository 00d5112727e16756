"""`/api/audit`, `/api/scrub`, `/api/collect` and `/api/findings`, over stores in memory and over the real ones."""

from base64 import b64encode
from hashlib import sha256

import httpx

from protocol.operations import AuditReport
from tests.server.stack import Stack

BODY = b"the bytes of a chunk"
CONTENT_DIGEST = f"sha-256=:{b64encode(sha256(BODY).digest()).decode()}:"
FIELDS = {"chunks", "objects", "missing", "orphans", "mismatched", "adopted", "rerequested", "duration_s"}


async def put(stack: Stack, index: int) -> httpx.Response:
    headers = {"Content-Digest": CONTENT_DIGEST, "Chunk-Run": "0"}
    return await stack.client.put(f"{stack.path}/chunks/{index}", content=BODY, headers=headers)


async def audit(stack: Stack) -> AuditReport:
    answer = await stack.client.post("/api/audit")
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() >= FIELDS
    shown = await stack.client.get("/api/audit")
    assert shown.json() == answer.json()
    return AuditReport(**{name: answer.json()[name] for name in (*FIELDS, "standing", "wanted")})


async def test_an_audit_answers_what_it_found_and_the_last_report_says_it_again(stack: Stack) -> None:
    await stack.register()
    await put(stack, 0)
    clean = await audit(stack)
    assert (clean.missing, clean.orphans, clean.mismatched, clean.wanted) == (0, 0, 0, 0)
    (row,) = await stack.rows()
    located = await stack.ledger.find_chunks(stack.recording_id, [0])
    await stack.store.delete(located[0].object.key)
    lost = await audit(stack)
    assert (lost.missing, lost.rerequested) == (1, 1)
    assert lost.is_harmed
    await put(stack, 0)
    again = await audit(stack)
    assert (again.missing, again.rerequested, again.chunks) == (0, 0, clean.chunks)
    assert row.sha256 == (await stack.rows())[0].sha256


async def test_findings_say_what_they_mean_and_what_to_do_and_are_filtered(stack: Stack) -> None:
    await stack.register()
    await put(stack, 0)
    located = await stack.ledger.find_chunks(stack.recording_id, [0])
    await stack.store.delete(located[0].object.key)
    await audit(stack)
    path = f"/api/findings?recording_id={stack.recording_id}"
    (finding,) = (await stack.client.get(path)).json()["findings"]
    assert (finding["kind"], finding["chunk_count"], finding["resolved_at"]) == ("missing", 1, None)
    assert finding["meaning"] and finding["next_step"]
    assert (await stack.client.get(f"{path}&kind=orphan")).json()["findings"] == []
    assert (await stack.client.get(f"{path}&resolved=true")).json()["findings"] == []
    assert len((await stack.client.get(f"{path}&resolved=false&kind=missing")).json()["findings"]) == 1


async def test_findings_come_in_pages_newest_first(stack: Stack) -> None:
    for name in ("a", "b", "c"):
        await stack.store.put(f"foreign/{stack.recording_id}/{name}", b"x")
    await audit(stack)
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await stack.client.get(f"/api/findings?kind=foreign&limit=2{cursor}")).json()
        seen += [finding["finding_id"] for finding in page["findings"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) >= 3
    assert seen == sorted(seen, reverse=True)


async def test_a_wrong_filter_is_refused_in_words(stack: Stack) -> None:
    for query, word in (("kind=odd", "missing"), ("resolved=maybe", "true or false")):
        answer = await stack.client.get(f"/api/findings?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
        assert word in answer.json()["detail"]
    assert (await stack.client.get("/api/findings?cursor=odd")).json()["code"] == "invalid-cursor"


async def test_a_scrub_begins_and_its_report_follows(memory_stack: Stack) -> None:
    assert (await memory_stack.client.get("/api/scrub")).json()["standing"] == "never"
    answer = await memory_stack.client.post("/api/scrub")
    assert (answer.status_code, answer.json()["standing"]) == (202, "running")


async def test_a_collect_answers_what_it_did_and_the_last_report_says_it_again(stack: Stack) -> None:
    assert (await stack.client.get("/api/collect")).json()["standing"] == "never"
    await stack.register()
    await put(stack, 0)
    await stack.client.delete(stack.path)
    answer = await stack.client.post("/api/collect")
    assert (answer.status_code, answer.json()["standing"]) == (200, "finished"), answer.text
    # What the delete unlinked stays for the grace period (I11); the recording's documents do, too.
    assert (answer.json()["deleted"], answer.json()["erased"]) == (0, 0)
    shown = await stack.client.get("/api/collect")
    assert shown.json() == answer.json()


async def test_before_the_first_audit_there_is_a_report_that_says_so(memory_stack: Stack) -> None:
    answer = await memory_stack.client.get("/api/audit")
    assert (answer.status_code, answer.json()["standing"]) == (200, "never")
    assert answer.json().keys() >= FIELDS


async def test_verification_tells_that_the_client_is_there(stack: Stack) -> None:
    await stack.register()
    await put(stack, 0)
    await stack.parts.audit_ledger.settle_stalled(after=None, up_to=None, stalled_after_s=-1)
    assert (await stack.client.get(stack.path)).json()["state"] == "stalled"
    digest = (await stack.rows())[0].sha256.hex()
    await stack.client.post(f"{stack.path}/verify", json={"chunks": [{"chunk_index": 0, "sha256": digest}]})
    assert (await stack.client.get(stack.path)).json()["state"] == "open"
