export { Body, downstreamData, requestBody, responseBody, upstreamData } from "./body";
export { CallStatus, readCallStatus } from "./call-status";
export { currentTimeNanoseconds } from "./clock";
export { ConfigErrors } from "./config-errors";
export { describeValue, readBool, readNumber, readTexts, warnUnknown } from "./config-fields";
export {
  currentContext,
  enterContext,
  finishPlugin,
  PluginContext,
  PluginFactory,
  registerPlugin,
  setTickPeriod,
  StreamContext,
} from "./context";
export { Action, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType } from "./enums";
export { readEnvironment } from "./environment";
export { callForeignFunction, foreignArguments } from "./foreign-function";
export { grpcCall, GrpcMethod, GrpcReceiver, GrpcStream, openGrpcStream } from "./grpc-call";
export {
  Header,
  HeaderMap,
  requestHeaders,
  requestTrailers,
  responseHeaders,
  responseTrailers,
} from "./headers";
export { HttpAnswer, httpCall, HttpReceiver } from "./http-call";
export { Integer, parseInteger } from "./integer";
export { JsonResult, MAX_JSON_DEPTH, MAX_JSON_SIZE, parseJson } from "./json/parser";
export { formatNumber } from "./json/number";
export { JsonKind, JsonValue } from "./json/value";
export { quoteJson, writeJson } from "./json/writer";
export { closeStream, continueStream, LocalResponse } from "./local-response";
export {
  isLogged,
  log,
  logCritical,
  logDebug,
  logError,
  logInfo,
  logTrace,
  logValue,
  logWarn,
} from "./log";
export { Counter, Gauge, Histogram, Metric } from "./metrics";
export { HttpFilter, Plugin } from "./plugin";
export { Property } from "./properties";
export { parseQuery, QueryParameter, unescapeQuery } from "./query";
export { clusterName, RenamedProperty, routeName } from "./renamed-property";
export { RuleMatcher } from "./rules/rule-matcher";
export { getSharedData, setSharedData, setSharedText, SharedValue } from "./shared-data";
export { findQueue, registerQueue, SharedQueue } from "./shared-queue";
export { bytesOf, textOf } from "./text";
export { vmConfiguration } from "./vm";
