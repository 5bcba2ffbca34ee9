/*
 * Goal: every strategy places every block exactly where its definition says.
 * Class of bug: a search that misses a better block, a wrong order within a list, a cursor that is lost or not moved,
 *   splitting, merging and resizing that cut or publish otherwise than documented.
 * Oracle: the model, call by call; the walk, block by block; the heap's own check; one free block in the end.
 * Knobs: model-placement <strategy> <mix of duel.c> [first seed [seeds]]; MODEL_CALLS in each sequence.
 *
 * `notices` in place of a mix turns the question round: with one deliberate mistake in the model, the same sequences
 * must differ.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "compiler.h"
#include "duel.h"

#define BUFFER_BYTES_MAX ((size_t)64 << 20)

struct task {
    enum heapster_strategy strategy;
    const struct mix *mix;
    uint64_t first_seed;
    uint64_t seeds;
};

static struct duel the_duel;
static char *buffer;

static int map_buffer(void **state)
{
    char *mapping = mmap(NULL, BUFFER_BYTES_MAX + DUEL_BASE_ALIGNMENT, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)state;
    if (mapping == MAP_FAILED)
        return -1;
    buffer = mapping + hs_bytes_to_multiple((uintptr_t)mapping, DUEL_BASE_ALIGNMENT);
    return 0;
}

/* ---- the model is right ------------------------------------------------------------------------------------------ */

static void places_as_defined(void **state)
{
    const struct task *task = *state;
    uint64_t calls = 0, refusals = 0;
    size_t most_blocks = 0;

    for (uint64_t seed = task->first_seed; seed < task->first_seed + task->seeds; seed++) {
        duel_start(&the_duel, task->mix, buffer, task->strategy, seed, MODEL_SOUND);
        if (!duel_run(&the_duel, MODEL_CALLS) || !duel_empty(&the_duel))
            fail_msg("%s", the_duel.complaint);
        calls += the_duel.operation;
        refusals += the_duel.refusals;
        if (most_blocks < the_duel.most_blocks)
            most_blocks = the_duel.most_blocks;
        duel_stop(&the_duel);
    }
    print_message("%" PRIu64 " calls agree, %" PRIu64 " of them refused by both, with up to %zu blocks\n", calls,
                  refusals, most_blocks);
    /* Sequences that never fill the buffer would say nothing about a search in a full one. */
    assert_true(refusals > 0);
}

/* ---- and would not pass if it were wrong ------------------------------------------------------------------------- */

enum { FIRST = 1 << HEAPSTER_FIRST_FIT, NEXT = 1 << HEAPSTER_NEXT_FIT, BEST = 1 << HEAPSTER_BEST_FIT };
enum { WORST = 1 << HEAPSTER_WORST_FIT, BY_SIZE = BEST | WORST, BY_LIST = FIRST | NEXT, ANY = BY_SIZE | BY_LIST };

/* The strategies that a fault must show in. */
static const struct {
    const char *name;
    unsigned strategies;
} faults[MODEL_FAULTS] = {
    [MODEL_OLDEST_FIRST] = {"oldest first", ANY},
    [MODEL_SECOND_CHOICE] = {"second choice", ANY},
    [MODEL_OLD_EQUAL] = {"oldest of equal ones", BY_SIZE},
    [MODEL_ADDRESS_ORDER] = {"order of address", ANY},
    [MODEL_CURSOR_STUCK] = {"cursor not advanced", NEXT},
    [MODEL_CURSOR_AT_TAKEN] = {"cursor at the head of its list", NEXT},
    [MODEL_CURSOR_KEPT] = {"cursor kept by a switch", NEXT},
    [MODEL_HIGH_END] = {"high end taken", ANY},
    [MODEL_NO_LEFT_MERGE] = {"no merge to the left", ANY},
    [MODEL_NO_RIGHT_MERGE] = {"no merge to the right", ANY},
    [MODEL_MERGE_KEEPS_AGE] = {"merged block not the newest", ANY},
    [MODEL_COARSE_LISTS] = {"two lists for each doubling", BY_LIST},
    [MODEL_THRIFTY_SPLIT] = {"32 bytes not split off", ANY},
    [MODEL_TAIL_FIRST] = {"tail published before front", ANY},
    [MODEL_LEAN_SEARCH] = {"aligned search for too little", ANY},
    [MODEL_GROW_MOVES] = {"realloc never grows in place", ANY},
    [MODEL_SHRINK_KEEPS] = {"realloc gives nothing back", ANY},
};

/* Runs the mixes in turn, with new seeds each time, until one differs. True if one did within the limit. */
static bool is_noticed(enum heapster_strategy strategy, enum model_fault fault)
{
    enum { SEEDS = 16, CALLS = 1500 };
    uint64_t calls = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (size_t i = 0; i < duel_mix_count; i++) {
            bool agree;

            duel_start(&the_duel, &duel_mixes[i], buffer, strategy, seed, fault);
            agree = duel_run(&the_duel, CALLS);
            duel_stop(&the_duel);
            calls += the_duel.operation;
            if (!agree) {
                print_message("%s: after %" PRIu64 " calls: %s\n", faults[fault].name, calls, the_duel.complaint);
                return true;
            }
        }
    }
    print_error("%s: not noticed in %" PRIu64 " calls\n", faults[fault].name, calls);
    return false;
}

static void notices_faults(void **state)
{
    const struct task *task = *state;
    unsigned tried = 0, missed = 0;

    for (enum model_fault fault = MODEL_SOUND + 1; fault < MODEL_FAULTS; fault++) {
        if ((faults[fault].strategies & 1U << task->strategy) == 0)
            continue;
        tried++;
        missed += !is_noticed(task->strategy, fault);
    }
    assert_true(tried > 0);
    assert_int_equal(missed, 0);
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static bool parse_strategy(const char *name, enum heapster_strategy *strategy)
{
    static const char *const names[] = {"first", "next", "best", "worst"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *strategy = (enum heapster_strategy)i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct task task = {.first_seed = 1, .seeds = MODEL_SEEDS};
    struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(places_as_defined, &task),
    };

    if (argc < 3 || argc > 5 || !parse_strategy(argv[1], &task.strategy)) {
        (void)fprintf(stderr, "usage: %s first|next|best|worst <mix>|notices [first seed [seeds]]\n", argv[0]);
        return 2;
    }
    task.mix = duel_mix(argv[2]);
    if (task.mix == NULL && strcmp(argv[2], "notices") != 0) {
        (void)fprintf(stderr, "%s: no mix %s\n", argv[0], argv[2]);
        return 2;
    }
    if (argc > 3)
        task.first_seed = strtoull(argv[3], NULL, 10);
    if (argc > 4)
        task.seeds = strtoull(argv[4], NULL, 10);
    tests[0].name = argv[2];
    tests[0].test_func = task.mix != NULL ? places_as_defined : notices_faults;
    return cmocka_run_group_tests(tests, map_buffer, NULL);
}
