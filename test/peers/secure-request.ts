import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";

/** A GET of https://example.com/ at a loopback port, with nobody's certificate checked. */
export async function getSecure(
  port: number,
  protocol: "http/1.1" | "h2",
): Promise<{ readonly status: number }> {
  const options = { servername: "example.com", rejectUnauthorized: false };
  if (protocol === "http/1.1") {
    const sent = request({
      host: "127.0.0.1",
      port,
      headers: { host: "example.com" },
      agent: false,
      ...options,
    });
    sent.end();
    const [response] = await once(sent, "response");
    response.resume();
    await once(response, "end");
    return { status: response.statusCode };
  }
  const session = connectHttp2(`https://127.0.0.1:${port}`, options);
  const stream = session.request({ ":path": "/", ":authority": "example.com" });
  const [headers] = await once(stream, "response");
  stream.resume();
  await once(stream, "end");
  session.close();
  await once(session, "close");
  return { status: headers[":status"] };
}

/**
 * A GET of a host at a loopback port, over a connection of its own. It fails unless the certificate that it is shown is
 * one of these, or of theirs, and for this host.
 */
export function getVerified(
  port: number,
  host: string,
  ca: readonly string[],
): Promise<{ readonly status: number | undefined; readonly fingerprint: string }> {
  return new Promise((resolve, reject) => {
    const where = { host: "127.0.0.1", port, servername: host, headers: { host } };
    const sent = request({ ...where, ca: [...ca], agent: false }, (response) => {
      const { fingerprint256: fingerprint } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume().once("end", () => resolve({ status: response.statusCode, fingerprint }));
      response.once("error", reject);
    });
    sent.on("error", reject).end();
  });
}
