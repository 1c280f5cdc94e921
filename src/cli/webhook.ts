import type { Command } from "commander";
import { serveWebhook } from "../core/admission/serve-webhook.ts";
import type { ConvertOptions } from "../core/convert-options.ts";
import type { Log } from "../log.ts";
import { addOption, addPort, type CommonOptions, withOffset } from "./options.ts";

/** The validating admission webhook. */
export interface WebhookFlags {
  readonly webhookPort: number;
  readonly webhookCert: string | undefined;
  readonly webhookKey: string | undefined;
}

export function addWebhookOptions(command: Command): void {
  addPort(
    command,
    "webhook-port",
    9443,
    "core's HTTPS for the admission webhook, where it has a certificate",
  );
  addOption(
    command,
    "--webhook-cert <path>",
    "serves the admission webhook with this certificate, a file in PEM that is read again when it changes",
  );
  addOption(command, "--webhook-key <path>", "the key of --webhook-cert");
  command.hook("preAction", (called) => {
    const { webhookCert, webhookKey } = called.opts<WebhookFlags>();
    if ((webhookCert === undefined) !== (webhookKey === undefined))
      called.error("error: --webhook-cert and --webhook-key need each other");
  });
}

/** Serves the webhook where it has a certificate. */
export async function startWebhook(
  flags: WebhookFlags & CommonOptions,
  convert: ConvertOptions,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { bind, webhookCert: certFile, webhookKey: keyFile } = flags;
  if (certFile === undefined || keyFile === undefined) return;
  const port = withOffset(flags, flags.webhookPort);
  await serveWebhook({ bind, port, certFile, keyFile, convert, log, signal });
}
