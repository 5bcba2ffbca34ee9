/*
 * reduction: what a depth-first search leaves out is what it has already seen.
 *
 * Small programs are searched twice within the same bounds: plainly, with a point before every operation, no thread
 * asleep and nothing remembered; and as always. Both have to see the same executions, up to the order of independent
 * operations: all that threads do, by hashes of what each event depends on. With total store order, where stores that
 * nobody else could notice do not wait, it is what each thread reads.
 *
 *     reduction [PROGRAM]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "memory.h"
#include "oracle.h"
#include "program.h"
#include "search.h"
#include "token.h"

static const struct {
    const char *program;
    enum memory_model model;
    struct bounds bounds;
} cases[] = {
    {"m0=56,m1=56,m2=56/f0/f1@cache=off+arenas=1", MODEL_SC, {2, 0, 0}},
    {"m0=56,m1=56,m2=56/f0/f1@cache=off+arenas=1", MODEL_C11, {1, 1, 0}},
    {"m0=56,m1=120,m2=56/f0/f1@cache=off+arenas=1", MODEL_C11, {1, 2, 0}},
    {"m0=56,m1=56,m2=56/f0/f1@cache=off+arenas=1", MODEL_TSO, {1, 1, 0}},
    {"m0=56,m1=56,f0/m0=56/m2=56@cache=off+arenas=1", MODEL_SC, {2, 0, 0}},
    {"m0=56,m1=56,m2=56,f0/w/f1@cache=off+arenas=1", MODEL_SC, {1, 0, 0}},
    {"m0=300000,m1=300000/f0/f1@cache=off+arenas=1+large_cache=off", MODEL_C11, {3, 1, 0}},
    {"m0=300000,m1=300000/f0/f1@cache=off+arenas=1+large_cache=off", MODEL_SC, {2, 0, 2}},
    {"m0=300000,f0/m1=300000/l0@cache=off+arenas=1+large_cache=off", MODEL_C11, {4, 2, 0}},
    {"m0=300000,f0/m1=300000/l0@cache=off+arenas=1+large_cache=off", MODEL_TSO, {2, 2, 0}},
    {"m0=56,@2,m1=56/f1,e/f0,e@cache=on+arenas=2", MODEL_C11, {1, 1, 0}},
    {"m0=56,@2,m1=56/f0,x/f1,x@cache=on+arenas=1", MODEL_C11, {3, 1, 0}},
    {"m0=56,@2,m1=56/f0,x/f1,x@cache=on+arenas=1", MODEL_TSO, {0, 1, 0}},
    {"m0=56,m1=56,m2=56/f0/f1/m3=300000@cache=off+arenas=1", MODEL_SC, {1, 0, 0}},
    {"m0=300000,m1=300000,m2=300000/f0/f1/f2@cache=off+arenas=1+large_cache=off", MODEL_SC, {2, 0, 0}},
    {"m0=56,m1=56,m2=56/k/f1@cache=off+arenas=1", MODEL_SC, {1, 0, 0}},
    {"@2,m1=56/k/m2=56@cache=on", MODEL_C11, {1, 1, 0}},
};

enum { SET_BITS = 22 };

/* Of executions, by their signatures. */
struct set {
    uint64_t *list; /* a hash table; 0: none */
    size_t count;
};

static struct set plain, reduced;
static struct program program;

static bool add(struct set *set, uint64_t signature)
{
    size_t mask = ((size_t)1 << SET_BITS) - 1, index = (size_t)(signature >> (64 - SET_BITS));

    while (set->list[index] != 0 && set->list[index] != signature)
        index = (index + 1) & mask;
    if (set->list[index] == signature)
        return false;
    if (++set->count > mask / 4 * 3) {
        (void)fputs("reduction: more executions than there is room for\n", stderr);
        exit(2);
    }
    set->list[index] = signature;
    return true;
}

static bool has(const struct set *set, uint64_t signature)
{
    size_t mask = ((size_t)1 << SET_BITS) - 1, index = (size_t)(signature >> (64 - SET_BITS));

    while (set->list[index] != 0 && set->list[index] != signature)
        index = (index + 1) & mask;
    return set->list[index] == signature;
}

static void forget(struct set *set)
{
    memset(set->list, 0, sizeof *set->list << SET_BITS);
    set->count = 0;
}

/* A child's others have vanished somewhere. */
static uint64_t signature_of_threads(const uint64_t *by_thread)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < execution.thread_count; i++)
        if (execution.threads[i].state != THREAD_VANISHED)
            sum = hs_wrap_add(sum, engine_mix(by_thread[i], i + 1));
    return sum | 1;
}

static uint64_t signature_of_what_was_done(void)
{
    uint64_t done[THREADS_MOST];

    for (unsigned i = 0; i < THREADS_MOST; i++)
        done[i] = execution.threads[i].history;
    return signature_of_threads(done);
}

static uint64_t signature_of_what_was_read(void)
{
    uint64_t read[THREADS_MOST] = {0};
    size_t count;
    const struct event *events = engine_events(&count);

    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        uint64_t value = event->kind == EVENT_UPDATE ? event->found : event->value;

        if (event->kind == EVENT_LOAD || event->kind == EVENT_UPDATE || event->kind == EVENT_EXCHANGE_FAILED)
            read[event->thread] = engine_mix(engine_mix(read[event->thread], event->name), value);
    }
    return signature_of_threads(read);
}

/* Returns how many executions it took. */
static uint64_t search_all(bool reduces, enum memory_model model, const struct bounds *bounds, struct set *set)
{
    uint64_t executions = 0;

    forget(set);
    search_reduce(reduces);
    search_begin_dfs(bounds);
    if (!oracle_begin(&program))
        return 0;
    execution.is_recording = model == MODEL_TSO;
    while (search_next()) {
        oracle_run_threads();
        executions++;
        if (execution.outcome == OUTCOME_FAILED) {
            (void)printf("%s\n", execution.failure);
            return 0;
        }
        if (contention_has_grown() && reduces) {
            search_restart();
            forget(set);
        } else if (execution.outcome == OUTCOME_FINE) {
            (void)add(set, model == MODEL_TSO ? signature_of_what_was_read() : signature_of_what_was_done());
        }
    }
    return executions;
}

/* How many of the first set are not in the second. */
static size_t count_missing(const struct set *set, const struct set *from)
{
    size_t missing = 0;

    for (size_t i = 0; i < (size_t)1 << SET_BITS; i++)
        missing += set->list[i] != 0 && !has(from, set->list[i]);
    return missing;
}

static bool compare(const char *text, enum memory_model model, const struct bounds *bounds)
{
    const char *error;
    uint64_t all, some;
    size_t left_out, added;

    if (!program_parse(&program, text, &error)) {
        (void)fprintf(stderr, "reduction: %s: %s\n", text, error);
        exit(2);
    }
    memory_set_model(model);
    all = search_all(false, model, bounds, &plain);
    some = search_all(true, model, bounds, &reduced);
    left_out = count_missing(&plain, &reduced);
    added = count_missing(&reduced, &plain);
    (void)printf("%zu different executions in %llu, and in %llu; %zu were left out, %zu are new: %s, %s, %u %u %u\n",
                 plain.count, (unsigned long long)all, (unsigned long long)some, left_out, added, text,
                 token_model_name(model), bounds->preemptions, bounds->stale_loads, bounds->faults);
    (void)fflush(stdout);
    return all > some && some > 0 && left_out == 0 && added == 0;
}

int main(int argc, char **argv)
{
    bool is_right = true;

    (void)unsetenv("HEAPSTER_OPTIONS");
    plain.list = calloc((size_t)1 << SET_BITS, sizeof *plain.list);
    reduced.list = calloc((size_t)1 << SET_BITS, sizeof *reduced.list);
    if (plain.list == NULL || reduced.list == NULL)
        return 2;
    engine_init();
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 2 || strcmp(argv[1], cases[i].program) == 0)
            is_right &= compare(cases[i].program, cases[i].model, &cases[i].bounds);
    return is_right ? 0 : 1;
}
