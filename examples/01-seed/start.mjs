// Runs the chapter's example: wasmline with its gateway, and the little server behind the example's services.
// Prints the requests to try, with the answers to expect. Ctrl-C stops all of it.
//   npm start [-- FLAGS OF wasmline up, such as --gateway envoy or --port-offset 1000]
import { join, relative } from "node:path";
import { startExample } from "../start-example.mjs";

const file = relative(process.cwd(), join(import.meta.dirname, "custom-response.yaml"));

startExample(import.meta.dirname, {
  answer: (request, response) => response.end(`echo-server got ${request.url}\n`),
  requests: (port, offset) => `
The plugin custom-response answers by where a request goes. In another terminal:

  curl -i -H 'Host: foo.com'   http://127.0.0.1:${port}/    # domain:   key2: value2   {"hello":"foo"}
  curl -i -H 'Host: bar.com'   http://127.0.0.1:${port}/    # ingress:  key3: value3   {"hello":"bar"}
  curl -i -H 'Host: echo.com'  http://127.0.0.1:${port}/    # service:  key4: value4   {"hello":"echo server"}
  curl -i -H 'Host: other.com' http://127.0.0.1:${port}/    # default:  key1: value1   {"hello":"foo"}

Change a value in ${file}, save it, and ask again: it is in effect.
What core made of the files: curl -s 'http://127.0.0.1:${8888 + offset}/debug/configz?pretty'   Ctrl-C ends it.
`,
});
