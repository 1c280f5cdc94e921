import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { getEventListeners, once } from "node:events";
import { suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { until } from "../test/peers/until.ts";
import { coalesce, createWatchable, firstValue } from "./watchable.ts";

suite("createWatchable", () => {
  test("a watcher gets the current value and then each new one", () => {
    const source = createWatchable(1);
    const seen: number[] = [];
    source.watch((value) => seen.push(value));
    source.set(2);
    source.set(3);
    assert.deepEqual(seen, [1, 2, 3]);
    assert.equal(source.value, 3);
  });

  test("a watcher hears nothing before the first value", () => {
    const source = createWatchable<string>();
    const seen: string[] = [];
    source.watch((value) => seen.push(value));
    assert.deepEqual(seen, []);
    assert.equal(source.value, undefined);
    source.set("first");
    assert.deepEqual(seen, ["first"]);
  });

  test("values that are falsy are values", () => {
    const source = createWatchable<number | string | boolean | null>(0);
    const seen: unknown[] = [];
    source.watch((value) => seen.push(value));
    for (const value of ["", false, null]) source.set(value);
    assert.deepEqual(seen, [0, "", false, null]);
  });

  test("the same reference again is no change, an equal value is one", () => {
    const value = { a: 1 };
    const source = createWatchable(value);
    let calls = 0;
    source.watch(() => calls++);
    source.set(value);
    assert.equal(calls, 1);
    source.set({ a: 1 });
    assert.equal(calls, 2);
  });

  test("watchers are notified in the order of subscription", () => {
    const source = createWatchable<number>();
    const seen: string[] = [];
    for (const name of ["a", "b", "c"]) source.watch((value) => seen.push(name + value));
    source.set(1);
    assert.deepEqual(seen, ["a1", "b1", "c1"]);
  });

  test("a watcher whose signal aborted hears nothing any more, also one that was aborted from the start", () => {
    const source = createWatchable(1);
    const seen: string[] = [];
    const ended = new AbortController();
    source.watch((value) => seen.push(`a${value}`), ended.signal);
    source.watch((value) => seen.push(`b${value}`), AbortSignal.abort());
    ended.abort();
    source.set(2);
    assert.deepEqual(seen, ["a1"]);
  });

  test("an abort during the notification counts for those that were not yet notified", () => {
    const source = createWatchable<number>();
    const seen: string[] = [];
    const ended = new AbortController();
    source.watch((value) => {
      seen.push(`a${value}`);
      ended.abort();
    });
    source.watch((value) => seen.push(`b${value}`), ended.signal);
    source.set(1);
    assert.deepEqual(seen, ["a1"]);
  });

  test("the same function watches twice, each time until its own signal", () => {
    const source = createWatchable<number>();
    const seen: number[] = [];
    const listener = (value: number) => void seen.push(value);
    const first = new AbortController();
    source.watch(listener, first.signal);
    source.watch(listener);
    source.set(1);
    assert.deepEqual(seen, [1, 1]);
    first.abort();
    source.set(2);
    assert.deepEqual(seen, [1, 1, 2]);
  });

  test("a value that a watcher sets overtakes: nobody gets an old value after a new one", () => {
    const source = createWatchable<number>();
    const seen: string[] = [];
    source.watch((value) => {
      seen.push(`a${value}`);
      if (value < 3) source.set(value + 1);
    });
    source.watch((value) => seen.push(`b${value}`));
    source.set(1);
    assert.deepEqual(seen, ["a1", "a2", "a3", "b3"]);
  });

  test("a watcher that comes during the notification gets the value once", () => {
    const source = createWatchable<number>();
    const seen: string[] = [];
    let added = false;
    source.watch((value) => {
      seen.push(`a${value}`);
      if (!added) source.watch((late) => seen.push(`b${late}`));
      added = true;
    });
    source.set(1);
    source.set(2);
    assert.deepEqual(seen, ["a1", "b1", "a2", "b2"]);
  });
});

suite("firstValue", () => {
  test("takes the current value", async () => {
    assert.equal(await firstValue(createWatchable(7)), 7);
  });

  test("waits for the first value that is accepted", async () => {
    const source = createWatchable(1);
    const found = firstValue(source, (value) => value % 10 === 0);
    for (const value of [5, 20, 30]) source.set(value);
    assert.equal(await found, 20);
  });

  test("rejects with the reason of its signal, at once where that is aborted", async () => {
    const reason = new Error("enough");
    const ended = new AbortController();
    const found = firstValue(createWatchable<number>(), undefined, ended.signal);
    ended.abort(reason);
    await assert.rejects(found, reason);
    await assert.rejects(firstValue(createWatchable(1), undefined, ended.signal), reason);
  });

  test("leaves nothing behind at its signal", async () => {
    const { signal } = new AbortController();
    const source = createWatchable<number>();
    const found = firstValue(source, undefined, signal);
    assert.equal(getEventListeners(signal, "abort").length, 1);
    source.set(1);
    await found;
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });
});

/** A run that takes until it is let go. */
function createSlowRun() {
  const runs: (() => void)[] = [];
  return { runs, run: () => new Promise<void>((resolve) => runs.push(resolve)) };
}

suite("coalesce", () => {
  test("a single call runs at the end of this turn, and not before", async () => {
    let runs = 0;
    const trigger = coalesce(() => void runs++);
    trigger();
    assert.equal(runs, 0);
    await nextTurn();
    assert.equal(runs, 1);
    await nextTurn();
    assert.equal(runs, 1);
  });

  test("calls of one turn are one run", async () => {
    let runs = 0;
    const trigger = coalesce(() => void runs++);
    for (let call = 0; call < 100; call++) trigger();
    await nextTurn();
    assert.equal(runs, 1);
    trigger();
    await nextTurn();
    assert.equal(runs, 2);
  });

  test("a storm while it runs is one run afterwards", async () => {
    const { runs, run } = createSlowRun();
    const trigger = coalesce(run, 0);
    trigger();
    await nextTurn();
    for (let call = 0; call < 100; call++) {
      trigger();
      await nextTurn();
    }
    assert.equal(runs.length, 1, "no second run beside the first");
    runs[0]!();
    await until("the second run", () => runs.length === 2);
    runs[1]!();
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    assert.equal(runs.length, 2);
  });

  test("it rests as long as it ran, at most for the limit", async (context) => {
    const rests = context.mock.method(globalThis, "setTimeout");
    for (const maxRestMs of [60_000, 5]) {
      let runs = 0;
      coalesce(() => {
        const began = performance.now();
        while (performance.now() - began < 20);
        runs++;
      }, maxRestMs)();
      for (let turn = 0; turn < 3; turn++) await nextTurn();
      assert.equal(runs, 1);
    }
    const [long, limited] = rests.mock.calls.map(({ arguments: [, ms], result }) => {
      clearTimeout(result);
      return Number(ms);
    });
    assert.equal(rests.mock.callCount(), 2);
    assert.ok(long! >= 20);
    assert.equal(limited, 5);
  });

  for (const [how, fail] of [
    ["throws", () => assert.fail("broken")],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ] as const) {
    test(`a run that ${how} is reported and stops no later one`, async () => {
      const errors: unknown[] = [];
      let runs = 0;
      const trigger = coalesce(
        () => (++runs === 1 ? fail() : undefined),
        0,
        (error) => errors.push(error),
      );
      trigger();
      await until("the error", () => errors.length === 1);
      assert.match(String(errors[0]), /broken/);
      trigger();
      await until("the second run", () => runs === 2);
      assert.equal(errors.length, 1);
    });
  }

  test("a call that came during a run that fails is not lost", async () => {
    let runs = 0;
    const trigger = coalesce(
      () => {
        if (++runs > 1) return;
        trigger();
        throw new Error("broken");
      },
      0,
      () => {},
    );
    trigger();
    await until("the second run", () => runs === 2);
  });

  test("by default an error is a warning of the process, which goes on", async () => {
    const script = `
      import { coalesce } from "./src/watchable.ts";
      let runs = 0;
      const trigger = coalesce(async () => {
        if (++runs === 1) throw new Error("broken run");
        console.log("ran again");
      });
      trigger();
      process.once("warning", trigger);`;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      cwd: new URL("..", import.meta.url),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    const [status] = await once(child, "close");
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "ran again\n");
    assert.match(stderr, /broken run/);
  });
});
