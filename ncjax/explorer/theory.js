"use strict";
// The closed forms of the explorer, as ncjax has them in Python: each function names the
// one it follows, which has the formula, its source and its limits.  A test of ncjax
// compares both at 200 random settings.

const sum = (xs) => xs.reduce((a, b) => a + b, 0);
const dot = (xs, ys) => sum(xs.map((x, i) => x * ys[i]));

// The root of a function that rises from below 0 at `low` to above 0 at `high`.
function rootOf(rising, low, high) {
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (rising(middle) >= 0) high = middle;
    else low = middle; // also where it is not defined
  }
  return (low + high) / 2;
}

// ---- Balanced trees: ncjax.hierarchy.algebra ------------------------------------------
// n[h] leaves below a node of level h; entries a[h] of two classes that meet at level h.

const treeSizes = (branching, levels) =>
  Array.from({ length: levels + 1 }, (_, h) => branching ** h);
const counts = (n) => n.map((size, h) => size - (h ? n[h - 1] : 0));
const multiplicities = (n) =>
  n.slice(1).map((size, h) => n.at(-1) / n[h] - n.at(-1) / size);

function toEigenvalues(entries, n) {
  const weighted = counts(n).map((m, h) => m * entries[h]);
  const upTo = n.map((_, h) => sum(weighted.slice(0, h + 1)));
  return [upTo.at(-1), ...n.slice(1).map((_, h) => upTo[h] - n[h] * entries[h + 1])];
}

function toEntries(values, n) {
  const share = (h, j) => (h < j ? 1 / n[j - 1] : 0) - (h <= j ? 1 / n[j] : 0);
  const entry = (h) => sum(values.slice(1).map((v, i) => v * share(h, i + 1)));
  return n.map((_, h) => values[0] / n.at(-1) + entry(h));
}

// What is read off the logits by level and the singular values: TreeOptimum.
function describeTree(n, logits, values, objective) {
  const many = multiplicities(n);
  const size = Math.sqrt(dot(many, values.map((v) => v * v)));
  const flat = 1 / Math.sqrt(sum(many));
  const nc2 = Math.sqrt(dot(many, values.map((v) => (v / size - flat) ** 2)));
  const merged = values.flatMap((v, h) => (v > 0 ? [] : [h + 1]));
  const rank = dot(many, values.map((v) => (v > 0 ? 1 : 0)));
  return { n, logits, values, objective, nc2: size ? nc2 : NaN, merged, rank };
}

// ncjax.hierarchy.soft_label_optimum
function softLabelOptimum(n, beta, c) {
  const K = n.at(-1);
  const levels = n.length - 1;
  const powers = n.map((_, h) => Math.exp((-beta * h) / levels));
  const labels = powers.map((p) => p / dot(counts(n), powers));
  const spectrum = toEigenvalues(labels, n);
  const removed = toEntries(spectrum.map((v, h) => (h ? Math.min(v, K * c) : 0)), n);
  const chances = labels.map((y, h) => y - removed[h]);
  const logs = chances.map(Math.log);
  const raw = toEigenvalues(logs, n).slice(1);
  const values = raw.map((v, h) => (spectrum[h + 1] > K * c ? v : 0));
  const entropy = -dot(counts(n), chances.map((p, h) => p * logs[h]));
  return describeTree(n, toEntries([0, ...values], n), values, entropy);
}

// The weight of the edges below level h = 1..L: ncjax.hierarchy.hxe_weights
const hxeWeights = (levels, alpha, weighting) =>
  Array.from({ length: levels }, (_, h) =>
    Math.exp(-alpha * (weighting === "height" ? h : levels - h)));
const falls = (w) => w.map((x, a) => x - (w[a + 1] ?? 0));

// The softmax over the levels 0..m, where q is the effective probability of each class
// that is wrong and T[h] the softmax of the group around the right one, T[m]..T[L] known:
// ncjax.hierarchy.hxe_recursion, which has m = L, q = c, T[L] = 1.
function hxeRecursion(w, n, T, m, q) {
  const found = [];
  for (let h = w.length, pull = 0; h > 0; h--) {
    pull += falls(w)[h - 1] / T[h];
    if (h > m) continue;
    found[h] = q / pull;
    T[h - 1] = T[h] - (n[h] - n[h - 1]) * found[h];
  }
  return [T[0], ...found.slice(1)];
}

// The logits if the levels above m have merged, as heights make them: they are then 0
// above m, and one number is left, log S, S = sum of exp(z) up to m.
function hxeLogits(w, n, c, m) {
  const K = n.at(-1);
  if (m === 0) return n.map(() => 0);
  const at = (logS) => {
    const all = Math.exp(logS) + K - n[m];
    const T = n.map((size, a) => (Math.exp(logS) + size - n[m]) / all);
    const lost = sum(falls(w).map((x, a) => (a < m ? 0 : x * (1 - T[m] / T[a + 1]))));
    const chances = hxeRecursion(w, n, T, m, (K * c - lost) / n[m]);
    return chances.map((p) => Math.log(p * all));
  };
  const group = n.slice(0, m + 1);
  const shift = (z) => dot(counts(group), z) / n[m];
  const z = at(m < w.length ? rootOf((logS) => shift(at(logS)), 0, 300) : 0);
  return n.map((_, h) => (h > m ? 0 : z[h] - shift(z)));
}

// ncjax.hierarchy.hxe_optimum.  As c grows, the coarsest levels merge first with weights
// by height; with weights by depth the finest do, whose classes are then one.
function hxeOptimum(n, alpha, c, weighting) {
  const w = hxeWeights(n.length - 1, alpha, weighting);
  for (let dead = 0; dead <= w.length; dead++) {
    const first = weighting === "depth" ? dead : 0;
    const last = first + w.length - dead;
    const tree = n.slice(first).map((size) => size / n[first]);
    const z = hxeLogits(w.slice(first), tree, c * n[first], w.length - dead);
    const found = toEigenvalues(z, tree).slice(1);
    const values = w.map((_, h) => (h < first || h >= last ? 0 : n[first] * found[h - first]));
    if (!values.every((v) => v >= 0)) continue;
    const logits = toEntries([0, ...values], n);
    const nuclear = dot(multiplicities(n), values);
    return describeTree(n, logits, values, hxeLoss(logits, w, n) + c * nuclear);
  }
}

// HXE of a row of logits by level.
function hxeLoss(z, w, n) {
  const powers = counts(n).map((m, h) => m * Math.exp(z[h]));
  const logSum = (a) => Math.log(sum(powers.slice(0, a + 2)));
  return dot(falls(w), falls(w).map((_, a) => logSum(a))) - w[0] * z[0];
}

// ---- No tree: ncjax.ufm.theory.cross_entropy, squared_error ---------------------------

// Logits s P, P = I - 11'/K: cross_entropy_optimum.
function crossEntropyOptimum(K, c, smoothing) {
  const active = K * c < 1 - smoothing;
  const wrong = active ? smoothing / K + c : 1 / K;
  const right = 1 - (K - 1) * wrong;
  const s = active ? Math.log(right / wrong) : 0;
  return { s, objective: -right * Math.log(right) - (K - 1) * wrong * Math.log(wrong) };
}

// Logits u P + v 11'/K, entry b of the bias: squared_error_optimum.
function squaredErrorOptimum(K, c, biasDecay) {
  const kc = K * c;
  const u = Math.max(1 - kc, 0);
  const v = Math.max(1 - kc - kc / biasDecay, 0);
  const b = v > 0 ? c / biasDecay : 1 / (K * (1 + biasDecay));
  const misfit = ((K - 1) * (1 - u) ** 2 + (1 - v - K * b) ** 2) / (2 * K);
  const decay = c * ((K - 1) * u + v) + (biasDecay * K * b * b) / 2;
  return { u, v, b, cosine: (v - u) / (v + (K - 1) * u), objective: misfit + decay };
}

// ---- The row sum of the classifier, NC0: ncjax.ufm.theory.row_sum ----------------------

// The learning rate of each step: ncjax.optimizers.SCHEDULES.
function learningRates(schedule, rate, steps) {
  const thirds = [1, 2].map((part) => Math.max(1, Math.floor((part * steps) / 3)));
  const factor = {
    constant: () => 1,
    step: (t) => (t < thirds[0] ? 1 : t < thirds[1] ? 0.1 : 0.01),
    cosine: (t) => (1 + Math.cos((Math.PI * t) / steps)) / 2,
  }[schedule];
  return Array.from({ length: steps }, (_, t) => rate * factor(t));
}

// The decay time x, and r_t / r_0, after each step: decay_time and row_sum_factors.
function rowSum(rates, decay, momentum, decoupled, nesterov) {
  const [times, factors] = [[0], [1]];
  let [x, factor, velocity] = [0, 1, 0];
  for (const rate of rates) {
    const pull = (1 - decoupled) * decay * factor;
    velocity = momentum * velocity + pull;
    const ahead = nesterov ? momentum * velocity + pull : velocity;
    factor -= rate * (ahead + decoupled * decay * factor);
    x += rate * decay * ((1 - decoupled) / (1 - momentum) + decoupled);
    times.push(x);
    factors.push(factor);
  }
  return { times, factors };
}

// ---- Minority collapse: ncjax.ufm.theory.minority -------------------------------------

// |Z|_* where the minority has merged, at a ratio R of class sizes: merged_norm.
function mergedNorm(A, B, logRatio) {
  const K = A + B;
  const gaps = (angle) => {
    const toB = Math.cos(angle) * Math.sqrt(B / K);
    const other = (1 - toB) / A;
    const contrast = Math.log1p(Math.expm1(logRatio) / other);
    const toA = Math.sin(angle) * Math.sqrt(A / K);
    const left = (contrast / A + Math.log((other * B) / toB)) * Math.sqrt(A);
    const right = (Math.log((A * (1 - toA)) / B) - Math.log(toA)) * Math.sqrt(B);
    return [contrast, left, right];
  };
  const imbalance = (angle) => {
    const [, left, right] = gaps(angle);
    return left * Math.sin(angle) - right * Math.cos(angle);
  };
  const angle = rootOf(imbalance, 1e-300, Math.asin(Math.sqrt(A / K)));
  const [contrast, left, right] = gaps(angle);
  return (A - 1) * contrast + Math.hypot(left, right) * Math.sqrt((A * B) / K);
}

// log R0: from which ratio the minority merges, of the layer-peeled model:
// peeled_threshold.
function logPeeledThreshold(A, B, energy) {
  const bound = (A + B) * Math.sqrt(energy);
  return rootOf((x) => mergedNorm(A, B, x) - bound, 1e-12, 600);
}

// With weight decay, mu = sqrt(lW lH): the logit of a class of `size` examples of
// `total`, MSE (imbalanced_squared_error_optimum), and the size up to which classes
// merge (ridge_threshold).
const classLogit = (total, size, mu) => Math.max(1 - (total * mu) / Math.sqrt(size), 0);
const ridgeThreshold = (total, mu) => (total * mu) ** 2;

if (typeof module !== "undefined")
  module.exports = {
    treeSizes, softLabelOptimum, hxeOptimum, crossEntropyOptimum, squaredErrorOptimum,
    learningRates, rowSum, logPeeledThreshold, classLogit, ridgeThreshold,
  };
