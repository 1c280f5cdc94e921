import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { type AgentFlags, addAgentCommand, addAgentOptions, agentOptionsOf } from "./agent.ts";
import { addCommonOptions } from "./options.ts";

function optionsOf(...args: readonly string[]) {
  const command = new Command();
  addCommonOptions(command);
  addAgentOptions(command);
  command.parse(args, { from: "user" });
  return agentOptionsOf(command.opts<AgentFlags>());
}

test("what is said of registries", () => {
  const { registryAuthorities, unverifiedRegistries, allowPrivateRedirects } = optionsOf(
    ...["--registry-ca", "a.example.com=/etc/a.pem,b.example.com:5000=b=c.pem", "--registry-ca=c=d"],
    ...["--registry-skip-verify", "e.example.com", "--allow-private-redirects"],
  );
  assert.deepEqual(
    [...(registryAuthorities ?? [])],
    [
      ["a.example.com", "/etc/a.pem"],
      ["b.example.com:5000", "b=c.pem"],
      ["c", "d"],
    ],
  );
  assert.deepEqual(unverifiedRegistries, ["e.example.com"]);
  assert.equal(allowPrivateRedirects, true);
});

test("nearer addresses are allowed only by a word for it, in the environment too", () => {
  const name = "WASMLINE_ALLOW_PRIVATE_REDIRECTS";
  const before = process.env[name];
  try {
    delete process.env[name];
    assert.equal(optionsOf().allowPrivateRedirects, false);
    process.env[name] = "false";
    assert.equal(optionsOf().allowPrivateRedirects, false);
    process.env[name] = "true";
    assert.equal(optionsOf().allowPrivateRedirects, true);
    assert.equal(optionsOf("--allow-private-redirects", "false").allowPrivateRedirects, false);
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
});

test("where a gateway's admin interface is", () => {
  const parse = (...args: readonly string[]) => {
    const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addAgentCommand(program);
    const command = program.commands[0]!.action(() => {});
    program.parse(["agent", ...args], { from: "user" });
    return command.opts<AgentFlags>();
  };
  assert.deepEqual(parse("--gateway-admin", "[::1]:15000").gatewayAdmin, { address: "::1", port: 15000 });
  assert.equal(parse("--admin-bind", "127.0.0.1").adminBind, "127.0.0.1");
  for (const wrong of ["15000", "localhost", "localhost:70000", ":15000"])
    assert.throws(() => parse("--gateway-admin", wrong), /Expected host:port/);
});
