// Numbers and arrays: reading hexadecimal floats, arithmetic on small arrays, and the comparison of results.

const HEX = /^(-?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?p([+-]\d+)$/;

/** "0x1.8p+3" -> 12; also "inf", "-inf" and "nan". Exact: a hexadecimal float64 has at most 53 bits. */
export function parse(text) {
  if (text === "nan") return NaN;
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  const match = HEX.exec(text);
  if (!match) throw new Error(`not a hexadecimal number: ${text}`);
  const [, sign, whole, digits = "", exponent] = match;
  const mantissa = parseInt(whole + digits, 16);
  return (sign ? -1 : 1) * scaled(mantissa, Number(exponent) - 4 * digits.length);
}

/** mantissa * 2 ** exponent, in steps that neither overflow nor round before the last one. */
function scaled(mantissa, exponent) {
  let [value, left] = [mantissa, exponent];
  while (left < -1000) [value, left] = [value * 2 ** -500, left + 500];
  while (left > 1000) [value, left] = [value * 2 ** 500, left - 500];
  return value * 2 ** left;
}

// ------------------------------------------------------------------------------------------------------------- arrays

/** Applies a function of numbers to arrays of one shape; plain numbers count as arrays of that shape. */
export function map(f, ...operands) {
  const { shape, data } = operands.find((operand) => typeof operand === "object");
  const at = (operand, n) => (typeof operand === "object" ? operand.data[n] : operand);
  return { shape, data: data.map((_, n) => f(...operands.map((operand) => at(operand, n)))) };
}

export const sum = (array) => array.data.reduce((total, x) => total + x, 0);
export const mean = (array) => sum(array) / array.data.length;
export const meanSquare = (array) => mean(map((x) => x * x, array));
export const norm = (array) => Math.sqrt(sum(map((x) => x * x, array)));
export const inner = (a, b) => sum(map((x, y) => x * y, a, b));

/** Distance in memory between neighbours along each axis, row-major. */
const strides = (shape) => shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
const indices = (n, shape) => strides(shape).map((step, axis) => Math.floor(n / step) % shape[axis]);
const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** Mean along an axis, which is kept at size 1. */
export function meanAlong(array, axis) {
  const shape = array.shape.map((length, i) => (i === axis ? 1 : length));
  const step = strides(array.shape)[axis];
  const data = Array.from({ length: size(shape) }, (_, n) => {
    const first = offset(indices(n, shape), array.shape);
    let total = 0;
    for (let i = 0; i < array.shape[axis]; i++) total += array.data[first + i * step];
    return total / array.shape[axis];
  });
  return { shape, data };
}

const offset = (index, shape) => strides(shape).reduce((total, step, axis) => total + step * index[axis], 0);

/** An array of a larger shape, axes of size 1 repeated. */
export function broadcast(array, shape) {
  const at = (n) => offset(indices(n, shape).map((i, axis) => (array.shape[axis] === 1 ? 0 : i)), array.shape);
  return { shape, data: Array.from({ length: size(shape) }, (_, n) => array.data[at(n)]) };
}

// --------------------------------------------------------------------------------------------------------- comparison

/** What is wrong with one output, or "". `expected` is as docs/vectors.md describes it; we compute in float64. */
export function fault(kind, expected, got) {
  if ((kind !== "number" && kind !== "array") || expected.value === null) return faultOfData(kind, expected.value, got);
  if (got === null || got === undefined) return "is missing";
  const values = kind === "array" ? got.data : [got];
  if (kind === "array" && `${got.shape}` !== `${expected.shape}`) return `has shape [${got.shape}]`;
  const interval = expected.float64 !== undefined ? expected.float64 : expected.float32;
  if (interval === null) return ""; // a guard that float64 cannot decide
  const [low, high] = interval ? [interval.low, interval.high] : [expected.value, expected.value];
  const wrong = values.findIndex((x, n) => !holds(end(low, n), x, end(high, n)));
  return wrong < 0 ? "" : `is ${values[wrong]}, not in [${end(low, wrong)}, ${end(high, wrong)}]`;
}

const end = (written, n) => parse(Array.isArray(written) ? written[n] : written);

function holds(low, x, high) {
  if (low === -Infinity && high === Infinity) return true; // nothing is promised, NaN included
  return Number.isNaN(low) ? Number.isNaN(x) : low <= x && x <= high;
}

/** Everything that is not a number with an interval has to be the same data. */
function faultOfData(kind, expected, got) {
  const [want, have] = [JSON.stringify(expected), JSON.stringify(got)];
  return sameData(expected, got) ? "" : `is ${have}, not ${want}`;
}

function sameData(a, b) {
  if (typeof b === "number" && typeof a === "string") return Object.is(parse(a), b) || parse(a) === b;
  if (a === null || b === null || typeof a !== "object") return a === b;
  if (b.shape && a.shape) return sameData(a.shape, b.shape) && sameData(a.data, b.data);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => sameData(a[key], b[key]));
}

/** An input as the functions here take it. */
export function read(kind, value) {
  if (value === null) return null;
  if (kind === "number") return parse(value);
  if (kind === "numbers") return value.map(parse);
  if (kind === "array") return { shape: value.shape, data: value.data.map(parse) };
  if (kind === "arrays") return value.map((array) => read("array", array));
  if (kind === "options") return Object.fromEntries(Object.entries(value).map(([name, x]) => [name, option(x)]));
  return value;
}

const option = (x) => (Array.isArray(x) ? x.map(option) : typeof x === "string" && HEX.test(x) ? parse(x) : x);
