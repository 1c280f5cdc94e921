/** What conversion depends on besides the resources. The names and defaults are those of Higress' controller flags. */
export interface ConvertOptions {
  /** The only namespace whose WasmPlugins count; its Ingresses' route names carry no namespace. */
  readonly systemNamespace: string;
  /** Label of the gateways that everything applies to. */
  readonly gatewaySelector: { readonly key: string; readonly value: string };
  /** Which Ingresses count: their class exactly; "nginx" takes class-less ones too; "" takes all. */
  readonly ingressClass: string;
  readonly gatewayHttpPort: number;
  readonly gatewayHttpsPort: number;
  /** Address that gateways listen on; "" for all. */
  readonly gatewayBind: string;
  /** Part of credential names and of Gateway server names. */
  readonly clusterId: string;
}

export const defaultConvertOptions: ConvertOptions = {
  systemNamespace: "higress-system",
  gatewaySelector: { key: "higress", value: "higress-system-higress-gateway" },
  ingressClass: "",
  gatewayHttpPort: 80,
  gatewayHttpsPort: 443,
  gatewayBind: "",
  clusterId: "Kubernetes",
};
