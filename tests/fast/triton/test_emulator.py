"""The emulator of PTX does what the ISA's manual says, and notices what a GPU would only sometimes get wrong."""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.fast.triton.ptx.arithmetic import TYPES, bits_of, exact_fma, operation
from tests.fast.triton.ptx.code import parse
from tests.fast.triton.ptx.machine import Kernel

COUNT = 500


# ---------------------------------------------------------------------------------------------------------- arithmetic


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def chosen_bytes(a: int, b: int, choice: int) -> int:
    found = 0
    for place in range(4):
        of = choice >> 4 * place & 15
        byte = (b << 32 | a) >> 8 * (of & 7) & 255
        found |= (255 * (byte >> 7) if of & 8 else byte) << 8 * place
    return found


def field(a: int, at: int, length: int) -> int:
    return a >> at & (1 << min(length, 32 - at)) - 1


#: In unlimited integers; what an instruction gives is that, cut to its type.
WHOLE: dict[str, Callable[..., int]] = {
    "add.s32": lambda a, b: a + b,
    "sub.s64": lambda a, b: a - b,
    "mul.lo.s32": lambda a, b: a * b,
    "mul.hi.s32": lambda a, b: a * b >> 32,
    "mul.hi.u32": lambda a, b: a * b >> 32,
    "mul.wide.s32": lambda a, b: a * b,
    "mul.wide.u32": lambda a, b: a * b,
    "mad.lo.s64": lambda a, b, c: a * b + c,
    "mad.wide.s32": lambda a, b, c: a * b + c,
    "mad.wide.u32": lambda a, b, c: a * b + c,
    "div.s64": quotient,
    "div.u32": quotient,
    "rem.s64": lambda a, b: a - b * quotient(a, b),
    "min.s32": min,
    "max.u32": max,
    "neg.s32": lambda a: -a,
    "abs.s32": abs,
    "and.b32": lambda a, b: a & b,
    "or.b64": lambda a, b: a | b,
    "xor.b32": lambda a, b: a ^ b,
    "not.b32": lambda a: ~a,
    "popc.b32": lambda a: a.bit_count(),
    "prmt.b32": chosen_bytes,
    "cvt.s64.s32": lambda a: a,
    "cvt.u64.u32": lambda a: a,
    "cvt.u32.u64": lambda a: a,
    "cvt.u16.u32": lambda a: a,
    "setp.lt.s32": lambda a, b: a < b,
    "setp.lt.u32": lambda a, b: a < b,
    "setp.ge.s64": lambda a, b: a >= b,
}
#: With small numbers in the place of all operands but the first.
SHORT: dict[str, tuple[Callable[..., int], int]] = {
    "shl.b32": (lambda a, by: a << by if by < 32 else 0, 70),
    "shl.b64": (lambda a, by: a << by if by < 64 else 0, 70),
    "shr.u32": (lambda a, by: a >> by, 70),
    "shr.u64": (lambda a, by: a >> by, 70),
    "shr.s32": (lambda a, by: a >> by, 70),
    "bfe.u32": (field, 31),
    "bfe.s32": (lambda a, at, length: signed(field(a, at, length), min(length, 32 - at)) if length else 0, 31),
}


def drawn(kind: str, generator: random.Random) -> int:
    bits = bits_of(kind)
    value = generator.choice([generator.getrandbits(bits), generator.getrandbits(8), (1 << bits) - 1, 1 << bits - 1])
    return signed(value, bits) if kind[0] == "s" else value


def agrees(name: str, values: list[tuple[int, ...]], expected: Callable[..., int]) -> None:
    of = operation(name)
    columns = zip(*values, strict=True)
    found = of.compute(*(np.array(each, TYPES[kind]) for each, kind in zip(columns, of.takes, strict=True)))
    bits = bits_of(of.result)
    cut = [expected(*each) & (1 << bits) - 1 for each in values]
    assert [int(each) & (1 << bits) - 1 for each in found] == cut


@pytest.mark.parametrize("name", WHOLE)
def test_integers_are_those_of_python_cut_to_their_width(name: str) -> None:
    generator, takes = random.Random(name), operation(name).takes
    values = [tuple(drawn(kind, generator) for kind in takes) for _ in range(COUNT)]
    if name.split(".")[0] in ("div", "rem"):
        values = [(a, b or 1) for a, b in values if (a, b) != (-(2**63), -1)]
    agrees(name, values, WHOLE[name])


@pytest.mark.parametrize("name", SHORT)
def test_bits_are_moved_by_any_distance(name: str) -> None:
    expected, most = SHORT[name]
    generator, (first, *others) = random.Random(name), operation(name).takes
    values = [(drawn(first, generator), *(generator.randint(0, most) for _ in others)) for _ in range(COUNT)]
    agrees(name, values, expected)


@pytest.mark.parametrize(("dtype", "of_c", "name"), [("f4", ctypes.c_float, "fmaf"), ("f8", ctypes.c_double, "fma")])
def test_a_product_and_a_sum_are_rounded_once(dtype: str, of_c: Any, name: str) -> None:
    """As the C library does it, also where almost all of it cancels."""
    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal(20 * COUNT).astype(dtype) for _ in range(2))
    c = (generator.standard_normal(20 * COUNT) * 10.0 ** generator.integers(-18, 3, 20 * COUNT)).astype(dtype)
    c[: 5 * COUNT] = -(a * b)[: 5 * COUNT]
    library: Any = getattr(ctypes.CDLL(None), name)
    library.restype, library.argtypes = of_c, [of_c] * 3
    exact = np.array([library(*each) for each in zip(a, b, c, strict=True)], dtype)
    assert (exact_fma(a, b, c) == exact).all()
    assert (exact != a * b + c).any()


FLOATS = (0.0, -0.0, 1.0, -1.5, 2.0**-149, 3e38, math.inf, -math.inf, math.nan)


def test_float32_has_one_nan_and_its_zeros_have_an_order() -> None:
    a, b = (np.array(each, "f4") for each in zip(*[(x, y) for x in FLOATS for y in FLOATS], strict=True))
    for name in ("add.rn.f32", "sub.rn.f32", "mul.rn.f32", "div.rn.f32", "min.f32", "max.f32", "min.NaN.f32"):
        with np.errstate(all="ignore"):
            found = operation(name).compute(a, b)
        assert set(found.view("u4")[np.isnan(found)]) == {0x7FFFFFFF}, name
    least, largest = operation("min.f32").compute(a, b), operation("max.f32").compute(a, b)
    zeros = (a == 0) & (b == 0)
    assert (np.signbit(least[zeros]) == (np.signbit(a) | np.signbit(b))[zeros]).all()
    assert (np.signbit(largest[zeros]) == (np.signbit(a) & np.signbit(b))[zeros]).all()
    one = np.isnan(a) != np.isnan(b)
    assert not np.isnan(least[one]).any()
    assert np.isnan(operation("min.NaN.f32").compute(a, b)[one]).all()


def test_comparisons_say_what_they_make_of_a_nan() -> None:
    a, b = (np.array(each, "f8") for each in zip(*[(x, y) for x in FLOATS for y in FLOATS], strict=True))
    unordered = np.isnan(a) | np.isnan(b)
    for how, plain in {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}.items():
        assert (operation(f"setp.{how}.f64").compute(a, b) == (plain & ~unordered)).all()
        assert (operation(f"setp.{how}u.f64").compute(a, b) == (plain | unordered)).all()
    assert (operation("setp.nan.f64").compute(a, b) == unordered).all()
    assert (operation("setp.num.f64").compute(a, b) == ~unordered).all()


def test_an_approximate_inverse_is_a_unit_off_on_both_sides() -> None:
    values = np.random.default_rng(0).uniform(1e-30, 1e30, 20 * COUNT).astype("f4")
    found = operation("rcp.approx.ftz.f32").compute(values)
    right = (1 / values.astype("f8")).astype("f4")
    assert set(found.view("i4") - right.view("i4")) == {-1, 0, 1}


def test_what_nobody_has_written_down_is_refused() -> None:
    for name in ("add.sat.f32", "fma.rz.f32", "cvt.rz.f32.f64", "ex2.approx.f32", "mul.rn.bf16", "setp.lt.and.s32"):
        with pytest.raises(NotImplementedError):
            operation(name)


# ------------------------------------------------------------------------------------------------------------- threads


def run(body: str, threads: int, by_warps: bool = False, programs: int = 1, size: int = 256) -> list[int]:
    """What a kernel writes to its only parameter, an array of 32-bit words; %rd1 is the word of a thread."""
    registers = ".reg .pred %p<8>; .reg .b32 %r<32>; .reg .b64 %rd<8>;"
    start = """
        ld.param.b64 %rd2, [k_param_0]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;
        mad.lo.s32 %r3, %r2, 64, %r1; mad.wide.u32 %rd1, %r3, 4, %rd2;
    """
    head = f".visible .entry k( .param .u64 k_param_0 ) .reqntid {threads}"
    text = f".extern .shared .align 16 .b8 global_smem[];\n{head}\n{{ {registers} {start} {body} ret; }}"
    out = np.zeros(size, "u4")
    Kernel(parse(text)).launch(programs, [out.ctypes.data], by_warps, 0)
    return [int(each) for each in out]


def test_threads_and_programs_know_who_they_are() -> None:
    assert run("st.global.b32 [%rd1], {%r3};", 64, programs=3)[:192] == list(range(192))


def test_threads_leave_a_loop_when_each_has_to() -> None:
    """The number of turns is the number of the thread; they meet again behind it."""
    body = """
        mov.b32 %r4, 0; mov.b32 %r5, 0;
        $again: setp.ge.s32 %p1, %r4, %r1; @%p1 bra $out; add.s32 %r5, %r5, %r4; add.s32 %r4, %r4, 1; bra.uni $again;
        $out: shfl.sync.bfly.b32 %r6, %r5, 1, 31, -1; st.global.b32 [%rd1], %r6;
    """
    sums = [n * (n - 1) // 2 for n in range(64)]
    assert run(body, 64)[:64] == [sums[n ^ 1] for n in range(64)]


def test_jumps_by_index_go_where_the_table_says() -> None:
    body = """
        rem.u32 %r4, %r1, 3;
        $table: .branchtargets $a, $b, $c;
        brx.idx %r4, $table;
        $a: mov.b32 %r5, 10; bra.uni $out;
        $b: mov.b32 %r5, 20; bra.uni $out;
        $c: mov.b32 %r5, 30;
        $out: st.global.b32 [%rd1], %r5;
    """
    assert run(body, 32)[:6] == [10, 20, 30, 10, 20, 30]


def test_a_guarded_load_leaves_the_others_as_they_are() -> None:
    body = """
        setp.lt.u32 %p1, %r1, 5; mov.u32 %r4, 7; mov.b32 %r5, 9; st.global.b32 [%rd1], %r5;
        @!%p1 ld.global.b32 {%r4}, [%rd1 + 0]; st.global.b32 [%rd1], {%r4};
    """
    assert run(body, 32)[:8] == [7] * 5 + [9] * 3


def test_vectors_have_to_be_aligned() -> None:
    body = "mov.b32 %r4, 1; st.global.v2.b32 [%rd2 + {}], {{%r4, %r4}};"
    assert run(body.format(8), 32)[:4] == [0, 0, 1, 1]
    with pytest.raises(AssertionError, match="not divisible by 8"):
        run(body.format(4), 32)


def test_names_of_a_scope_are_its_own() -> None:
    body = """
        { .reg .b32 low; .reg .b64 both; mul.wide.u32 both, %r1, 65536; mov.b64 {low, %r4}, both;
          st.global.b32 [%rd1], low; }
        { .reg .b32 low; mov.b32 low, 5; add.s32 %r4, %r4, low; }
        setp.eq.u32 %p1, %r1, 3; @%p1 st.global.b32 [%rd1], %r4;
    """
    assert run(body, 32)[:5] == [0, 65536, 131072, 5, 4 * 65536]


#: A thread of one warp reads what one of another warp has written.
SHARED = """
    mov.b32 %r4, global_smem; mad.lo.s32 %r5, %r1, 4, %r4; st.shared.b32 [%r5], %r1;
    {barrier}
    xor.b32 %r6, %r5, 128; ld.shared.b32 %r7, [%r6]; st.global.b32 [%rd1], %r7;
"""


def test_a_missing_barrier_shows_where_warps_go_one_after_the_other() -> None:
    swapped = [n ^ 32 for n in range(64)]
    assert run(SHARED.format(barrier="bar.sync 0;"), 64, by_warps=True)[:64] == swapped
    assert run(SHARED.format(barrier=""), 64)[:64] == swapped
    assert run(SHARED.format(barrier=""), 64, by_warps=True)[:64] != swapped


def test_a_barrier_or_an_exchange_that_some_do_not_reach_is_an_error() -> None:
    jump = "setp.lt.u32 %p1, %r1, {}; @%p1 bra $out; {}; $out: st.global.b32 [%rd1], %r1;"
    with pytest.raises(AssertionError, match="come to a barrier"):
        run(jump.format(5, "bar.sync 0"), 64)
    with pytest.raises(AssertionError, match="exchange"):
        run(jump.format(5, "shfl.sync.bfly.b32 %r4, %r1, 1, 31, -1"), 64)
    assert run(jump.format(32, "shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1"), 64)[30:34] == [30, 31, 33, 32]
    gone = "setp.lt.u32 %p1, %r1, 32; @%p1 ret; bar.sync 0;"
    with pytest.raises(AssertionError, match="gone"):
        run(gone, 64, by_warps=True)


def test_matrices_go_through_shared_memory_and_back() -> None:
    """Thread n has the word n % 4 of the row n / 4 of each."""
    body = """
        mov.b32 %r4, global_smem; mad.lo.s32 %r5, %r1, 16, %r4; add.s32 %r6, %r1, 100;
        stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r5], {%r1, %r6};
        ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r7, %r8}, [%r5];
        mad.lo.s32 %r9, %r1, 4, %r4; ld.shared.b32 %r10, [%r9];
        st.global.b32 [%rd1], %r10; st.global.b32 [%rd1+128], %r8;
    """
    found = run(body, 32)
    assert found[:32] == list(range(32))
    assert found[32:64] == list(range(100, 132))
    turned = np.array(run(body.replace("x2.shared.b16 {", "x2.trans.shared.b16 {"), 32)[32:64], "u4")
    of_rows = np.arange(100, 132, dtype="u4").view("u2").reshape(8, 8)
    assert (turned.view("u2").reshape(8, 8) == of_rows.T).all()


def test_functions_have_registers_and_a_stack_of_their_own() -> None:
    function = """
        .func (.param .b64 func_retval0) twice( .param .b64 twice_param_0 )
        { .local .align 8 .b8 __local_depot1[8]; .reg .b64 %rd<3>; .reg .b64 %SPL;
          mov.b64 %SPL, __local_depot1; ld.param.b64 %rd1, [twice_param_0]; st.local.b64 [%SPL], %rd1;
          ld.local.b64 %rd2, [%SPL+0]; add.s64 %rd2, %rd2, %rd1; st.param.b64 [func_retval0], %rd2; ret; }
    """
    unused = ".func (.param .align 8 .b8 func_retval0[16]) pair( .param .b64 pair_param_0 ) { ret; }"
    kernel = """
        .visible .entry k( .param .u64 k_param_0 ) .reqntid 32
        { .local .align 8 .b8 __local_depot0[4]; .reg .b32 %r<4>; .reg .b64 %rd<8>; .reg .b64 %SPL;
          mov.b64 %SPL, __local_depot0; mov.u32 %r1, %tid.x; st.local.b32 [%SPL], %r1; cvt.u64.u32 %rd1, %r1;
          { .param .b64 param0; .param .b64 retval0; st.param.b64 [param0], %rd1;
            call.uni (retval0), twice, (param0); ld.param.b64 %rd2, [retval0]; }
          ld.local.b32 %r2, [%SPL]; cvt.u32.u64 %r3, %rd2; add.s32 %r3, %r3, %r2;
          ld.param.b64 %rd3, [k_param_0]; mad.wide.u32 %rd4, %r1, 4, %rd3; st.global.b32 [%rd4], %r3; ret; }
    """
    out = np.zeros(32, "u4")
    Kernel(parse(function + unused + kernel)).launch(1, [out.ctypes.data], False, 0)
    assert list(out) == [3 * n for n in range(32)]
