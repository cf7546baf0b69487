// The command line of the benchmark.
import { Problem, readArguments } from "../scripts/lib/ui.mjs";

export const PARTS = ["hello", "insert", "group", "read", "proxy", "pass", "accept", "status", "jobs", "records", "cost", "start", "drops", "size"];

const HELP = `Benchmark on workerd itself. Needs Linux, and wrk (or oha) on the PATH.

  npm run bench -- [options]

  --quick           about two minutes: two rounds, fewer records
  --only NAME[,..]  only these: ${PARTS.join(", ")}
  --bundle DIR      a built Worker to measure (default: build this one)
  --workerd FILE    the runtime (default: the one that wrangler brings)
  --json FILE       write every figure to FILE as well
  --help            this text
`;

/** Full runs take about a quarter of an hour, quick ones about two minutes, on a two-core machine. */
const FULL = {
  rounds: 16, seconds: 1, warmUpSecondsMax: 10, jobSeconds: 3, connections: [16, 64],
  recordTargets: [1_000, 10_000, 100_000], fillSecondsMax: 90,
  startRounds: 5, startRows: { ended: 1_000_000, active: 10_000 },
};
const QUICK = {
  rounds: 2, seconds: 1, warmUpSecondsMax: 2, jobSeconds: 1, connections: [16, 64],
  recordTargets: [1_000, 5_000], fillSecondsMax: 8,
  startRounds: 1, startRows: { ended: 50_000, active: 500 },
};

export function readOptions() {
  const { values } = readArguments(HELP, {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    bundle: { type: "string" },
    workerd: { type: "string" },
    json: { type: "string" },
  });
  const only = values.only.flatMap((names) => names.split(","));
  const unknown = only.find((name) => !PARTS.includes(name));
  if (unknown !== undefined) throw new Problem(`--only ${unknown}: not one of ${PARTS.join(", ")}`);
  const wants = (name) => only.length === 0 || only.includes(name);
  return { ...values, wants, ...(values.quick ? QUICK : FULL) };
}
