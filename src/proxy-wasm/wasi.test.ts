import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { wasiFunctions } from "./abi.ts";
import { ProcExit, wasiImports } from "./wasi.ts";

const pageBytes = 65_536;

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** The types of Node 20 declare no WebAssembly. */
const { Memory } = (
  globalThis as unknown as { WebAssembly: { Memory: new (descriptor: { initial: number }) => Memory } }
).WebAssembly;

function makeGuest(env: ReadonlyMap<string, string> = new Map()) {
  const memory = new Memory({ initial: 1 });
  const lines: string[] = [];
  const imports = wasiImports({
    memory: () => memory,
    env,
    write: (level, line) => lines.push(`${level} ${line}`),
    realtimeNs: () => 1_700_000_000_000_000_000n,
    monotonicNs: () => 0n,
  }) as Record<string, (...args: (number | bigint)[]) => number>;
  const view = new DataView(memory.buffer);
  return {
    memory,
    lines,
    call: (name: string, ...args: (number | bigint)[]) => imports[name]!(...args),
    names: Object.keys(imports),
    word: (at: number) => view.getUint32(at, true),
    long: (at: number) => view.getBigUint64(at, true),
    text: (start: number, end: number) => Buffer.from(memory.buffer).toString("utf8", start, end),
    /** Puts texts into the memory from 1000 on, and their array of (pointer, length) at `at`. */
    putParts(at: number, texts: readonly string[]) {
      let start = 1000;
      for (const [i, text] of texts.entries()) {
        const length = Buffer.from(memory.buffer).write(text, start);
        view.setUint32(at + 8 * i, start, true);
        view.setUint32(at + 8 * i + 4, length, true);
        start += length;
      }
      return texts.length;
    },
    view,
  };
}

test("all of preview 1 is there", () => {
  assert.deepEqual(makeGuest().names.sort(), [...wasiFunctions].sort());
});

test("output is one line for each call, its parts joined and one newline taken off", () => {
  const guest = makeGuest();
  assert.equal(guest.call("fd_write", 1, 8, guest.putParts(8, ["hé", "", "llo\n"]), 0), 0);
  assert.equal(guest.word(0), 7);
  assert.equal(guest.call("fd_write", 2, 8, guest.putParts(8, ["two\n\n"]), 0), 0);
  assert.equal(guest.call("fd_pwrite", 1, 8, guest.putParts(8, ["at"]), 5n, 0), 0);
  assert.equal(guest.call("fd_write", 1, 8, 0, 0), 0);
  assert.equal(guest.word(0), 0);
  assert.deepEqual(guest.lines, ["info héllo", "error two\n", "info at"]);
});

test("other files than stdout and stderr are not open", () => {
  const guest = makeGuest();
  for (const fd of [0, 3, -1]) {
    assert.equal(guest.call("fd_write", fd, 8, 1, 0), 8);
    assert.equal(guest.call("fd_fdstat_get", fd, 0), 8);
  }
  assert.equal(guest.call("fd_fdstat_get", 1, 16), 0);
  assert.deepEqual([guest.long(16), guest.long(24), guest.long(32)], [0n, 64n, 0n]);
});

test("a write is partial above 1 MiB and above 1024 parts", () => {
  const guest = makeGuest();
  for (let i = 0; i < 2000; i++) {
    guest.view.setUint32(8 * i + 8, 0, true);
    guest.view.setUint32(8 * i + 12, 1, true);
  }
  assert.equal(guest.call("fd_write", 1, 8, 2000, 0), 0);
  assert.equal(guest.word(0), 1024);
  for (let i = 0; i < 40; i++) guest.view.setUint32(8 * i + 12, pageBytes, true);
  assert.equal(guest.call("fd_write", 1, 8, 40, 0), 0);
  assert.equal(guest.word(0), 1 << 20);
});

test("environment variables are those of the configuration, and there are no arguments", () => {
  const guest = makeGuest(
    new Map([
      ["A", "1"],
      ["NAME", "ü"],
    ]),
  );
  assert.equal(guest.call("environ_sizes_get", 0, 4), 0);
  assert.deepEqual([guest.word(0), guest.word(4)], [2, 12]);
  assert.equal(guest.call("environ_get", 16, 100), 0);
  assert.deepEqual([guest.word(16), guest.word(20)], [100, 104]);
  assert.equal(guest.text(100, 112), "A=1\0NAME=ü\0");
  guest.view.setUint32(0, 9, true);
  assert.equal(guest.call("args_sizes_get", 0, 4), 0);
  assert.deepEqual([guest.word(0), guest.word(4)], [0, 0]);
  assert.equal(guest.call("args_get", 0, 4), 0);
});

test("clocks are the realtime and the monotonic one, which never stands at zero", () => {
  const guest = makeGuest();
  assert.equal(guest.call("clock_time_get", 0, 0n, 8), 0);
  assert.equal(guest.long(8), 1_700_000_000_000_000_000n);
  assert.equal(guest.call("clock_time_get", 1, 0n, 8), 0);
  assert.equal(guest.long(8), 1n);
  assert.equal(guest.call("clock_res_get", 1, 8), 0);
  for (const id of [2, 3, -1]) assert.equal(guest.call("clock_time_get", id, 0n, 8), 58);
});

test("random bytes fill what was asked for, up to 64 KiB", () => {
  const guest = makeGuest();
  assert.equal(guest.call("random_get", 100, 64), 0);
  const bytes = new Uint8Array(guest.memory.buffer);
  assert.ok(bytes.subarray(100, 164).some((byte) => byte !== 0));
  assert.ok(bytes.subarray(164).every((byte) => byte === 0));
  assert.equal(guest.call("random_get", 0, 65_536), 0);
  assert.equal(guest.call("random_get", 0, 65_537), 28);
  assert.equal(guest.call("random_get", 0, -1), 28);
});

test("what is not there has the answers of proxy-wasm-cpp-host", () => {
  const guest = makeGuest();
  const answers: Readonly<Record<string, number>> = {
    fd_prestat_get: 8,
    fd_prestat_dir_name: 52,
    fd_filestat_get: 8,
    path_open: 44,
    fd_read: 52,
    fd_pread: 52,
    fd_fdstat_set_flags: 52,
    fd_readdir: 20,
    path_filestat_get: 58,
    path_unlink_file: 58,
    sock_send: 58,
    fd_close: 0,
    fd_seek: 0,
    sched_yield: 0,
  };
  for (const [name, answer] of Object.entries(answers))
    assert.equal(guest.call(name, 3, 0, 0, 0), answer, name);
  guest.view.setUint32(40, 7, true);
  assert.equal(guest.call("poll_oneoff", 0, 0, 1, 40), 0);
  assert.equal(guest.word(40), 0);
});

test("proc_exit is thrown with its status", () => {
  assert.throws(
    () => makeGuest().call("proc_exit", 3),
    (error) => error instanceof ProcExit && error.code === 3,
  );
});

test("a pointer outside of the memory is EFAULT", () => {
  const guest = makeGuest(new Map([["A", "1"]]));
  const outside: readonly (readonly [string, ...(number | bigint)[]])[] = [
    ["fd_write", 1, pageBytes, 1, 0],
    ["fd_write", 1, -8, 1, 0],
    ["fd_write", 1, 8, 0, pageBytes - 3],
    ["fd_fdstat_get", 1, pageBytes - 23],
    ["environ_sizes_get", pageBytes, 0],
    ["environ_get", 0, pageBytes - 1],
    ["clock_time_get", 0, 0n, -1],
    ["random_get", pageBytes - 1, 2],
    ["poll_oneoff", 0, 0, 1, -4],
  ];
  for (const [name, ...args] of outside) assert.equal(guest.call(name, ...args), 21, name);
  guest.putParts(8, ["x"]);
  guest.view.setUint32(8, 0xffff_fff0, true);
  assert.equal(guest.call("fd_write", 1, 8, 1, 0), 21);
  assert.deepEqual(guest.lines, []);
});

test("no arguments whatsoever make a function throw, but for proc_exit", () => {
  const near = fc.constantFrom(
    0,
    1,
    8,
    pageBytes - 8,
    pageBytes - 1,
    pageBytes,
    -1,
    -8,
    0x7fff_ffff,
    -0x8000_0000,
  );
  const argument = fc.oneof(near, fc.integer());
  const name = fc.constantFrom(...wasiFunctions.filter((known) => known !== "proc_exit"));
  fc.assert(
    fc.property(
      name,
      fc.array(argument, { minLength: 9, maxLength: 9 }),
      fc.uint8Array({ maxLength: 64 }),
      (called, args, content) => {
        const guest = makeGuest(new Map([["A", "1"]]));
        new Uint8Array(guest.memory.buffer).set(content, 8);
        assert.equal(typeof guest.call(called, ...args), "number");
      },
    ),
    { numRuns: fuzzRuns(2000) },
  );
});

test("the memory is looked at anew when it has grown", () => {
  const guest = makeGuest();
  assert.equal(guest.call("random_get", pageBytes, 1), 21);
  guest.memory.grow(1);
  assert.equal(guest.call("random_get", pageBytes, 1), 0);
});
