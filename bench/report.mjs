// Medians, ratios and the printed tables.
import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { modulesFrom } from "./modules.mjs";

const GZIP_LEVEL = 9;

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The quantile of the rounds at `share`. */
const quantile = (numbers, share) => [...numbers].sort((a, b) => a - b)[Math.round(share * (numbers.length - 1))];

const FIGURES = ["perSecond", "cpuMicros", "p50", "p90", "p99", "memoryMiB"];

/** One line per subject and number of connections, in that order: the median of each figure over the rounds. */
export function summarize(samples, subjects) {
  const place = ({ subject }) => subjects.findIndex(({ name }) => name === subject);
  const ordered = [...samples].sort((a, b) => place(a) - place(b) || a.connections - b.connections);
  const groups = groupBy(ordered, keyOf);
  return [...groups.values()].map((group) => {
    const [{ subject, connections }] = group;
    const medians = Object.fromEntries(FIGURES.map((figure) => [figure, median(group.map((sample) => sample[figure]))]));
    return { subject, connections, rounds: group.length, ...medians };
  });
}

const keyOf = ({ subject, connections }) => `${subject}/${connections}`;

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

/** CPU and throughput of ours over the baseline: the median over rounds of the ratio within one round. */
export function ratios(samples, pairs) {
  const lines = [];
  for (const { ours, base } of pairs) {
    for (const connections of [...new Set(samples.map((sample) => sample.connections))].sort((a, b) => a - b)) {
      const of = (name) => samples.filter((sample) => sample.subject === name && sample.connections === connections);
      const paired = of(ours).flatMap((mine) => of(base).filter((other) => other.round === mine.round).map((other) => [mine, other]));
      if (paired.length === 0) continue;
      const each = (figure) => paired.map(([mine, other]) => mine[figure] / other[figure]);
      const cpu = each("cpuMicros");
      const spread = { lower: quantile(cpu, 1 / 4), upper: quantile(cpu, 3 / 4) };
      lines.push({ ours, base, connections, cpu: median(cpu), spread, perSecond: median(each("perSecond")) });
    }
  }
  return lines;
}

const compressed = (path) => gzipSync(readFileSync(path), { level: GZIP_LEVEL }).length;

/** Bytes of every module of the bundle, raw and gzipped one by one. */
export function bundleSize(directory) {
  const files = [...modulesFrom(directory, "index.js")].map((name) => {
    const path = join(directory, name);
    return { name, raw: readFileSync(path).length, gzipped: compressed(path) };
  });
  const total = (figure) => files.reduce((bytes, file) => bytes + file[figure], 0);
  return { files, raw: total("raw"), gzipped: total("gzipped") };
}

const number = (value, digits = 0) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A Markdown table, so that a result can go into the documents as it is printed. */
export function table(headings, rows) {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(headings), rule, ...rows.map(line)].join("\n");
}

export function timedTable(summary, subjects) {
  const title = (name) => subjects.find((subject) => subject.name === name).title;
  const headings = ["subject", "connections", "requests/s", "p50 ms", "p90 ms", "p99 ms", "CPU µs/request", "peak MiB"];
  const rows = summary.map((line) => [
    title(line.subject), number(line.connections), number(line.perSecond), number(line.p50, 1), number(line.p90, 1), number(line.p99, 1),
    number(line.cpuMicros), number(line.memoryMiB),
  ]);
  return table(headings, rows);
}

export function ratioTable(lines) {
  const rows = lines.map((line) => [`${line.ours} / ${line.base}`, number(line.connections), number(line.cpu, 2),
    `${number(line.spread.lower, 2)}–${number(line.spread.upper, 2)}`, number(line.perSecond, 2)]);
  return table(["ratio", "connections", "CPU", "middle half of the rounds", "requests/s"], rows);
}

export function sizeTable(size) {
  const rows = [...size.files, { name: "total", ...size }].map((file) => [file.name, number(file.raw / 1024, 1), number(file.gzipped / 1024, 1)]);
  return table(["module", "KiB", "KiB gzipped"], rows);
}

export function jobsTable(lines) {
  const headings = ["connections", "jobs/s", "CPU µs/job", "attempts/job", "messages/job", "peak MiB"];
  const rows = lines.map((line) => [
    number(line.connections), number(line.perSecond), number(line.cpuMicros), number(line.attemptsPerJob, 3), number(line.messagesPerJob, 3),
    number(line.memoryMiB),
  ]);
  return table(headings, rows);
}

export function recordsTable({ near }) {
  const rows = near.map(({ target, reached, cpuMicros, p50 }) =>
    reached ? [number(target), number(cpuMicros), number(p50, 1)] : [number(target), "not reached in time", ""],
  );
  return table(["records", "CPU µs/accept", "p50 ms"], rows);
}

export function startTable({ lines }) {
  const rows = lines.map((line) => {
    const empty = lines.find(({ shard, first }) => shard === "empty" && first === line.first);
    return [
      `${line.shard}, ${line.first} first`, number(line.firstMs, 1), number(line.firstMs / empty.firstMs, 2), number(line.longestTurnMs, 1),
      number(line.slowestMs, 1), number(line.loadedMs), number(line.pages),
    ];
  });
  const headings = ["shard", "first request ms", "of the empty shard's", "longest stretch ms", "slowest request after it ms", "all read after ms", "pages"];
  return table(headings, rows);
}

export function dropsTable(lines) {
  const rows = lines.map((line) => [
    number(line.rows), line.result ? `${line.result / 1024} KiB` : "none", number(line.drop, 1), number(line.slowest, 1), number(line.other, 1),
    number(line.empty, 1), number(line.rounds),
  ]);
  return table(["rows of 1.5 KB", "with a result of", "drop ms", "slowest ms", "request behind it ms", "empty request ms", "rounds"], rows);
}

export function costTable({ jobs, work, expiredJobs, expiry }, { lines, dollars }) {
  const rows = lines.map((line) => [
    line.label, number(line.work, 3), number(line.expiry, 3), `$${number(line.perMillion, 3)}`, `$${number(line.dollars, 2)}`,
  ]);
  const alarms = [work.setAlarms / jobs, expiry.setAlarms / expiredJobs].map((count) => number(count, 3));
  rows.push(["of the rows: setAlarm", ...alarms, "", ""], ["total", "", "", "", `$${number(dollars, 2)}`]);
  const priced = table(["operation", "per job, until done", "at expiry", "price of a million", "a million jobs"], rows);
  const written = Object.entries(work.statements).filter(([, line]) => line.runs > 0).sort(([, a], [, b]) => b.rowsWritten - a.rowsWritten);
  const statements = table(
    ["statement", "runs", "rows written", "rows read"],
    written.map(([text, line]) => [text, number(line.runs), number(line.rowsWritten), number(line.rowsRead)]),
  );
  return `${priced}\n\nThe statements behind the rows:\n\n${statements}`;
}
