import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Diagnostic } from "../../resource/diagnostic.ts";
import type { PluginReport } from "../../xds/plugin-report.ts";
import { type PluginFacts, pluginStatus } from "./conditions.ts";

const plugin = { namespace: "ns", name: "p", state: "accepted", lastGood: false } as const;
const report: PluginReport = {
  ...{ name: "ns.p", version: "v1", gateways: 2, programmed: 2, refused: 0, refusals: [] },
  modules: { "sha256:a": 2 },
};
const facts: PluginFacts = {
  ...{ plugin, diagnostics: [], holdsSecrets: false, report },
  ...{ hasListeners: true, following: "yes" },
};
const noMatch: Diagnostic = {
  ...{ severity: "error", code: "RULE_NO_MATCH", message: "rule has no domain", hint: "say where" },
  at: { ref: { kind: "WasmPlugin", namespace: "ns", name: "p" }, path: ["spec", "matchRules", 1] },
};
const refusal = { gateway: "g1", reason: "bad config", hasModule: true };

/** The conditions as text, `type=status reason: message`. */
function said(more: Partial<PluginFacts>): readonly string[] {
  return pluginStatus({ ...facts, ...more }).conditions.map(
    ({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`,
  );
}

suite("conditions of a plugin", () => {
  test("in effect on all gateways", () => {
    assert.deepEqual(said({}), [
      "Accepted=True Accepted: it is sent to gateways",
      "Resolved=True Resolved: sha256:a",
      "Programmed=True Programmed: 2 of 2 gateways run it",
    ]);
    const { gateways, digest, isPending } = pluginStatus(facts);
    assert.deepEqual([gateways, digest, isPending], [{ total: 2, programmed: 2 }, "sha256:a", false]);
  });

  test("not accepted: every error with its field, and what runs in its place", () => {
    const rejected = { ...plugin, state: "rejected" } as const;
    const second = { ...noMatch, at: { ...noMatch.at, path: ["spec", "matchRules", 3] } };
    assert.deepEqual(said({ plugin: rejected, diagnostics: [noMatch, second], report: undefined }), [
      "Accepted=False RuleNoMatch: spec.matchRules[1]: rule has no domain (say where); spec.matchRules[3]: rule has no domain (say where)",
      "Resolved=Unknown NotAccepted: it is not sent to gateways",
      "Programmed=False NotAccepted: it is not sent to gateways",
    ]);
    const [accepted, , programmed] = said({
      plugin: { ...rejected, lastGood: true },
      diagnostics: [noMatch],
    });
    assert.match(accepted!, /; its last good version stays in effect$/);
    assert.match(programmed!, /they stay with the last good one$/);
  });

  test("not read at all", () => {
    assert.match(said({ plugin: undefined, diagnostics: [noMatch] })[0]!, /^Accepted=False RuleNoMatch: /);
  });

  test("accepted with a remark", () => {
    const warning: Diagnostic = {
      ...noMatch,
      severity: "warning",
      message: "unknown field",
      hint: undefined,
    };
    assert.equal(
      said({ diagnostics: [warning] })[0],
      "Accepted=True Accepted: it is sent to gateways; spec.matchRules[1]: unknown field",
    );
  });

  test("switched off", () => {
    assert.deepEqual(said({ plugin: { ...plugin, state: "disabled" }, report: undefined }), [
      "Accepted=True Disabled: it is switched off",
      "Resolved=Unknown Disabled: it is switched off",
      "Programmed=False Disabled: it is switched off",
    ]);
  });

  test("refused by some, with their words", () => {
    const some = { ...report, programmed: 1, refused: 1, refusals: [refusal] };
    assert.equal(
      said({ report: some })[2],
      "Programmed=False Refused: 1 of 2 gateways runs it; 1 gateway refused it: g1: bad config",
    );
    assert.match(said({ report: some })[1]!, /^Resolved=True/);
  });

  test("the words of a plugin that holds Secrets stay in the log", () => {
    const some = { ...report, programmed: 1, refused: 1, refusals: [refusal] };
    const all = said({ report: some, holdsSecrets: true }).join();
    assert.ok(!all.includes("bad config"));
    assert.match(all, /in the agent's log only/);
  });

  test("a module that is not to be had", () => {
    const refusals = [{ ...refusal, reason: "no such image", hasModule: false }];
    const none = { ...report, programmed: 0, refused: 2, refusals, modules: {} };
    assert.equal(said({ report: none })[1], "Resolved=False ModuleUnavailable: g1: no such image");
  });

  test("gateways with different modules", () => {
    const modules = { "sha256:a": 1, "sha256:b": 1 };
    assert.equal(
      said({ report: { ...report, modules } })[1],
      "Resolved=True ModulesDiffer: gateways run sha256:a (1 gateway), sha256:b (1 gateway)",
    );
    assert.equal(pluginStatus({ ...facts, report: { ...report, modules } }).digest, undefined);
  });

  test("on its way", () => {
    const status = pluginStatus({ ...facts, report: { ...report, programmed: 1, modules: {} } });
    assert.ok(status.isPending);
    assert.deepEqual(
      status.conditions.map(({ status: value, reason }) => [value, reason]),
      [
        ["True", "Accepted"],
        ["Unknown", "Pending"],
        ["False", "Pending"],
      ],
    );
  });

  test("nowhere", () => {
    assert.match(said({ report: undefined })[2]!, /^Programmed=False NoGateways: /);
  });

  test("an Envoy without our agent does not say which module it runs", () => {
    assert.match(said({ report: { ...report, modules: {} } })[1]!, /^Resolved=Unknown NotReported: /);
  });

  test("nobody is asked, or nobody answers", () => {
    assert.match(said({ following: "no" })[2]!, /^Programmed=Unknown NotFollowed: .*--discovery-status/);
    assert.match(said({ following: "away" })[2]!, /^Programmed=Unknown DiscoveryUnreachable: /);
  });

  test("a message is no longer than Kubernetes takes", () => {
    const long = { ...refusal, reason: "x".repeat(40_000) };
    const some = { ...report, programmed: 1, refused: 1, refusals: [long] };
    assert.equal(said({ report: some })[2]!.length, "Programmed=False Refused: ".length + 32_768);
  });
});
