import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordedHeader, Recording } from "../../proxy-wasm/index.ts";
import { redactRecording } from "./redact.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const plain = (text: string) => Buffer.from(text, "base64").toString();

function recordingOf(
  headers: readonly RecordedHeader[],
  body: readonly string[] = [],
  more: Partial<Recording> = {},
): Recording {
  const before = { headers, body: body.map(base64) };
  return {
    plugin: "p",
    rootId: "",
    config: base64("{}"),
    vmConfig: "",
    keys: [],
    properties: {},
    request: { before, behind: before, action: "continue" },
    calls: [],
    ...more,
  };
}

const redact = (recording: Recording, keep: readonly string[] = [], names: readonly string[] = []) =>
  redactRecording(recording, { keep, redact: names });

test("headers, cookies and parameters that sound like secrets, schemes and names stay", () => {
  const { recording, names } = redact(
    recordingOf([
      [":path", "/a?page=1&access_token=abc%2Bdef&sig=qwertz"],
      ["authorization", "Bearer abc+def"],
      ["cookie", "sid=12345678; theme=dark"],
      ["x-api-key", "k"],
      ["x-plain", "seen with 12345678"],
      ["x-secret", "two words"],
    ]),
  );
  assert.deepEqual(recording.request.before.headers, [
    [":path", "/a?page=1&access_token=redacted-1&sig=redacted-2"],
    // The same secret, unescaped.
    ["authorization", "Bearer redacted-1"],
    ["cookie", "sid=redacted-3; theme=redacted-4"],
    ["x-api-key", "redacted-5"],
    ["x-plain", "seen with redacted-3"],
    ["x-secret", "redacted-6"],
  ]);
  assert.deepEqual(names, ["access_token", "authorization", "cookie", "sig", "x-api-key", "x-secret"]);
  assert.deepEqual(recording.request.behind, recording.request.before);
});

test("fields of bodies, whole or cut, over two pieces; lengths follow", () => {
  const whole = '{"user":"ann","password":"hunter22","pin_token":1234,"note":"hunter22 it is"';
  const { recording } = redact(
    recordingOf([["content-length", String(whole.length)]], [whole.slice(0, 30), whole.slice(30)]),
  );
  const { headers, body } = recording.request.before;
  const text = '{"user":"ann","password":"redacted-1","pin_token":0,"note":"redacted-1 it is"';
  assert.deepEqual(body.map(plain), [text]);
  assert.deepEqual(headers, [["content-length", String(text.length)]]);
  const form = redact(recordingOf([], ["name=ann&client_secret=very%20quiet"])).recording;
  assert.deepEqual(form.request.before.body.map(plain), ["name=ann&client_secret=redacted-1"]);
  const kept = recordingOf([], ["nothing ", "to hide"]);
  assert.deepEqual(redact(kept).recording, kept);
});

test("configurations: values below a name, and headers that plugins look for keys in", () => {
  const config = base64(
    JSON.stringify({
      keys: ["x-door"],
      consumers: [{ name: "Änn", credential: "öpen" }, { credentials: ["one-key", "two-key"] }],
      limit: 3,
    }),
  );
  const { recording } = redact(
    recordingOf([["x-door", Buffer.from("öpen").toString("latin1")]], [], { config, keys: ["x-door"] }),
  );
  const { consumers, limit } = JSON.parse(plain(recording.config));
  assert.deepEqual(recording.request.before.headers, [["x-door", consumers[0].credential]]);
  assert.deepEqual(
    consumers,
    [{ name: "Änn", credential: consumers[0].credential }, { credentials: ["redacted-2", "redacted-3"] }].map(
      (each) => ({ ...each }),
    ),
  );
  assert.equal(limit, 3);
});

test("--keep-header and --redact; calls, their answers and local responses", () => {
  const { recording, hide } = redact(
    recordingOf(
      [
        ["x-token", "stays-here"],
        ["x-tenant", "acme-corp"],
      ],
      [],
      {
        calls: [
          {
            upstream: "auth",
            headers: [["authorization", "Basic dXNlcjpwYXNz"]],
            body: base64("acme-corp"),
            answer: { headers: [[":status", "200"]], body: [base64('{"session":"s-1-2-3"}')] },
          },
        ],
        local: { status: 401, headers: [["set-cookie", "sid=s-1-2-3; Path=/"]], body: "", details: "d" },
      },
    ),
    ["X-Token"],
    ["x-tenant"],
  );
  assert.deepEqual(recording.request.before.headers, [
    ["x-token", "stays-here"],
    ["x-tenant", "redacted-1"],
  ]);
  const [call] = recording.calls;
  assert.deepEqual(call!.headers, [["authorization", "Basic redacted-2"]]);
  assert.equal(plain(call!.body), "redacted-1");
  assert.equal(plain(call!.answer!.body[0]!), '{"session":"redacted-3"}');
  assert.deepEqual(recording.local!.headers, [["set-cookie", "sid=redacted-3; Path=/"]]);
  assert.equal(hide("by acme-corp"), "by redacted-1");
});
