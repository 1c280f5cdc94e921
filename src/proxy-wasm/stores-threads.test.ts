import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { until } from "../../test/peers/until.ts";
import { MetricKind } from "./abi.ts";
import { openSharedMemory, place } from "./shared-memory.ts";
import { attachStores, createStores, type SharedStoresToken, type Stores } from "./stores.ts";

// This file is the workers' too: each does one of these roles.

const rounds = 3000;

const roles: Readonly<Record<string, (stores: Stores, token: SharedStoresToken) => void>> = {
  /** Adds to one number by compare and set, and to metrics. */
  count(stores) {
    const data = stores.sharedData("vm");
    const counter = stores.metrics.define(MetricKind.Counter, "c") as number;
    const histogram = stores.metrics.define(MetricKind.Histogram, "h") as number;
    for (let i = 0; i < rounds; i++) {
      while (!addOne(data)) data.get("other");
      data.set(`own-${i % 10}`, Buffer.alloc((i * 37) % 500), 0);
      stores.metrics.increment(counter, 2n);
      stores.metrics.record(histogram, BigInt(i));
    }
    parentPort!.postMessage("done");
  },
  /** Answers each message with the same in capitals. */
  answer(stores) {
    const id: number = stores.queues.register("vm", "questions", () => {
      const text = Buffer.from(stores.queues.dequeue(id) as Uint8Array).toString();
      stores.queues.enqueue(stores.queues.resolve("vm", "answers")!, Buffer.from(text.toUpperCase()));
    }) as number;
    parentPort!.on("message", () => {});
    parentPort!.postMessage("ready");
  },
  /** Registers a queue and does nothing further. */
  register(stores) {
    stores.queues.register("vm", "q", () => {});
  },
  /** Never leaves the lock. */
  hold(_stores, { memory }) {
    const shared = openSharedMemory(memory);
    shared.locked(() => {
      shared.put(place.lastCas, 12_345);
      parentPort!.postMessage("inside");
      for (;;);
    });
  },
  /** Writes without end: it is terminated somewhere in the middle. */
  write(stores) {
    const data = stores.sharedData("vm");
    parentPort!.postMessage("ready");
    for (let i = 0; ; i++) {
      const content = Buffer.alloc((i * 7919) % 3000, i);
      data.set(`key-${i % 16}`, content, 0);
      stores.queues.enqueue(1, content);
      stores.queues.dequeue(1);
    }
  },
};

function addOne(data: ReturnType<Stores["sharedData"]>): boolean {
  const known = data.get("n");
  const next = Buffer.alloc(4);
  next.writeUInt32LE((known ? Buffer.from(known.value).readUInt32LE() : 0) + 1);
  return data.set("n", next, known?.cas ?? 0) === true;
}

/** A worker does not inherit tsx. */
const program = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(import.meta.url)})))`;

function start(role: string, stores: Stores): Worker {
  return new Worker(program, { eval: true, workerData: { role, token: stores.share() } });
}

if (isMainThread) defineTests();
else {
  const { role, token } = workerData as { role: string; token: SharedStoresToken };
  roles[role]!(attachStores(token), token);
}

function defineTests(): void {
  test("four threads that count by compare and set lose nothing", async () => {
    const stores = createStores({ maxBytes: 1 << 20 });
    // There before, as the first set of a key is unconditional.
    stores.sharedData("vm").set("n", Buffer.alloc(4), 0);
    const workers = [1, 2, 3, 4].map(() => start("count", stores));
    await Promise.all(workers.map((worker) => once(worker, "exit")));
    assert.equal(Buffer.from(stores.sharedData("vm").get("n")!.value).readUInt32LE(), 4 * rounds);
    const [counter, histogram] = stores.metrics.snapshot();
    assert.deepEqual(counter, { name: "c", kind: MetricKind.Counter, value: BigInt(8 * rounds) });
    assert.ok(histogram?.kind === MetricKind.Histogram);
    assert.equal(histogram.histogram.count, 4 * rounds);
    assert.equal(histogram.histogram.sum, BigInt((4 * rounds * (rounds - 1)) / 2));
  });

  test("messages go to the thread that registered the queue, and back", async () => {
    const stores = createStores();
    const answers: string[] = [];
    const id: number = stores.queues.register("vm", "answers", () => {
      answers.push(Buffer.from(stores.queues.dequeue(id) as Uint8Array).toString());
    }) as number;
    const worker = start("answer", stores);
    await once(worker, "message");
    const questions = stores.queues.resolve("vm", "questions")!;
    for (let i = 0; i < 100; i++) stores.queues.enqueue(questions, Buffer.from(`q${i}`));
    await until("a hundred answers", () => answers.length === 100);
    assert.deepEqual(
      answers,
      Array.from({ length: 100 }, (_, i) => `Q${i}`),
    );
    await worker.terminate();
  });

  test("a registered queue does not keep its thread alive", async () => {
    const stores = createStores();
    const [status] = await once(start("register", stores), "exit");
    assert.equal(status, 0);
    assert.equal(stores.queues.enqueue(1, Buffer.from("nobody listens")), true);
  });

  test("a thread that is terminated within the lock has done nothing, and holds nobody up", async () => {
    const stores = createStores();
    const data = stores.sharedData("vm");
    data.set("k", Buffer.from("v"), 0);
    const worker = start("hold", stores);
    await once(worker, "message");
    await worker.terminate();
    assert.equal(data.set("k", Buffer.from("w"), 0), true);
    assert.equal(data.get("k")!.cas, 2);
  });

  test("threads that are terminated in the middle of writing leave everything whole", async () => {
    const stores = createStores({ maxBytes: 1 << 20 });
    const data = stores.sharedData("vm");
    stores.queues.register("vm", "q", () => {});
    for (let round = 0; round < 3; round++) {
      const workers = [start("write", stores), start("write", stores)];
      await Promise.all(workers.map((worker) => once(worker, "message")));
      await pause(round * 5);
      await Promise.all(workers.map((worker) => worker.terminate()));
      for (let i = 0; i < 16; i++) {
        const found = data.get(`key-${i}`)?.value ?? new Uint8Array(0);
        assert.ok(found.every((byte) => byte === found[0]));
        assert.equal(data.set(`key-${i}`, Buffer.alloc(100 + i), 0), true);
      }
    }
    while (stores.queues.dequeue(1) !== "empty");
    stores.deleteVm("vm");
    assert.equal(stores.usedBytes(), 0);
    assert.equal(data.set("large", Buffer.alloc(700_000), 0), true);
  });

  test("places of threads that are gone are given out again", async () => {
    const stores = createStores();
    const { memory } = stores.share();
    for (let i = 0; i < 3; i++) await once(start("register", stores), "exit");
    assert.equal(openSharedMemory(memory).thread, 2);
  });
}
