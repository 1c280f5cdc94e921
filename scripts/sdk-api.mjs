// Writes sdk/docs/api.md from the comments of what sdk/assembly/index.ts exports. `node scripts/sdk-api.mjs`
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const folder = new URL("../sdk/assembly/", import.meta.url);
const declaration = /^export (?:declare )?(?:abstract )?(class|function|enum|const|interface|type) (\w+)/;
const member =
  /^ {2}(?:readonly |abstract |static )*(?:get )?(?!private|protected|constructor|if|for|return)(\w+)(?:<\w+>)?(?:\(|:| =)/;

/** The text of the API page. */
export async function describeApi() {
  const index = await readFile(new URL("index.ts", folder), "utf8");
  const parts = [];
  for (const [, names, file] of index.matchAll(/export \{([^}]+)\} from "\.\/([^"]+)";/g)) {
    const wanted = names
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean);
    parts.push({ file, items: readItems(await readFile(new URL(`${file}.ts`, folder), "utf8"), wanted) });
  }
  return page(parts.sort((a, b) => (a.file < b.file ? -1 : 1)));
}

/** What a file declares of these names: signature, comment, members. */
function readItems(source, wanted) {
  const lines = source.split("\n");
  const found = new Map();
  lines.forEach((line, at) => {
    const name = declaration.exec(line)?.[2];
    if (name && wanted.includes(name)) found.set(name, readItem(lines, at));
  });
  const missing = wanted.filter((name) => !found.has(name));
  if (missing.length > 0) throw new Error(`not declared where index.ts says: ${missing.join(", ")}`);
  return wanted.map((name) => found.get(name));
}

function readItem(lines, at) {
  const kind = declaration.exec(lines[at])[1];
  const item = {
    kind,
    name: declaration.exec(lines[at])[2],
    signature: signatureAt(lines, at),
    comment: commentAbove(lines, at),
    members: [],
  };
  if (kind === "function" || kind === "const" || kind === "type") return item;
  for (let i = at + 1; i < lines.length && lines[i] !== "}"; i++) {
    if (/^ {2}\w+(?: = .*)?,$/.test(lines[i]))
      item.members.push({ signature: lines[i].trim().replace(/,$/, ""), comment: commentAbove(lines, i) });
    else if (member.test(lines[i]))
      item.members.push({ signature: signatureAt(lines, i), comment: commentAbove(lines, i) });
    else if (/^ {4}readonly \w+/.test(lines[i]) && !lines[i].includes("private"))
      item.members.push({ signature: lines[i].trim().replace(/,$/, ""), comment: commentAbove(lines, i) });
  }
  return item;
}

/** A declaration up to its body, in one line. */
function signatureAt(lines, at) {
  let text = "";
  for (let i = at; i < lines.length; i++) {
    text += `${lines[i].trim()} `;
    if (/[{;]\s*$|=> \w+;/.test(lines[i])) break;
  }
  return text
    .replace(/\s*(\{\s*|;\s*)$/, "")
    .replace(/^export /, "")
    .replaceAll("( ", "(")
    .replaceAll(", )", ")")
    .trim();
}

/** The comment that ends on the line above. */
function commentAbove(lines, at) {
  let end = at - 1;
  while (end >= 0 && /^\s*@/.test(lines[end])) end--;
  if (!lines[end]?.trim().endsWith("*/")) return "";
  let start = end;
  while (!lines[start].trim().startsWith("/**")) start--;
  const text = lines.slice(start, end + 1).map((line) =>
    line
      .trim()
      .replace(/^\/\*\*|\*\/$|^\*/g, "")
      .trim(),
  );
  return text
    .join(" ")
    .replace(/\s*\*\/$/, "")
    .trim();
}

function page(parts) {
  const head =
    "# The plugin library\n\nMade by `node scripts/sdk-api.mjs` from the comments in `sdk/assembly`.\n";
  const sections = parts.map(({ file, items }) => `\n## ${file}\n\n${items.map(showItem).join("\n")}`);
  return `${head}${sections.join("")}`;
}

function showItem({ signature, comment, members }) {
  const list = members.map((each) => `- \`${each.signature}\`${each.comment && ` — ${each.comment}`}\n`);
  return `### \`${signature}\`\n\n${comment}\n${list.length > 0 ? `\n${list.join("")}` : ""}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(new URL("../docs/api.md", folder), await describeApi());
}
