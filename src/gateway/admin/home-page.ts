import type { Page } from "../../http-server.ts";
import type { AdminCommand } from "./admin-server.ts";

/** `/help`: each command, with its parameters. */
export function helpText(commands: ReadonlyMap<string, AdminCommand>): string {
  return `admin commands are:\n${sorted(commands).map(commandText).join("")}`;
}

function commandText({ path, help, mutates, params = [] }: AdminCommand): string {
  const lines = [
    `  ${path}${mutates ? " (POST)" : ""}: ${help}`,
    ...params.map((param) => `      ${param.name}: ${param.help}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** `/`: links to what may be read, buttons for what changes something. */
export function homePage(commands: ReadonlyMap<string, AdminCommand>): Page {
  const rows = sorted(commands).map(
    ({ path, help, mutates }) =>
      `<tr><td>${mutates ? button(path) : `<a href="${path.slice(1)}">${label(path)}</a>`}</td><td>${escapeHtml(help)}</td></tr>\n`,
  );
  return htmlPage(`<table>\n<tr><th>Command</th><th>Description</th></tr>\n${rows.join("")}</table>\n`);
}

export function htmlPage(content: string): Page {
  const style = "body,table{font-family:sans-serif}td,th{text-align:left;padding:4px}form{margin:0}";
  const head = `<meta charset="utf-8"><title>Envoy Admin</title><style>${style}</style>`;
  return {
    type: "text/html; charset=UTF-8",
    body: `<!DOCTYPE html>\n<html lang="en"><head>${head}</head>\n<body>\n${content}</body></html>\n`,
  };
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function button(path: string): string {
  return `<form action="${path.slice(1)}" method="post"><button>${label(path)}</button></form>`;
}

function label(path: string): string {
  return path.slice(1) || "home";
}

function sorted(commands: ReadonlyMap<string, AdminCommand>): AdminCommand[] {
  return [...commands.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}
