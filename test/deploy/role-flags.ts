import { Command } from "commander";
import { addAgentCommand } from "../../src/cli/agent.ts";
import { addCoreCommand } from "../../src/cli/core.ts";
import { addDiscoveryCommand } from "../../src/cli/discovery.ts";
import { addGatewayCommand } from "../../src/cli/gateway.ts";

const program = new Command();
for (const add of [addCoreCommand, addDiscoveryCommand, addAgentCommand, addGatewayCommand]) add(program);

/** The flags that a role knows, such as `--bind`. */
export function flagsOf(role: string): ReadonlySet<string> {
  const command = program.commands.find((one) => one.name() === role);
  if (!command) throw new Error(`there is no role ${role}`);
  return new Set(command.options.flatMap(({ long }) => long ?? []));
}
