/*
 * test_mutate: what engines are given to mutate with, drawn inputs, mutations, crossover and sizes, on a target of its
 * own.
 *
 * Oracle: nothing is written beyond what there is room for; an operation stays whole; each mutation is made, in some
 * of so many tries; of a crossover the operations are the first one's up to some point, and then the end of the second
 * one's; each size around a boundary is written as what is read again; few mutations leave what takes long.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "target.h"

enum { TRIES = 20000, INPUT_MOST = 1024, GUARD = 64, KINDS = 4, MALLOC = 1, BURST = 4 };

static const struct fuzz_kind kinds[KINDS] = {{"malloc", FUZZ_SLOT | FUZZ_BYTES, 3},
                                              {"free", FUZZ_SLOT, 2},
                                              {"aligned", FUZZ_SLOT | FUZZ_ALIGNMENT, 1},
                                              {"burst", FUZZ_COUNT | FUZZ_HEAVY_COUNT, 0}};

const struct fuzz_target fuzz_target = {
    .name = "mutate", .kinds = kinds, .kind_count = KINDS, .has_tail = true, .serves_large = true};

static struct fuzz_pieces before, others, after;
static bool is_engines; /* the mutation is of bytes, and knows no operations */

void fuzz_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* The engine's own: here one byte becomes another. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most)
{
    (void)most;
    is_engines = true;
    if (bytes > 0)
        data[bytes / 2] ^= 0x55;
    return bytes;
}

static void expect(bool holds, const char *what, unsigned seed)
{
    if (!holds)
        fuzz_fail("test_mutate: %s (seed %u)", what, seed);
}

static void expect_guard(const uint8_t *guard, unsigned seed)
{
    for (unsigned i = 0; i < GUARD; i++)
        expect(guard[i] == 0xAB, "a byte behind the room was written", seed);
}

static bool is_same_op(const uint8_t *one, const uint8_t *other)
{
    return memcmp(one, other, FUZZ_OP_BYTES) == 0;
}

/* ---- mutations -----------------------------------------------------------------------------------------------------
 */

struct seen {
    unsigned longer, shorter, swapped, resized, retargeted, tail_changed, preempted;
};

static void note_difference(struct seen *seen)
{
    unsigned moved = 0;

    seen->longer += after.op_count > before.op_count;
    seen->shorter += after.op_count < before.op_count;
    seen->tail_changed += after.tail_bytes != before.tail_bytes;
    for (size_t i = 0; after.tail_bytes == before.tail_bytes && i < after.tail_bytes; i++)
        seen->preempted += (after.tail[i] == 0) != (before.tail[i] == 0);
    if (after.op_count != before.op_count)
        return;
    for (unsigned i = 0; i < after.op_count; i++) {
        const uint8_t *was = before.ops[i], *is = after.ops[i];

        moved += !is_same_op(was, is);
        seen->resized += memcmp(was + 2, is + 2, 3) != 0 && was[0] == is[0] && was[1] == is[1];
        seen->retargeted += was[1] != is[1] && memcmp(was + 2, is + 2, 6) == 0 && was[0] == is[0];
    }
    seen->swapped += moved == 2;
}

static void test_mutations(void)
{
    static uint8_t input[INPUT_MOST + GUARD];
    struct seen seen = {0};

    memset(input, 0xAB, sizeof input);
    for (unsigned seed = 1; seed <= TRIES; seed++) {
        size_t most = FUZZ_HEADER_BYTES + 8 + seed % (INPUT_MOST - FUZZ_HEADER_BYTES - 8);
        size_t bytes = fuzz_generate(input, most, 1 + seed % 100, seed);

        expect(bytes <= most, "a drawn input is too long", seed);
        memset(input + bytes, 0xAB, sizeof input - bytes);
        fuzz_cut(&before, input, bytes);
        is_engines = false;
        bytes = LLVMFuzzerCustomMutator(input, bytes, most, seed);
        expect(bytes <= most, "a mutated input is too long", seed);
        expect_guard(input + most, seed);
        fuzz_cut(&after, input, bytes);
        expect(is_engines || after.tail_bytes > 0 || (bytes - FUZZ_HEADER_BYTES) % FUZZ_OP_BYTES == 0,
               "an operation was cut", seed);
        if (!is_engines)
            note_difference(&seen);
    }
    expect(seen.longer > 0 && seen.shorter > 0 && seen.swapped > 0 && seen.resized > 0 && seen.retargeted > 0 &&
               seen.tail_changed > 0 && seen.preempted > 0,
           "a kind of mutation was never made", TRIES);
}

/* ---- what takes long -----------------------------------------------------------------------------------------------
 */

static bool is_heavy(const uint8_t *input, size_t bytes)
{
    fuzz_cut(&after, input, bytes);
    for (unsigned i = 0; i < after.op_count; i++) {
        unsigned kind = (after.ops[i][0] - 1U) % KINDS + 1;
        size_t size = fuzz_size(after.ops[i] + 2);

        if ((kind == BURST && after.ops[i][6] >= FUZZ_LIGHT_COUNTS) ||
            (kind == MALLOC && size >= FUZZ_LIGHT_BYTES && size < FUZZ_SERVED_BYTES))
            return true;
    }
    return false;
}

/* Of an input that takes long, a few of those that are made of it do, too. */
static void test_lightening(unsigned kind)
{
    static uint8_t heavy[INPUT_MOST], input[INPUT_MOST];
    size_t heavy_bytes = fuzz_generate(heavy, sizeof heavy, 40, 1);
    unsigned mutated = 0, crossed = 0;

    for (unsigned i = 0; i < 40; i += 4) {
        uint8_t *op = heavy + FUZZ_HEADER_BYTES + (size_t)i * FUZZ_OP_BYTES;

        op[0] = (uint8_t)kind;
        fuzz_encode_size(op + 2, (size_t)256 << 20);
        op[6] = UINT8_MAX;
    }
    for (unsigned seed = 1; seed <= TRIES; seed++) {
        memcpy(input, heavy, heavy_bytes);
        mutated += is_heavy(input, LLVMFuzzerCustomMutator(input, heavy_bytes, sizeof input, seed));
        crossed += is_heavy(
            input, LLVMFuzzerCustomCrossOver(heavy, heavy_bytes, heavy, heavy_bytes, input, sizeof input, seed));
    }
    expect(mutated > TRIES / 100 && mutated < TRIES / 20, "not a few mutations of a hundred take long", mutated);
    expect(crossed > TRIES / 100 && crossed < TRIES / 20, "not a few crossovers of a hundred take long", crossed);
}

/* ---- crossover -----------------------------------------------------------------------------------------------------
 */

static void test_crossover(void)
{
    static uint8_t first[INPUT_MOST], second[INPUT_MOST], both[INPUT_MOST + GUARD];
    unsigned mixed = 0;

    for (unsigned seed = 1; seed <= TRIES; seed++) {
        size_t first_bytes = fuzz_generate(first, sizeof first, 1 + seed % 20, seed);
        size_t second_bytes = fuzz_generate(second, sizeof second, 1 + seed % 30, seed + TRIES), bytes;
        unsigned kept = 0, added;

        /* These are not what they were afterwards. */
        if (is_heavy(first, first_bytes) || is_heavy(second, second_bytes))
            continue;
        memset(both, 0xAB, sizeof both);
        bytes = LLVMFuzzerCustomCrossOver(first, first_bytes, second, second_bytes, both, INPUT_MOST, seed);
        expect(bytes <= INPUT_MOST, "a crossover is too long", seed);
        expect_guard(both + INPUT_MOST, seed);
        fuzz_cut(&before, first, first_bytes);
        fuzz_cut(&others, second, second_bytes);
        fuzz_cut(&after, both, bytes);
        while (kept < after.op_count && kept < before.op_count && is_same_op(after.ops[kept], before.ops[kept]))
            kept++;
        added = after.op_count - kept;
        expect(added <= others.op_count, "an operation of a crossover is of neither", seed);
        for (unsigned i = 0; i < added; i++)
            expect(is_same_op(after.ops[kept + i], others.ops[others.op_count - added + i]),
                   "an operation of a crossover is of neither", seed);
        mixed += kept > 0 && added > 0;
    }
    expect(mixed > TRIES / 2, "few crossovers are made of both", mixed);
}

/* ---- sizes ---------------------------------------------------------------------------------------------------------
 */

static void test_sizes(void)
{
    uint8_t encoded[3];

    for (size_t bytes = 0; bytes <= (size_t)1 << 20; bytes++) {
        fuzz_encode_size(encoded, bytes);
        expect(fuzz_size(encoded) == bytes, "a size is read as another one", (unsigned)bytes);
    }
    for (unsigned i = 0; i < fuzz_boundary_count; i++) {
        fuzz_encode_size(encoded, fuzz_boundaries[i]);
        expect(fuzz_size(encoded) == fuzz_boundaries[i], "a boundary is read as another size", i);
    }
}

int main(void)
{
    test_mutations();
    test_lightening(BURST);
    test_lightening(MALLOC);
    test_crossover();
    test_sizes();
    return 0;
}
