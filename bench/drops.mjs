// How long dropping a table blocks its object, by the table's contents. For each sample, the table is filled, the
// runtime is restarted, so that SQLite has no page of it in memory, and one request drops it.
import { median } from "./report.mjs";

const KIB = 1024;

/** `ROWS_MAX` of src/shard/partition.rs is the first. The last two are for comparison: no partition grows so large. */
const CASES = [
  { rows: 16_384, result: 0, rounds: 5 },
  { rows: 4_096, result: 64 * KIB, rounds: 5 },
  { rows: 100_000, result: 0, rounds: 3, quick: false },
  { rows: 1_000_000, result: 0, rounds: 1, quick: false },
];

const EMPTY_REQUESTS = 20;

const subject = { name: "drops", main: "drops.js", stores: true };

async function timed(url, tables) {
  const began = performance.now();
  const response = await fetch(url, { method: "POST" });
  const found = response.ok ? (await response.json()).tables : `status ${response.status}`;
  if (found !== tables) throw new Error(`${url}: ${found} tables instead of ${tables}`);
  return performance.now() - began;
}

async function once(bench, { rows, result }) {
  const runtime = await bench.start(subject);
  try {
    await timed(`${runtime.url()}/fill?rows=${rows}&result=${result}`, 1);
    await runtime.restart();
    const empty = [];
    for (let count = 0; count < EMPTY_REQUESTS; count += 1) empty.push(await timed(`${runtime.url()}/`, 1));
    const dropping = timed(`${runtime.url()}/drop`, 0);
    const other = timed(`${runtime.url()}/`, 0);
    return { drop: await dropping, other: await other, empty: median(empty) };
  } catch (error) {
    throw await runtime.explain("drops", error);
  } finally {
    await runtime.stop();
  }
}

/** The median of each case. */
export async function timeDrops(bench) {
  const lines = [];
  for (const { rounds, quick = true, ...table } of CASES) {
    if (bench.quick && !quick) continue;
    const samples = [];
    for (let round = 1; round <= (bench.quick ? 1 : rounds); round += 1) {
      bench.progress(`dropping ${table.rows} rows, round ${round}`);
      samples.push(await once(bench, table));
    }
    const of = (figure) => median(samples.map((sample) => sample[figure]));
    const slowest = Math.max(...samples.map(({ drop }) => drop));
    lines.push({ ...table, rounds: samples.length, drop: of("drop"), slowest, other: of("other"), empty: of("empty"), samples });
  }
  return lines;
}
