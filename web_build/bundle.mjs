// Bundles each entry of web/ with all that it imports into one file of the same name; nothing is shortened or renamed.
// stdin: {web: folder, out: folder, entries: [names], libraries: the node_modules that packages come from};
// the last line of stdout: every file that was read, its real absolute path.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "esbuild-wasm";

const { web, out, entries, libraries } = JSON.parse(readFileSync(0, "utf8"));
const { metafile } = await build({
  absWorkingDir: web,
  bundle: true,
  charset: "utf8",
  entryPoints: entries,
  format: "esm",
  logLevel: "error",
  metafile: true,
  nodePaths: [libraries],
  outbase: web,
  outdir: out,
});
console.log(JSON.stringify(Object.keys(metafile.inputs).map((path) => resolve(web, path))));
process.exit(0);
