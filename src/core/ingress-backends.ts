import { create } from "@bufbuild/protobuf";
import {
  type HTTPRouteDestination,
  HTTPRouteDestinationSchema,
} from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { FieldPath } from "../resource/diagnostic.ts";
import type { Ingress, IngressBackend, Service, ServicePort } from "../resource/types.ts";
import { serviceHost } from "./config-names.ts";
import { tcpPorts } from "./convert-service.ts";
import { type IngressScope, placeIn, type Remark, report } from "./ingress-scope.ts";

type ServiceBackend = NonNullable<IngressBackend["service"]>;

/**
 * The destination that a backend stands for, undefined if there is none.
 *
 * As in Higress, a port given by number is taken as it is: the Service may be written later or be known to the gateway
 * from elsewhere, so a missing Service or port is only a warning. A port given by name needs its Service.
 */
export function resolveBackend(
  ingress: Ingress,
  backend: IngressBackend,
  path: FieldPath,
  scope: IngressScope,
): HTTPRouteDestination | undefined {
  if (!backend.service?.name) {
    report(scope, ingress, noService(backend, path));
    return undefined;
  }
  const { namespace } = ingress.metadata;
  const service = scope.findService(`${namespace}/${backend.service.name}`);
  if (service) scope.serviceUses.push({ service, at: placeIn(ingress, [...path, "service", "name"]) });
  const port = resolvePort(ingress, backend.service, service, path, scope);
  if (port === undefined) return undefined;
  return create(HTTPRouteDestinationSchema, {
    destination: { host: serviceHost(namespace, backend.service.name), port: { number: port } },
    weight: 100,
  });
}

function resolvePort(
  ingress: Ingress,
  { name, port = {} }: ServiceBackend,
  service: Service | undefined,
  path: FieldPath,
  scope: IngressScope,
): number | undefined {
  const given = port.number ? "number" : "name";
  const portPath = [...path, "service", "port"];
  const complain = (remark: Remark) => report(scope, ingress, remark);
  if (!port.number && !port.name) return void complain(noPort(name, portPath));
  if (given === "number" && !isPortNumber(port.number)) return void complain(badPort(port.number, portPath));
  const severity = given === "number" ? "warning" : "error";
  if (!service) complain(missingService(severity, ingress, name, path));
  const found = service && findPort(service, port);
  if (service && !found) complain(missingPort(severity, service, port, [...portPath, given]));
  return found?.port ?? port.number;
}

function findPort(service: Service, wanted: NonNullable<ServiceBackend["port"]>): ServicePort | undefined {
  return tcpPorts(service).find(({ port, name }) =>
    wanted.number ? port === wanted.number : name === wanted.name,
  );
}

function isPortNumber(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65535;
}

function noService(backend: IngressBackend, path: FieldPath): Remark {
  if (backend.resource !== undefined) {
    const { kind, name } = backend.resource;
    return {
      severity: "error",
      code: "BACKEND_UNSUPPORTED",
      path: [...path, "resource"],
      message: `backend is the resource ${kind} ${name}, expected a service; this route is left out`,
      hint: "name a Service in backend.service",
    };
  }
  return {
    severity: "error",
    code: "MISSING_FIELD",
    path,
    message: "backend names no Service; this route is left out",
    hint: "write backend.service.name and backend.service.port",
  };
}

function noPort(service: string, path: FieldPath): Remark {
  return {
    severity: "error",
    code: "MISSING_FIELD",
    path,
    message: `backend names no port of Service ${service}; this route is left out`,
    hint: "write service.port.number or service.port.name",
  };
}

function badPort(found: unknown, path: FieldPath): Remark {
  return {
    severity: "error",
    code: "INVALID_VALUE",
    path: [...path, "number"],
    message: `port is ${JSON.stringify(found)}, expected a whole number from 1 to 65535; this route is left out`,
  };
}

function missingService(
  severity: Remark["severity"],
  ingress: Ingress,
  name: string,
  path: FieldPath,
): Remark {
  const effect =
    severity === "error"
      ? "its port is given by name and cannot be resolved, so this route is left out"
      : "requests get 503 until there is one";
  return {
    severity,
    code: "BACKEND_NOT_FOUND",
    path: [...path, "service", "name"],
    message: `there is no Service ${name} in namespace ${ingress.metadata.namespace}; ${effect}`,
    hint: "create the Service in the namespace of the Ingress, or correct the name",
  };
}

function missingPort(
  severity: Remark["severity"],
  service: Service,
  { number, name }: NonNullable<ServiceBackend["port"]>,
  path: FieldPath,
): Remark {
  const ports = tcpPorts(service).map((port) => (port.name ? `${port.port} (${port.name})` : `${port.port}`));
  const effect = severity === "error" ? "this route is left out" : "requests get 503";
  return {
    severity,
    code: "PORT_NOT_FOUND",
    path,
    message: `Service ${service.metadata.name} has no TCP port ${number || JSON.stringify(name)}, it has ${ports.join(", ") || "none"}; ${effect}`,
    hint: "use a port of the Service (not of its Pods), or add it to the spec.ports of the Service",
  };
}
