// `npm run release`: version, changelog, package, checksums, commit and tag. See docs/releasing.md.

import { planRelease, preview, release } from "./lib/release.mjs";
import { setUp } from "./lib/setup.mjs";
import { Problem, main, readArguments, step } from "./lib/ui.mjs";
import { checkBundleSize } from "./lib/wasm.mjs";

const HELP = `
npm run release -- --version X.Y.Z [--dry-run]: prepares a release of the committed files.

Sets the version in package.json, package-lock.json, Cargo.toml and Cargo.lock, moves the
Unreleased section of CHANGELOG.md to the version, builds the Worker, and writes the npm
package and its SHA-256 checksum to dist/vX.Y.Z. Then creates the commit and the tag vX.Y.Z.
Pushes and publishes nothing; see docs/releasing.md for the remaining steps.

  --version X.Y.Z   the new version, or a pre-release such as X.Y.Z-rc.1
  --dry-run         show the changes and the package's files, and write nothing
`;

async function build() {
  await setUp();
  checkBundleSize();
}

await main(async () => {
  const { values } = readArguments(HELP, { version: { type: "string" }, "dry-run": { type: "boolean" } });
  if (values.version === undefined) {
    throw new Problem("--version is missing.", "Give the new version: npm run release -- --version 1.2.3");
  }
  const plan = planRelease(values.version, new Date());
  if (values["dry-run"]) {
    await build();
    console.log(preview(plan));
    return;
  }
  const { directory, tag } = await release(plan, build);
  step(`Committed and tagged ${tag}; the package and its checksum are in ${directory}`);
  step("Next: step 4 of docs/releasing.md");
});
