/*
 * litmus: the memory models against the litmus tests of the literature, run exhaustively: what a model forbids never
 * occurs, and what it allows does.
 *
 * Where C11 allows what an operational model of stores in the order of their execution does not show (memory.h: load
 * buffering, and stores to two locations that two threads order the other way round), the test says so: its outcome is
 * expected to be missing, so that a model that learns to show it is noticed here.
 *
 * Fences between the loads of IRIW alone: C11 allows it, since its rules on fences ask for one beside the stores too;
 * C++20 forbids it.
 *
 *     litmus [NAME]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "memory.h"
#include "search.h"
#include "token.h"
#include "world.h"

enum { VARIABLES = 4, APART_BYTES = 64, REGISTERS = 8, MODELS = 3 };

struct litmus {
    const char *name;
    unsigned threads;
    thread_body *body;
    /* Registers, and the variables at the end, of the outcome in question. */
    bool (*is_it)(const uint64_t *found);
    bool occurs[MODELS]; /* by enum memory_model */
};

static char *memory;
static uint64_t found[REGISTERS + VARIABLES];

/* ---- operations, as in the literature -------------------------------------------------------------------------------
 */

enum { X, Y, Z };

static void *at(unsigned variable)
{
    return memory + (size_t)variable * APART_BYTES;
}

static void put(unsigned variable, uint64_t value)
{
    hs_explore_store(at(variable), 8, value, HS_EXPLORE_RELAXED);
}

static void put_release(unsigned variable, uint64_t value)
{
    hs_explore_store(at(variable), 8, value, HS_EXPLORE_RELEASE);
}

static void get(unsigned variable, unsigned result)
{
    found[result] = hs_explore_load(at(variable), 8, HS_EXPLORE_RELAXED);
}

static void get_acquire(unsigned variable, unsigned result)
{
    found[result] = hs_explore_load(at(variable), 8, HS_EXPLORE_ACQUIRE);
}

static uint64_t last(const uint64_t *outcome, unsigned variable)
{
    return outcome[REGISTERS + variable];
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void store_buffering(unsigned thread)
{
    put(thread == 0 ? X : Y, 1);
    get(thread == 0 ? Y : X, thread);
}

static void store_buffering_fenced(unsigned thread)
{
    put(thread == 0 ? X : Y, 1);
    hs_explore_fence();
    get(thread == 0 ? Y : X, thread);
}

static void store_buffering_exchanged(unsigned thread)
{
    (void)hs_explore_update(at(thread == 0 ? X : Y), 8, HS_EXPLORE_EXCHANGE, 1, HS_EXPLORE_RELAXED);
    get(thread == 0 ? Y : X, thread);
}

static bool both_old(const uint64_t *outcome)
{
    return outcome[0] == 0 && outcome[1] == 0;
}

static void message_passing(unsigned thread)
{
    if (thread == 0) {
        put(X, 1);
        put(Y, 1);
    } else {
        get(Y, 0);
        get(X, 1);
    }
}

static void message_passing_released(unsigned thread)
{
    if (thread == 0) {
        put(X, 1);
        put_release(Y, 1);
    } else {
        get_acquire(Y, 0);
        get(X, 1);
    }
}

static bool flag_without_message(const uint64_t *outcome)
{
    return outcome[0] == 1 && outcome[1] == 0;
}

static void load_buffering(unsigned thread)
{
    get(thread == 0 ? X : Y, thread);
    put(thread == 0 ? Y : X, 1);
}

static bool both_new(const uint64_t *outcome)
{
    return outcome[0] == 1 && outcome[1] == 1;
}

/* Threads 1 and 2 write, 3 and 4 read. */
static void independent_reads(unsigned thread)
{
    if (thread < 2) {
        put(thread == 0 ? X : Y, 1);
        return;
    }
    get(thread == 2 ? X : Y, 2 * (thread - 2));
    get(thread == 2 ? Y : X, 2 * (thread - 2) + 1);
}

static void independent_reads_fenced(unsigned thread)
{
    if (thread < 2) {
        put(thread == 0 ? X : Y, 1);
        return;
    }
    get(thread == 2 ? X : Y, 2 * (thread - 2));
    hs_explore_fence();
    get(thread == 2 ? Y : X, 2 * (thread - 2) + 1);
}

static bool readers_disagree(const uint64_t *outcome)
{
    return outcome[0] == 1 && outcome[1] == 0 && outcome[2] == 1 && outcome[3] == 0;
}

static void two_writes_each(unsigned thread)
{
    put(thread == 0 ? X : Y, 1);
    put(thread == 0 ? Y : X, 2);
}

static bool first_writes_last(const uint64_t *outcome)
{
    return last(outcome, X) == 1 && last(outcome, Y) == 1;
}

static bool second_writes_last(const uint64_t *outcome)
{
    return last(outcome, X) == 2 && last(outcome, Y) == 2;
}

static void read_twice(unsigned thread)
{
    if (thread == 0) {
        put(X, 1);
        return;
    }
    get(X, 0);
    get(X, 1);
}

/* n6: a thread reads its own store from its buffer, before others see it. */
static void forwarding(unsigned thread)
{
    if (thread == 0) {
        put(X, 1);
        get(X, 0);
        get(Y, 1);
    } else {
        put(Y, 2);
        put(X, 2);
    }
}

static bool reads_own_early(const uint64_t *outcome)
{
    return outcome[0] == 1 && outcome[1] == 0 && last(outcome, X) == 1;
}

/* A store and loads of another width: the buffer has to be emptied for them. */
static void half_of_own(unsigned thread)
{
    if (thread == 0) {
        put(X, UINT64_C(0x500000003));
        found[0] = hs_explore_load((char *)at(X) + 4, 4, HS_EXPLORE_RELAXED);
    }
}

static bool half_is_new(const uint64_t *outcome)
{
    return outcome[0] == 5;
}

static bool half_is_old(const uint64_t *outcome)
{
    return outcome[0] == 0;
}

static const struct litmus tests[] = {
    /*                                                                             sc     tso    c11 */
    {"SB", 2, store_buffering, both_old, {false, true, true}},
    {"SB+fences", 2, store_buffering_fenced, both_old, {false, false, false}},
    {"SB+exchanges", 2, store_buffering_exchanged, both_old, {false, false, true}},
    {"MP", 2, message_passing, flag_without_message, {false, false, true}},
    {"MP+release+acquire", 2, message_passing_released, flag_without_message, {false, false, false}},
    {"LB", 2, load_buffering, both_new, {false, false, false /* C11 allows it */}},
    {"IRIW", 4, independent_reads, readers_disagree, {false, false, true}},
    {"IRIW+fences", 4, independent_reads_fenced, readers_disagree, {false, false, true /* not by C++20 */}},
    {"2+2W", 2, two_writes_each, first_writes_last, {false, false, false /* C11 allows it */}},
    {"2+2W+seconds", 2, two_writes_each, second_writes_last, {true, true, true}},
    {"CoRR", 2, read_twice, flag_without_message, {false, false, false}},
    {"n6", 2, forwarding, reads_own_early, {false, true, true}},
    {"half", 1, half_of_own, half_is_new, {true, true, true}},
    {"half+old", 1, half_of_own, half_is_old, {false, false, false}},
};

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static void set_up(unsigned thread)
{
    (void)thread;
    memory = world_break_move((ptrdiff_t)WORLD_PAGE_BYTES);
}

static bool outcome_is(const struct litmus *test)
{
    for (unsigned i = 0; i < VARIABLES; i++)
        found[REGISTERS + i] = memory_read_quietly(at(i), 8);
    return test->is_it(found);
}

static void expect(bool holds, const char *test, const char *what)
{
    if (holds)
        return;
    (void)printf("%s: %s\n", test, what);
    exit(1);
}

/* All executions; how many of them have the outcome. */
static unsigned long explore_all(const struct litmus *test, enum memory_model model, unsigned long *executions)
{
    const struct bounds bounds = {UINT32_MAX, UINT32_MAX, 0};
    unsigned long hits = 0;

    memory_set_model(model);
    search_begin_dfs(&bounds);
    engine_begin(test->threads);
    engine_run_quietly(set_up);
    engine_checkpoint();
    *executions = 0;
    while (search_next()) {
        memset(found, 0, sizeof found);
        engine_run(test->body);
        ++*executions;
        expect(execution.outcome != OUTCOME_FAILED, test->name, execution.failure);
        hits += execution.outcome == OUTCOME_FINE && outcome_is(test);
        if (contention_has_grown())
            search_restart();
    }
    return hits;
}

static void run(const struct litmus *test)
{
    for (unsigned model = 0; model < MODELS; model++) {
        unsigned long executions, hits = explore_all(test, (enum memory_model)model, &executions);

        (void)printf("%-20s %-4s %6lu executions, %4lu with the outcome: %s\n", test->name,
                     token_model_name((enum memory_model)model), executions, hits,
                     test->occurs[model] ? "allowed" : "never");
        expect((hits > 0) == test->occurs[model], test->name, "the outcome occurs where it must not, or does not");
    }
}

/* ---- what a token names ------------------------------------------------------------------------------------------ */

static unsigned long waited_again;

static void contend(unsigned thread)
{
    (void)thread;
    for (unsigned i = 0; i < 2; i++) {
        hs_mutex_lock_unranked((struct hs_mutex *)at(Z));
        hs_mutex_unlock_unranked((struct hs_mutex *)at(Z));
    }
}

static bool is_same_question(const struct answer *one, const struct answer *other)
{
    return one->thread == other->thread && one->kind == other->kind && one->step == other->step;
}

/* No two answers of one execution may be to questions of the same name, or a replay takes one for the other. */
static void expect_distinct_questions(void)
{
    static struct answers answers;

    search_answers(&answers);
    for (unsigned i = 0; i < answers.count; i++) {
        for (unsigned k = i + 1; k < answers.count; k++) {
            const struct answer *one = &answers.list[i], *other = &answers.list[k];

            expect(!is_same_question(one, other), "questions", "two of one execution have the same name");
            waited_again += one->thread == other->thread && one->kind == CHOICE_WAIT && other->kind == CHOICE_WAIT;
        }
    }
}

static void check_questions(void)
{
    const struct bounds bounds = {UINT32_MAX, UINT32_MAX, 0};

    memory_set_model(MODEL_TSO);
    search_begin_random(1, &bounds);
    engine_begin(3);
    engine_run_quietly(set_up);
    engine_checkpoint();
    for (unsigned i = 0; i < 20000; i++) {
        (void)search_next();
        engine_run(contend);
        expect(execution.outcome == OUTCOME_FINE, "questions", execution.failure);
        expect_distinct_questions();
    }
    (void)printf("questions: threads were asked again where they waited %lu times\n", waited_again);
    expect(waited_again > 0, "questions", "nobody waited twice");
}

int main(int argc, char **argv)
{
    engine_init();
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++)
        if (argc < 2 || strcmp(argv[1], tests[i].name) == 0)
            run(&tests[i]);
    if (argc < 2 || strcmp(argv[1], "questions") == 0)
        check_questions();
    return 0;
}
