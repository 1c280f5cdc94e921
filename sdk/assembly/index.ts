export { requestBody, responseBody, Body } from "./body";
export { currentTimeNanoseconds } from "./clock";
export { ConfigErrors } from "./config-errors";
export { describeValue, readBool, readNumber, readTexts, warnUnknown } from "./config-fields";
export { PluginContext, registerPlugin, StreamContext } from "./context";
export { Action, BufferType, LogLevel, MapType, Status, StreamType } from "./enums";
export {
  Header,
  HeaderMap,
  requestHeaders,
  requestTrailers,
  responseHeaders,
  responseTrailers,
} from "./headers";
export { Integer, parseInteger } from "./integer";
export { JsonResult, MAX_JSON_DEPTH, parseJson } from "./json/parser";
export { formatNumber } from "./json/number";
export { JsonKind, JsonValue } from "./json/value";
export { quoteJson, writeJson } from "./json/writer";
export { closeStream, continueStream, LocalResponse } from "./local-response";
export { isLogged, log, logDebug, logError, logInfo, logWarn } from "./log";
export { HttpFilter, Plugin } from "./plugin";
export { Property } from "./properties";
export { parseQuery, QueryParameter, unescapeQuery } from "./query";
export { clusterName, RenamedProperty, routeName } from "./renamed-property";
export { RuleMatcher } from "./rules/rule-matcher";
export { bytesOf, textOf } from "./text";
