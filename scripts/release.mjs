// `npm run release`: version, changelog, package, checksums, commit and tag. See docs/releasing.md.

import { planRelease, preview, release } from "./lib/release.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, main, readArguments, step } from "./lib/ui.mjs";
import { checkBundleSize } from "./lib/wasm.mjs";

const HELP = `
npm run release -- --version X.Y.Z [--dry-run]: makes a release of what is committed.

Sets the version in package.json, package-lock.json, Cargo.toml and Cargo.lock, moves what
CHANGELOG.md has under Unreleased to the version, builds the Worker, and writes the npm
package and its SHA-256 checksum into dist/vX.Y.Z. Then makes the commit and the tag vX.Y.Z.
Pushes and publishes nothing; docs/releasing.md has the other steps.

  --version X.Y.Z   the new version; X.Y.Z-rc.1 and the like are fine
  --dry-run         show the changes and the package's files, and write nothing
`;

async function build() {
  await setUp();
  checkBundleSize();
}

await main(async () => {
  const { values } = readArguments(HELP, { version: { type: "string" }, "dry-run": { type: "boolean" } });
  if (values.version === undefined) {
    throw new Problem("--version is missing.", "Give the new one: npm run release -- --version 1.2.3");
  }
  const plan = planRelease(values.version, new Date());
  if (values["dry-run"]) {
    await build();
    console.log(preview(plan));
    return;
  }
  const { directory, tag } = await release(plan, build);
  step(`${tag} is committed and tagged; package and checksum are in ${directory}`);
  step("Next: step 4 of docs/releasing.md");
});
