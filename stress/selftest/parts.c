/* parts: the pieces of the kit that its oracle rests on: pattern, shadow, generator. */
#include <stdio.h>
#include <string.h>

#include "broken.h"
#include "expect.h"
#include "mix.h"
#include "pattern.h"
#include "run.h"
#include "shadow.h"

/* Every range, against the definition of a single byte; and every single byte that is wrong is found where it is. */
static void test_pattern(void)
{
    enum { BYTES = 40 };
    const uint64_t key = kit_pattern_key(7, 11);

    for (size_t from = 0; from <= BYTES; from++) {
        for (size_t to = from; to <= BYTES; to++) {
            unsigned char bytes[BYTES + 1] = {0};

            kit_pattern_fill(bytes, from, to, key);
            for (size_t i = 0; i <= BYTES; i++)
                expect(bytes[i] == (i >= from && i < to ? kit_pattern_byte(key, i) : 0), "pattern fills its range");
            expect(kit_pattern_mismatch(bytes, from, to, key) == KIT_INTACT, "pattern is found intact");
            for (size_t i = from; i < to; i++) {
                bytes[i] ^= 0x10;
                expect(kit_pattern_mismatch(bytes, from, to, key) == i, "pattern finds the wrong byte");
                bytes[i] ^= 0x10;
            }
        }
    }
    expect(kit_pattern_key(7, 11) != kit_pattern_key(7, 12) && kit_pattern_key(7, 11) != kit_pattern_key(8, 11),
           "pattern depends on seed and id");
}

static void test_nonzero(void)
{
    enum { BYTES = 24 };
    unsigned char bytes[BYTES] = {0};

    for (size_t length = 0; length <= BYTES; length++) {
        expect(kit_pattern_first_nonzero(bytes, length) == KIT_INTACT, "zeroes are zero");
        for (size_t i = 0; i < length; i++) {
            bytes[i] = 1;
            expect(kit_pattern_first_nonzero(bytes, length) == i, "a byte that is not zero is found");
            bytes[i] = 0;
        }
    }
}

/* Around the ends of words and leaves. */
static void test_shadow(void)
{
    static const uintptr_t places[] = {0x10000U, 0x101F8U, 0x3FFFFF8U, 0x7FFFFFFF0U};
    static const size_t lengths[] = {1, 8, 24, 512, 513, 4096, (size_t)80 << 20};
    struct kit_shadow *shadow = kit_shadow_make();

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            uintptr_t place = places[i], last = (place + lengths[k] - 1) & ~(uintptr_t)7;

            expect(kit_shadow_cover(shadow, place, lengths[k]) == KIT_COVERED_NOWHERE, "nothing is covered at first");
            expect(kit_shadow_set(shadow, place, lengths[k]) == 0, "set where nothing is");
            expect(kit_shadow_cover(shadow, place, lengths[k]) == KIT_COVERED_WHOLLY, "covered after set");
            expect(kit_shadow_cover(shadow, place - 8, lengths[k] + 8) == KIT_COVERED_PARTLY, "not before it");
            expect(kit_shadow_cover(shadow, last + 8, 8) == KIT_COVERED_NOWHERE, "nor behind it");
            expect(kit_shadow_set(shadow, last, 8) == last, "set where something is");
            expect(kit_shadow_set(shadow, place, 1) == place, "set where something begins");
            expect(kit_shadow_clear(shadow, place, lengths[k]) == 0, "clear what was set");
            expect(kit_shadow_clear(shadow, place, 8) == place, "clear what is clear");
        }
    }
    kit_shadow_destroy(shadow);
}

static void work(struct kit_thread *thread)
{
    static const struct kit_sizes sizes[] = {{1, 0, 4096}, {0, 0, 0}};
    static const struct kit_mix mix = {.sizes = sizes, .hand_over = 10, .resize = 30, .inspect = 20};

    while (kit_step(thread))
        kit_mix_step(thread, &mix, thread->run->allocator);
}

/* What one thread does by the seed, as a hash of its calls. */
static uint64_t calls_of(uint64_t seed, const char *name)
{
    struct kit_scenario scenario = {.name = name, .blocks_of_thread = 32, .slots = 8, .work = work};
    struct kit_config config = {.threads = 1,
                                .ops = 3000,
                                .seed = seed,
                                .hang_seconds = 60,
                                .check_every = 1000,
                                .quiet = true,
                                .reproduce = "",
                                .strategy_name = ""};
    struct kit_allocator allocator = broken_allocator(FAULT_NONE);
    static struct kit_result result;

    kit_run(&config, &scenario, &allocator, &result);
    expect(result.ops == config.ops, "as many operations as asked for");
    return broken_call_hash();
}

static void test_determinism(void)
{
    uint64_t calls = calls_of(1, "one");

    expect(calls == calls_of(1, "one"), "the same seed does the same");
    expect(calls != calls_of(2, "one"), "another seed does something else");
    expect(calls != calls_of(1, "two"), "another scenario does something else");
}

int main(void)
{
    test_pattern();
    test_nonzero();
    test_shadow();
    test_determinism();
    return expect_status();
}
