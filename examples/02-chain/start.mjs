// Runs the chain of four: wasmline with its gateway, and the little server behind the example's service.
// Prints the requests to try, with the answers to expect. Ctrl-C stops all of it.
//   node examples/02-chain/start.mjs [FLAGS OF wasmline up, such as --gateway envoy or --port-offset 1000]
import { startExample } from "../start-example.mjs";

startExample(import.meta.dirname, {
  answer(request, response) {
    const { "x-mse-consumer": consumer = "nobody" } = request.headers;
    response.setHeader("x-internal", "of no interest outside");
    response.end(`${request.url} for ${consumer}\n`);
  },
  requests: (port) => `
In another terminal:

  curl -i -H 'Host: catalog.example.com' http://127.0.0.1:${port}/shoes            # 200  open to all: "/shoes for nobody"
  curl -i -H 'Host: orders.example.com' http://127.0.0.1:${port}/1                 # 401  key-auth's, as JSON by custom-response
  curl -i -H 'Host: orders.example.com' http://127.0.0.1:${port}/1?key=key-of-ann  # 200  "/1 for ann": transformer made a header of it
  curl -i -H 'Host: orders.example.com' http://127.0.0.1:${port}/1?key=key-of-ben  # 403  ben is not allowed here
  curl -i -H 'Host: closed.example.com' http://127.0.0.1:${port}/                  # 503  custom-response, before all others

Each leaves a line of easy-logger above.
`,
});
