// Runs the clause vectors against the formulas in areas/, in float64:  node run.mjs [folder of the vectors]
// Prints a line per clause; exits with 1 when a case fails, with 2 when there is nothing to run.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import averaging from "./areas/averaging.mjs";
import distance from "./areas/distance.mjs";
import groups from "./areas/groups.mjs";
import modifiers from "./areas/modifiers.mjs";
import moment from "./areas/moment.mjs";
import options from "./areas/options.mjs";
import rounding from "./areas/rounding.mjs";
import stepsize from "./areas/stepsize.mjs";
import update from "./areas/update.mjs";
import { fault, read } from "./numbers.mjs";

const FORMULAS = {
  ...options, ...distance, ...moment, ...update, ...stepsize, ...modifiers, ...averaging, ...groups, ...rounding,
}; // prettier-ignore

const WITHOUT = {
  "PPSF-M-014": "Muon is not implemented here",
  "PPSF-M-015": "Muon is not implemented here",
  "PPSF-M-016": "Muon is not implemented here",
  "PPSF-M-017": "Muon is not implemented here",
  "PPSF-M-018": "Muon is not implemented here",
  "PPSF-L-001": "there is no optimizer here, so no state to create",
  "PPSF-L-008": "there is no optimizer here, so no state to move",
};

/** What is wrong with a case, a text for each output. */
function faults(file, { inputs, expected }) {
  const given = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, read(file.inputs[name], x)]));
  let got;
  try {
    got = FORMULAS[file.clause](given);
  } catch (error) {
    return [`throws ${error}`];
  }
  const found = Object.entries(file.outputs).map(([name, kind]) => {
    const what = fault(kind, expected[name], got[name]);
    return what && `${name} ${what}`;
  });
  return found.filter(Boolean);
}

/** Runs a file; returns how many cases failed. */
function runFile(file) {
  const failed = file.cases.map((each) => [each, faults(file, each)]).filter(([, found]) => found.length);
  const total = String(file.cases.length).padStart(3);
  console.log(`${file.clause}  ${total} cases  ${failed.length ? `${failed.length} FAILED` : "passed"}  ${file.title}`);
  for (const [each, found] of failed) console.log(`    ${each.id} (${each.comment}): ${found.join("; ")}`);
  return failed.length;
}

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "..", "vectors", "v1");
if (!existsSync(join(folder, "index.json"))) {
  console.error(`no vectors in ${folder}`);
  process.exit(2);
}
const index = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
let [ran, failed, left] = [0, 0, 0];
const notRun = [];
for (const [path, count] of Object.entries(index.files)) {
  const file = JSON.parse(readFileSync(join(folder, path), "utf8"));
  const reason = file.schema === "step-1" ? "whole steps are not implemented here" : WITHOUT[file.clause];
  if (reason) {
    notRun.push(`${path}  ${count} cases: ${reason}`);
    left += count;
  } else {
    failed += runFile(file);
    ran += count;
  }
}
console.log("\nnot run:");
for (const line of notRun) console.log(`  ${line}`);
console.log(`\n${ran - failed} of ${ran} cases passed in float64; ${left} were not run`);
process.exit(failed ? 1 : ran ? 0 : 2);
