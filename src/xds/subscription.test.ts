import assert from "node:assert/strict";
import { beforeEach, suite, test } from "node:test";
import { createSnapshotType, rawResource } from "./snapshot.ts";
import { Subscription } from "./subscription.ts";

const resource = (name: string, text: string) => rawResource(name, "t", Buffer.from(text));
const a1 = resource("a", "1");
const a2 = resource("a", "2");
const b1 = resource("b", "1");

let subscription: Subscription;
beforeEach(() => {
  subscription = new Subscription("t");
  for (const name of ["a", "b"]) subscription.names.add(name);
});

/** Brings the client up to these resources in one response. */
function send(nonce: string, resources: readonly ReturnType<typeof resource>[], others = resources): void {
  const type = createSnapshotType("t", others);
  subscription.synced = type;
  subscription.sent(nonce, type.version, resources);
}

const rejections = () =>
  [...subscription.status().rejected].map(([name, { version, error }]) => [name, version, error]);

suite("Subscription", () => {
  test("wants its names, and as a wildcard everything", () => {
    assert.deepEqual([subscription.wants("a"), subscription.wants("c")], [true, false]);
    assert.deepEqual([...subscription.status().names!], ["a", "b"]);
    subscription.wildcard = true;
    assert.ok(subscription.wants("c"));
    assert.equal(subscription.status().names, undefined);
  });

  test("what was sent is pending until it is answered", () => {
    send("n1", [a1, b1]);
    const { nonceSent, nonceAcked, versionSent, versionAcked, pending } = subscription.status();
    assert.deepEqual([nonceSent, nonceAcked, versionAcked], ["n1", "", ""]);
    assert.deepEqual([...pending], ["a", "b"]);
    subscription.answered("n1", undefined);
    const after = subscription.status();
    assert.deepEqual([after.nonceAcked, after.versionAcked, after.pending.size], ["n1", versionSent, 0]);
  });

  test("a NACK refuses each resource of its response, and acknowledges nothing", () => {
    send("n1", [a1, b1]);
    subscription.answered("n1", "no such filter");
    const { nonceAcked, versionAcked, lastError, pending } = subscription.status();
    assert.deepEqual(rejections(), [
      ["a", a1.version, "no such filter"],
      ["b", b1.version, "no such filter"],
    ]);
    assert.deepEqual([nonceAcked, versionAcked, lastError, pending.size], ["", "", "no such filter", 0]);
  });

  test("a later ACK of the same nonce takes the refusal back", () => {
    send("n1", [a1]);
    subscription.answered("n1", "the pull failed");
    subscription.answered("n1", undefined);
    const { nonceAcked, lastError } = subscription.status();
    assert.deepEqual(rejections(), []);
    assert.deepEqual([nonceAcked, lastError], ["n1", ""]);
  });

  test("an ACK of another response leaves the refusal and its error", () => {
    send("n1", [a1], [a1, b1]);
    send("n2", [b1], [a1, b1]);
    subscription.answered("n1", "broken");
    subscription.answered("n2", undefined);
    assert.deepEqual(rejections(), [["a", a1.version, "broken"]]);
    assert.equal(subscription.status().lastError, "broken");
  });

  test("a new version is not refused before the client said so", () => {
    send("n1", [a1]);
    subscription.answered("n1", "broken");
    send("n2", [a2]);
    assert.deepEqual(rejections(), []);
    assert.deepEqual([...subscription.status().pending], ["a"]);
    subscription.answered("n2", undefined);
    assert.equal(subscription.status().lastError, "");
  });

  test("a NACK that was overtaken refuses nothing that is in effect", () => {
    send("n1", [a1]);
    send("n2", [a2]);
    subscription.answered("n1", "broken");
    assert.deepEqual(rejections(), []);
    subscription.answered("n2", undefined);
    const { lastError, nonceAcked } = subscription.status();
    assert.deepEqual([lastError, nonceAcked], ["", "n2"]);
  });

  test("answers in any order: with the last the client has all that was sent", () => {
    send("n1", [a1], [a1]);
    send("n2", [b1], [a1, b1]);
    subscription.answered("n2", undefined);
    assert.deepEqual([...subscription.status().pending], ["a"]);
    subscription.answered("n1", undefined);
    const { nonceSent, nonceAcked, versionSent, versionAcked } = subscription.status();
    assert.deepEqual([nonceAcked, versionAcked], [nonceSent, versionSent]);
  });

  test("a refusal ends with the resource and with the interest in it", () => {
    send("n1", [a1, b1]);
    subscription.answered("n1", "broken");
    subscription.synced = createSnapshotType("t", [b1]);
    assert.deepEqual(rejections(), [["b", b1.version, "broken"]]);
    subscription.names.delete("b");
    assert.deepEqual(rejections(), []);
  });

  test("what a whole response overtakes is not pending any more", () => {
    send("n1", [a1, b1]);
    subscription.overtake();
    send("n2", [b1]);
    assert.deepEqual([...subscription.status().pending], ["b"]);
  });
});
