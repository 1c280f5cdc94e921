import { fc } from "../../peers/properties.ts";
import { pick } from "./values.ts";

/** Format strings whose value is the same in both gateways. */
const formats = [
  ..."v %REQ(x-a)% %%100%REQ(X-NONE?x-b)% %REQ(:path):3% %REQ(x-none)% %PROTOCOL% <%REQ(x-a)%|%RESP(x-a)%>".split(
    " ",
  ),
  ..."%ROUTE_NAME% %UPSTREAM_CLUSTER% %RESPONSE_CODE% %RESP(:status)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".split(
    " ",
  ),
  ..."%UPSTREAM_HOST% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %QUERY_PARAM(q)% %PATH(NQ:PATH)% %REQ(:method)%".split(
    " ",
  ),
  ..."%DYNAMIC_METADATA(a:b)% %START_TIME(%Y-x)% %UPSTREAM_PROTOCOL% %BYTES_RECEIVED% %REQ(X-B?:AUTHORITY):2%".split(
    " ",
  ),
];

const addition = (names: readonly string[]) =>
  fc
    .tuple(
      pick(names),
      pick(formats),
      pick([
        "APPEND_IF_EXISTS_OR_ADD",
        "ADD_IF_ABSENT",
        "OVERWRITE_IF_EXISTS_OR_ADD",
        "OVERWRITE_IF_EXISTS",
        "append",
      ]),
      fc.boolean(),
    )
    .map(([key, value, action, keep_empty_value]) => ({
      header: { key, value },
      ...(action === "append" ? { append: keep_empty_value } : { append_action: action }),
      keep_empty_value,
    }));

const changed = ["x-a", "x-b", "x-new", "X-New-2"];

/** What a table, virtual host, route or weighted cluster does to headers. */
export const headerEdits = fc
  .tuple(
    fc.array(addition([...changed, "cookie", "accept"]), { maxLength: 3 }),
    fc.subarray(["x-a", "x-b"], { maxLength: 1 }),
    fc.array(addition([...changed, "set-cookie", "vary"]), { maxLength: 2 }),
    fc.subarray(["x-a", "x-b", "x-upstream", "server"], { maxLength: 1 }),
  )
  .map(
    ([
      request_headers_to_add,
      request_headers_to_remove,
      response_headers_to_add,
      response_headers_to_remove,
    ]) => ({
      ...{ request_headers_to_add, request_headers_to_remove },
      ...{ response_headers_to_add, response_headers_to_remove },
    }),
  );
