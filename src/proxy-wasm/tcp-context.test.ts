import assert from "node:assert/strict";
import { test } from "node:test";
import type { Step } from "../../test/peers/guest-module.ts";
import { createGuestHost } from "../../test/peers/start-guest.ts";
import { Body, PeerType, type TcpCallbacks } from "./index.ts";

const show = (name: string, ...parameters: (string | number)[]): Step => ({
  show: `proxy_${name}`,
  with: parameters as never,
});
const say = (text: string): Step => ({ call: "proxy_log", with: [2, text] });

/** A connection, and what the guest did to it. */
function connection() {
  const did: string[] = [];
  const callbacks: TcpCallbacks = {
    close: (side) => did.push(`close ${side}`),
    resume: () => did.push("resume"),
    property: (path) => (path.join(".") === "source.address" ? "10.0.0.1:1" : undefined),
  };
  return { did, callbacks };
}

test("a connection's data is read, changed and held, and its end is told", async () => {
  const guest = createGuestHost();
  const plugin = await guest.start({
    callbacks: {
      on_context_create: [say("create")],
      on_new_connection: [show("get_property", "source\0address", "OUT", "OUT_SIZE")],
      on_downstream_data: [
        show("get_buffer_bytes", 2, 0, 9, "OUT", "OUT_SIZE"),
        show("set_buffer_bytes", 2, 0, 9, "changed"),
        { give: 1 },
      ],
      on_upstream_data: [
        show("get_buffer_bytes", 3, 0, 9, "OUT", "OUT_SIZE"),
        show("continue_stream", 2),
        show("close_stream", 3),
        show("continue_stream", 3),
      ],
      on_downstream_connection_close: [say("closed")],
      on_done: [say("done")],
      on_log: [say("log")],
      on_delete: [say("delete")],
    },
  });
  const { did, callbacks } = connection();
  const context = plugin.createTcpContext(callbacks);
  assert.equal(context.onNewConnection(), 0);
  const data = new Body(Buffer.from("down"));
  assert.equal(context.onData("downstream", data, false), 1);
  assert.equal(Buffer.from(data.bytes()).toString(), "changed");
  assert.equal(context.onData("upstream", new Body(Buffer.from("up")), true), 0);
  context.onClose("downstream", PeerType.Remote);
  context.end();
  assert.equal(
    guest.logs().join(" "),
    "create create A 10.0.0.1:1 A down A A up A A M closed done log delete",
  );
  assert.deepEqual([did, plugin.status().streams], [["resume", "close upstream"], 0]);
});

test("connections of a plugin whose Vm is lost are closed, or go on", async () => {
  for (const [failStrategy, action, expected] of [
    ["close", 1, ["close downstream", "close upstream"]],
    ["open", 0, ["resume"]],
  ] as const) {
    const guest = createGuestHost();
    const plugin = await guest.start({ callbacks: { on_downstream_data: ["trap"] } }, { failStrategy });
    const [one, other] = [connection(), connection()];
    const context = plugin.createTcpContext(one.callbacks);
    const neighbour = plugin.createTcpContext(other.callbacks);
    assert.equal(context.onData("downstream", new Body(), false), action);
    assert.deepEqual(other.did, expected);
    context.end();
    neighbour.end();
  }
});

test("a plugin is called from outside by a foreign function", async () => {
  const guest = createGuestHost();
  const plugin = await guest.start({
    callbacks: { on_foreign_function: [show("get_buffer_bytes", 8, 0, 9, "OUT", "OUT_SIZE")] },
  });
  plugin.callForeignFunction(1, Buffer.from("argument"));
  assert.deepEqual(guest.logs(), ["A", "argument"]);
});

test("ABI 0.1.0 reads configurations and goes on by functions of its own", async () => {
  const guest = createGuestHost();
  const configuration = show("get_configuration", "OUT", "OUT_SIZE");
  await guest.start(
    {
      abi: "0.1.0",
      callbacks: {
        on_vm_start: [configuration],
        on_configure: [
          configuration,
          show("continue_request"),
          show("continue_response"),
          show("clear_route_cache"),
        ],
      },
    },
    { vmConfiguration: "of the vm", configuration: "of it" },
  );
  assert.equal(guest.logs().join(" "), "A of the vm A of it A A A");
});
