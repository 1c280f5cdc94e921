import assert from "node:assert/strict";
import { beforeEach, suite, test } from "node:test";
import { resourceStates } from "./resource-states.ts";
import { createSnapshotType, filterChainResource, rawResource, type SnapshotResource } from "./snapshot.ts";
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
function send(nonce: string, resources: readonly SnapshotResource[], others = resources): void {
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

  test("a NACK with reasons refuses those that it names, and no other", () => {
    send("n1", [a1, b1]);
    subscription.answered("n1", "a: no such filter", new Map([["a", "no such filter"]]));
    assert.deepEqual(rejections(), [["a", a1.version, "a: no such filter"]]);
    assert.equal(subscription.status().lastError, "a: no such filter");
    subscription.answered("n1", undefined);
    assert.deepEqual(rejections(), []);
  });

  test("a later NACK of the same nonce names what is still refused", () => {
    send("n1", [a1, b1]);
    const reasons = new Map([
      ["a", "slow"],
      ["b", "slow"],
    ]);
    subscription.answered("n1", "a: slow; b: slow", reasons);
    subscription.answered("n1", "b: slower", new Map([["b", "slower"]]));
    assert.deepEqual(rejections(), [["b", b1.version, "b: slower"]]);
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

suite("Subscription to a filter chain", () => {
  const chain = (...filters: SnapshotResource[]) => filterChainResource("chain", filters);
  const states = () =>
    resourceStates(subscription.status()).map(({ name, version, state, error }) =>
      [name, version.slice(0, 4), state, ...(error ? [error] : [])].join(" "),
    );
  const short = ({ name, version }: SnapshotResource) => `${name} ${version.slice(0, 4)}`;

  beforeEach(() => {
    subscription = new Subscription("t");
    subscription.names.add("chain");
  });

  test("has the state of each filter, and not its own", () => {
    send("n1", [chain(a1, b1)]);
    assert.deepEqual(states(), [`${short(a1)} PENDING`, `${short(b1)} PENDING`]);
    assert.ok(subscription.status().pending.has("chain"));
    subscription.answered("n1", undefined);
    assert.deepEqual(states(), [`${short(a1)} SYNCED`, `${short(b1)} SYNCED`]);
    assert.equal(subscription.status().pending.size, 0);
  });

  test("of a chain that is sent for another filter's sake nothing else is pending", () => {
    send("n1", [chain(a1, b1)]);
    subscription.answered("n1", undefined);
    send("n2", [chain(a2, b1)]);
    assert.deepEqual(states(), [`${short(a2)} PENDING`, `${short(b1)} SYNCED`]);
  });

  test("a NACK refuses the filters that it names, for as long as they are the same", () => {
    send("n1", [chain(a1, b1)]);
    subscription.answered("n1", "a: broken", new Map([["a", "broken"]]));
    assert.deepEqual(states(), [`${short(a1)} ERROR a: broken`, `${short(b1)} SYNCED`]);
    send("n2", [chain(a1)]);
    assert.deepEqual(states(), [`${short(a1)} ERROR a: broken`]);
    subscription.answered("n1", undefined);
    assert.deepEqual(states(), [`${short(a1)} ERROR a: broken`]);
    subscription.answered("n2", undefined);
    assert.deepEqual(states(), [`${short(a1)} SYNCED`]);
    send("n3", [chain(a2)]);
    subscription.answered("n3", "a: broken", new Map([["a", "broken"]]));
    send("n4", [chain(a1)]);
    assert.deepEqual(states(), [`${short(a1)} PENDING`]);
  });

  test("what is still being fetched is pending, and what a second answer names refused", () => {
    send("n1", [chain(a1, b1)]);
    subscription.answered("n1", "a: is still being fetched", new Map([["a", ""]]));
    assert.deepEqual(states(), [`${short(a1)} PENDING`, `${short(b1)} SYNCED`]);
    assert.deepEqual(rejections(), []);
    const reasons = new Map([
      ["a", "broken"],
      ["b", "refused"],
    ]);
    subscription.answered("n1", "a: broken; b: refused", reasons);
    assert.deepEqual(states(), [`${short(a1)} ERROR a: broken`, `${short(b1)} ERROR b: refused`]);
  });

  test("a NACK without reasons refuses all filters", () => {
    send("n1", [chain(a1, b1)]);
    subscription.answered("n1", "broken");
    assert.deepEqual(states(), [`${short(a1)} ERROR broken`, `${short(b1)} ERROR broken`]);
  });

  test("a filter of several chains is there once", () => {
    subscription.names.add("other");
    send("n1", [chain(a1, b1), filterChainResource("other", [a1])]);
    subscription.answered("n1", "a: broken", new Map([["a", "broken"]]));
    assert.deepEqual(states(), [`${short(a1)} ERROR a: broken`, `${short(b1)} SYNCED`]);
  });

  test("what is asked for and not there is missing", () => {
    subscription.names.add("x");
    send("n1", [chain()]);
    assert.deepEqual(
      resourceStates(subscription.status()).map(({ name, state }) => [name, state]),
      [["x", "MISSING"]],
    );
  });
});
