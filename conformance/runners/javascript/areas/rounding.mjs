// Area R: formats, rounding, and random bits.

const view = new DataView(new ArrayBuffer(8));

/** The bits of a float32 number. */
function bits32(x) {
  view.setFloat32(0, x);
  return view.getUint32(0);
}

/** The exponent of a float64 number that is neither 0 nor subnormal in float64. */
function exponent(x) {
  view.setFloat64(0, x);
  return ((view.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

/** A format: the least exponent of a normal number, the bits behind the point, and the largest number. */
const FORMATS = {
  bfloat16: { least: -126, digits: 7, largest: (2 - 2 ** -7) * 2 ** 127 },
  float16: { least: -14, digits: 10, largest: 65504 },
};

/** The nearest number of a format, ties to even: one rounding, not by way of float32. */
function nearestOf({ least, digits, largest }, x) {
  if (x === 0 || !Number.isFinite(x)) return x;
  const quantum = 2 ** (Math.max(exponent(x), least) - digits);
  const scaled = x / quantum;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  const rounded = (below + (up ? 1 : 0)) * quantum;
  const signed = rounded === 0 && x < 0 ? -0 : rounded;
  return Math.abs(signed) > largest ? Math.sign(x) * Infinity : signed;
}

/** The bits of a number that float16 holds. */
function bits16(x) {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const power = exponent(size);
  return sign | ((power + 15) << 10) | ((size / 2 ** power - 1) * 2 ** 10);
}

/** Patterns of stored numbers; a NaN has no pattern of its own. */
const PATTERNS = { bfloat16: (x) => bits32(x) >>> 16, float16: bits16, float32: bits32 };
const pattern = (x, format) => (Number.isNaN(x) ? null : PATTERNS[format](x));

/** Stochastic rounding by 16 random bits, from the pattern of a float32 number to that of a bfloat16 one. */
function stochastic(bits, r) {
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return null; // NaN: adding to it would make it a zero or an infinity
  if (magnitude === 0x7f800000 || magnitude === 0) return bits >>> 16;
  return (bits + r) >>> 16;
}

// -------------------------------------------------------------------------------------------------------------- Philox

const MASK = 0xffffffffn;

/** Philox4x32-7 on BigInts. */
function philox(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 7; round++) {
    const a = 0xd2511f53n * c0;
    const b = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, b & MASK, (a >> 32n) ^ c3 ^ k1, a & MASK];
    [k0, k1] = [(k0 + 0x9e3779b9n) & MASK, (k1 + 0xbb67ae85n) & MASK];
  }
  return [c0, c1, c2, c3];
}

/** One 32-bit word per element of parameter i in step k. */
function words(seed, k, i, count) {
  const key = [BigInt(seed) & MASK, BigInt(k) & MASK];
  return Array.from({ length: count }, (_, e) => {
    const block = BigInt(Math.floor(e / 4));
    return Number(philox([block & MASK, block >> 32n, BigInt(i), 0n], key)[e % 4]);
  });
}

// ------------------------------------------------------------------------------------------------------------- formats

const STATE = ["y", "z", "m", "x0", "s", "v", "v_row", "v_col", "rms_sq", "pull", "l1", "l2"];
const OF_PARAMETER = new Set(["y", "z", "m", "x0"]);
const FACTORS = new Set(["v_row", "v_col"]);

function formats(dtype, factored_fp32) {
  const own = dtype === "float16" ? "float32" : dtype;
  const of = (name) => (OF_PARAMETER.has(name) || (FACTORS.has(name) && !factored_fp32) ? own : "float32");
  return { ...Object.fromEntries(STATE.map((name) => [name, of(name)])), y: dtype };
}

export default {
  "PPSF-R-001": ({ dtype, factored_fp32 }) => ({ formats: formats(dtype, factored_fp32) }),
  "PPSF-R-002": ({ x, format }) => {
    const nearest = format in FORMATS ? (value) => nearestOf(FORMATS[format], value) : Math.fround;
    return { bits: x.data.map((value) => pattern(nearest(value), format)) };
  },
  "PPSF-R-003": ({ x, r }) => ({ bits: x.data.map((value, n) => stochastic(bits32(value), r[n])) }),
  "PPSF-R-004": ({ seed, k, i, count }) => {
    const drawn = words(seed, k, i, count);
    return { for_y: drawn.map((word) => word & 0xffff), for_z: drawn.map((word) => word >>> 16) };
  },
  "PPSF-R-005": ({ q, r }) => ({ bits: q.map((bits, n) => stochastic(bits, r[n])) }),
  "PPSF-R-010": ({ dtype, bf16_state }) => {
    const usual = formats(dtype, true);
    return { formats: bf16_state ? { ...usual, x0: "bfloat16", s: "bfloat16" } : usual };
  },
};
