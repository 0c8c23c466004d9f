// The step of revised optimizers on a CPU: whole tensors, contiguous, float32 or bfloat16, one call for a list of them.
//
// Everything is computed on chunks of a few hundred elements that stay in the first-level cache, in float32; sums are
// taken in double, in an order that the shape alone decides: neither the number of threads nor what else is in the list
// changes a bit. Small tensors are spread over the threads, large ones are worked on by all of them.
//
// A step is two calls. The first looks at every gradient, before anything is written, and keeps the mean squares of large
// factored tensors for the second, which moves; without them that one sums anew, to the same bits.

#include <omp.h>

#include <cfenv>

#include "moments.hpp"

namespace {

// Runs work() on so many threads, which treat denormal numbers as the calling one does: left alone, each would do so as
// was usual when it was made.
template <class Work>
void together(int threads, Work work) {
  std::fenv_t own;
  std::fegetenv(&own);
#pragma omp parallel num_threads(threads)
  {
    std::fesetenv(&own);
    work();
  }
}

// Runs work(task) for all tasks, on so many threads.
template <class Work>
void each(int threads, i64 tasks, Work work) {
  if (threads == 1) {  // also inside a parallel region, where another one would cost more than a small tensor
    Buffers w;
    for (i64 task = 0; task < tasks; ++task) work(task, w);
    return;
  }
  together(threads, [&] {
    Buffers w;
#pragma omp for schedule(static)
    for (i64 task = 0; task < tasks; ++task) work(task, w);
  });
}

i64 parts(const Item& t) { return (t.numel + TASK - 1) / TASK; }

// Runs work(first, n, w) for the chunks of one part.
template <class Work>
void over_chunks(const Item& t, i64 part, Work work) {
  const i64 end = std::min(t.numel, (part + 1) * TASK);
  for (i64 first = part * TASK; first < end; first += CHUNK) work(first, std::min(CHUNK, end - first));
}

double in_order(const double* sums, i64 n) {
  double sum = 0;
  for (i64 j = 0; j < n; ++j) sum += sums[j];
  return sum;
}

// Runs value(first, n, w) over all chunks; returns the sum of the parts' sums, in their order.
template <class Value>
double total(int threads, const Item& t, double* sums, Value value) {
  each(threads, parts(t), [&](i64 part, Buffers& w) {
    double sum = 0;
    over_chunks(t, part, [&](i64 first, i64 n) { sum += value(first, n, w); });
    sums[part] = sum;
  });
  return in_order(sums, parts(t));
}

i64 scratch_bytes(const Item& t) { return 2 * 8 * parts(t) + 64 + (t.O ? Factored::bytes(t) : 0); }

// How many means are kept of a tensor between the two calls.
i64 kept(const Item& t) {
  if (!t.O || t.numel <= SMALL) return 0;
  const i64 means = Factored::means(t);
  return means * RARE <= t.numel ? means : 0;
}

float clipping(double squares, const Item& t, const Numbers& c) {
  const double rms = std::sqrt(squares / double(t.numel));
  // clause: PPSF-C-010 1213a55d
  // clause: PPSF-C-001 2d530c9c
  if (c.clip == SOFT) return float(std::sqrt(std::max(rms, 1.0)));
  return float(std::max(rms / c.bound, 1.0));
}

// Whether a gradient is finite and can be squared; leaves its means in `room`, if there is one.
bool look_at(int threads, const Item& t, const Numbers& c, char* scratch, float* room) {
  double* sums = reinterpret_cast<double*>(scratch);
  if (room) {
    Factored moments(t, c, scratch + 2 * 8 * parts(t), room);
    each(threads, moments.tasks(), [&](i64 part, Buffers& w) { moments.sum(part, w); });
    if (moments.collect()) return true;
  }
  const Reader grad = Task{t, c, nullptr, nullptr}.reader(GRAD);
  return 0 == total(threads, t, sums, [&](i64 first, i64 n, Buffers&) { return grad.allowed(first, n) ? 0.0 : 1.0; });
}

// Renews the second moment of a factored tensor; leaves the factors of its divisor.
void renew_factors(int threads, Task& task, char* scratch, float* room) {
  Factored moments(task.t, task.c, scratch, room);
  if (!room) {
    each(threads, moments.tasks(), [&](i64 part, Buffers& w) { moments.sum(part, w); });
    moments.collect();
  }
  moments.renew();
  task.over_a = moments.over_a, task.over_b = moments.over_b;
}

// What the update is multiplied by to bound it.
float shortening(int threads, const Task& task, double* sums) {
  if (!task.c.clip) return 1;
  const auto squares = [&](i64 first, i64 n, Buffers& w) { return task.squares(first, n, w); };
  return 1 / clipping(total(threads, task.t, sums, squares), task.t, task.c);
}

// What an element of y that moves under cautious is multiplied by.
float concentration(int threads, const Task& task, float shorter, double* sums) {
  if (!task.c.cautious) return 1;
  const auto count = [&](i64 first, i64 n, Buffers& w) { return task.agreeing(first, n, shorter, w); };
  return 1 / std::max(float(total(threads, task.t, sums, count) / double(task.t.numel)), 1e-3f);
}

void step_one(int threads, const Item& t, const Numbers& c, char* scratch, float* room, double* result) {
  if (t.grad == t.y && c.measures && c.moves) {  // whoever takes the weights as their gradient loses it by the move
    Numbers before = c, after = c;
    double none[2];
    before.moves = after.measures = 0;
    step_one(threads, t, before, scratch, room, result);
    return step_one(threads, t, after, scratch, room, none);
  }
  double *inner = reinterpret_cast<double*>(scratch), *norm = inner + parts(t);
  Task task{t, c, nullptr, nullptr};
  float shorter = 1, kept = 1;
  if (c.moves && t.row) renew_factors(threads, task, scratch + 2 * 8 * parts(t), room);
  if (c.moves && c.writes_y) {
    shorter = shortening(threads, task, inner);
    kept = concentration(threads, task, shorter, inner);
  }
  const bool measures = c.measures && t.s;
  each(threads, parts(t), [&](i64 part, Buffers& w) {
    Samples samples;
    over_chunks(t, part, [&](i64 first, i64 n) {
      // Weights move before they are sampled, from a copy: a processor foresees what is read in order, not samples.
      if (c.moves) task.move(first, n, shorter, kept, w);
      if (measures) task.sample(first, n, samples, w);
    });
    if (measures) task.settle(samples, w);
    inner[part] = samples.inner, norm[part] = samples.norm;
  });
  double product = in_order(inner, parts(t));
  if (c.by_signs) product = product > 0 ? 1 : product < 0 ? -1 : product;
  else if (c.amplifies) product = std::copysign(std::sqrt(std::fabs(product)), product);
  result[0] = measures ? product * c.item_weight : 0.0;
  result[1] = measures ? in_order(norm, parts(t)) : 0.0;
}

// Runs work(threads, item's index, scratch, room) for all items: small ones one to a thread, then large ones one by one.
template <class Work>
void each_item(const Item* items, i64 count, char* scratch, i64 bytes, int threads, float* room, Work work) {
  const i64 own = (bytes - 64) / threads / 64 * 64;
  char* const aligned = scratch + (64 - reinterpret_cast<std::uintptr_t>(scratch) % 64) % 64;
  together(threads, [&] {
#pragma omp for schedule(dynamic)
    for (i64 i = 0; i < count; ++i)
      if (items[i].numel <= SMALL) work(1, i, aligned + omp_get_thread_num() * own, nullptr);
  });
  for (i64 i = 0; i < count; ++i)
    if (items[i].numel > SMALL) {
      const i64 means = room ? kept(items[i]) : 0;
      work(threads, i, aligned, means ? room : nullptr);
      room += means;
    }
}

}  // namespace

extern "C" {

// Bytes of scratch memory that a call needs for this list on so many threads.
i64 ppsf_scratch(const Item* items, i64 count, i64 threads) {
  i64 large = 0, small = 0;
  for (i64 i = 0; i < count; ++i) {
    i64& most = items[i].numel > SMALL ? large : small;
    most = std::max(most, scratch_bytes(items[i]));
  }
  small = (small + 63) / 64 * 64;
  return std::max(large, small * threads) + 64;
}

// Numbers (float32) that are kept between ppsf_look and ppsf_step of this list.
i64 ppsf_kept(const Item* items, i64 count) {
  i64 sum = 0;
  for (i64 i = 0; i < count; ++i) sum += kept(items[i]);
  return sum;
}

// Whether a step may take all gradients (PPSF-L-004); writes nothing but `room`, which may be null.
i64 ppsf_look(const Item* items, i64 count, char* scratch, i64 bytes, i64 threads, float* room) {
  const Numbers none{};
  i64 bad = 0;
  each_item(items, count, scratch, bytes, int(threads), room, [&](int threads, i64 i, char* own, float* means) {
    if (look_at(threads, items[i], none, own, means)) return;
#pragma omp atomic write
    bad = 1;
  });
  return !bad;
}

// Steps all items of one group. results: two doubles for each, its shares in the numerator and in the denominator.
// room: as ppsf_look has left it for the same list without an l2 penalty, or null.
void ppsf_step(const Item* items, i64 count, const Numbers* numbers, char* scratch, i64 bytes, i64 threads, float* room,
               double* results) {
  each_item(items, count, scratch, bytes, int(threads), room, [&](int threads, i64 i, char* own, float* means) {
    step_one(threads, items[i], *numbers, own, means, results + 2 * i);
  });
}

}  // extern "C"
