// Parses each file named on the command line and runs none: a module where it imports or exports, else a script.
import { readFileSync } from "node:fs";
import { Script } from "node:vm";
import { spawnSync } from "node:child_process";

let failed = 0;
for (const path of process.argv.slice(2)) {
  const source = readFileSync(path, "utf8");
  try {
    new Script(source, { filename: path });
  } catch {
    const checked = spawnSync(process.execPath, ["--input-type=module", "--check", "-"], { input: source, encoding: "utf8" });
    if (checked.status !== 0) {
      failed += 1;
      console.error(`${path}:\n${checked.stderr}`);
    }
  }
}
process.exitCode = failed ? 1 : 0;
