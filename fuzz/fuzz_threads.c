/*
 * fuzz_threads: operations of 2 to 4 threads and a schedule, run by the explorer on its own copy of the allocator
 * (stress/explore).
 *
 * Header: byte 0, threads (bits 0 and 1: 2 and what they say modulo 3), caches (bit 2 set: off), two arenas (bit 3
 * set); byte 1, up to four calls of the OS may fail (bit 0 set).
 * Lanes 0 to 3 are the set-up, as thread 1 + the lane modulo the threads; lanes 4 to 7 what those
 * threads then do at once. A slot is that thread's which first names it there; what another one would do with it is
 * left out, and so is what finds no block, and what is too much: SET_UP_MOST operations of the set-up, WORK_MOST of a
 * thread. A request for a slot that is taken frees it first. Groups of many blocks belong to threads as slots do.
 *
 * The tail is the schedule, a byte for each time that something else happens than that the current thread goes on, a
 * load sees the newest store, and a call succeeds: how many such questions are passed over before (6 bits), and which
 * of the other answers it is (2 bits).
 *
 * Goal: no race, no deadlock, no broken invariant, no block given twice, none lost, whatever the schedule. Oracle:
 * stress/explore/oracle.h; with --walk=each the walker looks wherever nobody holds a lock,
 * but under ThreadSanitizer.
 */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "engine.h"
#include "explore.h"
#include "groups.h"
#include "oracle.h"
#include "pairs.h"
#include "target.h"
#include "timeline.h"

enum {
    SET_UP_MOST = 12,
    WORK_MOST = 4,
    BYTES_MOST = 300000,
    ZEROED_MOST = 4096,
    LANES_OF_WORK = 4,
    FAULTS_MOST = 4,
    SHARES = 320
};

#define MANY_BYTES_MOST ((size_t)1 << 20)

enum { FIELDS_BLOCK = FUZZ_LANE | FUZZ_SLOT };

/* By their letters in the explorer's programs (program.h). */
static const char letters[] = "mcrafiletwsxkgdno";

static const struct fuzz_kind kinds[] = {
    {"malloc", FIELDS_BLOCK | FUZZ_BYTES, 300},
    {"calloc", FIELDS_BLOCK | FUZZ_BYTES, 20},
    {"realloc", FIELDS_BLOCK | FUZZ_BYTES, 80},
    {"aligned_alloc", FIELDS_BLOCK | FUZZ_BYTES | FUZZ_ALIGNMENT, 20},
    {"free", FIELDS_BLOCK, 300},
    {"inspect", FIELDS_BLOCK, 5},
    {"look up", FIELDS_BLOCK, 5},
    {"empty the cache", FUZZ_LANE, 30},
    {"trim", FUZZ_LANE, 5},
    {"check", FUZZ_LANE, 2},
    {"stats", FUZZ_LANE, 5},
    {"end", FUZZ_LANE, 10},
    {"fork", FUZZ_LANE, 3},
    {"set_strategy", FUZZ_LANE | FUZZ_COUNT, 3},
    {"time passes", FUZZ_LANE | FUZZ_COUNT, 3},
    {"malloc many", FIELDS_BLOCK | FUZZ_BYTES | FUZZ_COUNT | FUZZ_HEAVY_COUNT, 1},
    {"free many", FIELDS_BLOCK, 4},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

_Static_assert(sizeof letters == KINDS + 1, "a letter for each kind");

/* Counted like branches. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t pair_counters[1 << 14];

static struct program program;
static struct plan plan;
static struct token token;

static struct {
    bool is_live[SLOTS];
    uint8_t owner[SLOTS]; /* 1 + a thread; 0: nobody's yet */
    uint8_t owner_of_group[GROUPS];
    size_t shares_left; /* of what groups may do */
    bool has_ended[THREADS_MOST];
    bool has_forked;
    unsigned as; /* of the set-up */
} build;

/* ---- from operations to a program -------------------------------------------------------------------------------- */

static void add(struct ops *ops, struct op op)
{
    ops->list[ops->count++] = op;
}

static bool needs_block(char letter)
{
    return letter == OP_FREE || letter == OP_INSPECT || letter == OP_LOOK;
}

static bool makes_block(char letter)
{
    return letter == OP_MALLOC || letter == OP_CALLOC || letter == OP_ALIGNED;
}

/* Not too large for the explorer's memory, nor for its patience. */
static size_t size_of(const struct fuzz_op *op, char letter)
{
    size_t most = letter == OP_CALLOC ? ZEROED_MOST : BYTES_MOST;

    if (letter == OP_STRATEGY)
        return op->count % 4;
    if (letter == OP_TIME)
        return (size_t)op->count * 100;
    return 1 + (op->bytes > 0 ? op->bytes - 1 : 0) % most;
}

static size_t alignment_of(const struct fuzz_op *op)
{
    size_t alignment = 16;

    while (alignment < op->alignment && alignment < 4096)
        alignment *= 2;
    return alignment;
}

static void add_block_op(struct ops *ops, const struct fuzz_op *op, char letter)
{
    unsigned slot = op->slot % SLOTS;

    if (needs_block(letter) && !build.is_live[slot])
        return;
    if (makes_block(letter) && build.is_live[slot])
        add(ops, (struct op){.kind = OP_FREE, .slot = slot});
    add(ops, (struct op){letter, slot, size_of(op, letter), letter == OP_ALIGNED ? alignment_of(op) : 0});
    if (letter == OP_FREE || makes_block(letter) || letter == OP_REALLOC)
        build.is_live[slot] = letter != OP_FREE;
}

/* As many as asked for, up to 512, no more than a mebibyte, and no more than is left to the program. Each block that a
 * thread allocates costs as many steps of an execution as two of the set-up, which are only freed and given back. */
static size_t many_of(const struct fuzz_op *op, size_t bytes, unsigned share)
{
    size_t count = (size_t)1 << op->count % 10, fitting = MANY_BYTES_MOST / bytes, left = build.shares_left / share;

    count = count < fitting ? count : fitting;
    count = count < left ? count : left;
    build.shares_left -= count * share;
    return count;
}

static void add_group_op(struct ops *ops, const struct fuzz_op *op, char letter)
{
    size_t bytes = 1 + (op->bytes > 0 ? op->bytes - 1 : 0) % (MANY_BYTES_MOST / 64);

    if (letter == OP_FREE_MANY)
        add(ops, (struct op){.kind = letter, .slot = op->slot % GROUPS});
    else
        add(ops, (struct op){letter, op->slot % GROUPS, bytes, many_of(op, bytes, ops == &program.set_up ? 1 : 2)});
}

static bool is_about_group(char letter)
{
    return letter == OP_MANY || letter == OP_FREE_MANY;
}

static bool is_about_block(const struct fuzz_op *op)
{
    return (kinds[op->kind - 1].fields & FUZZ_SLOT) != 0;
}

static void add_to_set_up(const struct fuzz_op *op)
{
    unsigned as = op->lane % program.thread_count;
    char letter = letters[op->kind - 1];

    /* One operation may become three. */
    if (program.set_up.count + 3 > SET_UP_MOST || letter == OP_EXIT || letter == OP_FORK)
        return;
    if (as != build.as)
        add(&program.set_up, (struct op){.kind = OP_AS, .bytes = as + 1});
    build.as = as;
    if (is_about_group(letter))
        add_group_op(&program.set_up, op, letter);
    else if (is_about_block(op))
        add_block_op(&program.set_up, op, letter);
    else
        add(&program.set_up, (struct op){.kind = letter, .bytes = size_of(op, letter)});
}

/* Whose a slot or a group is that nobody has named yet is settled by who names it. */
static bool is_mine(uint8_t *owner, unsigned thread)
{
    if (*owner == 0)
        *owner = (uint8_t)(thread + 1);
    return *owner == thread + 1;
}

static void add_to_thread(const struct fuzz_op *op)
{
    unsigned thread = op->lane % LANES_OF_WORK % program.thread_count, slot = op->slot % SLOTS;
    struct ops *ops = &program.threads[thread];
    char letter = letters[op->kind - 1];

    if (ops->count + 2 > WORK_MOST || build.has_ended[thread] || (letter == OP_FORK && build.has_forked))
        return;
    if (is_about_group(letter)) {
        if (is_mine(&build.owner_of_group[op->slot % GROUPS], thread))
            add_group_op(ops, op, letter);
        return;
    }
    if (is_about_block(op)) {
        if (is_mine(&build.owner[slot], thread))
            add_block_op(ops, op, letter);
        return;
    }
    add(ops, (struct op){.kind = letter, .bytes = size_of(op, letter)});
    build.has_ended[thread] = letter == OP_EXIT;
    build.has_forked |= letter == OP_FORK;
}

static void translate(const struct fuzz_program *input)
{
    memset(&build, 0, sizeof build);
    build.shares_left = SHARES;
    memset(&program, 0, sizeof program);
    program.thread_count = 2 + (input->header[0] & 3U) % 3;
    (void)snprintf(program.options, sizeof program.options, "cache=%s+arenas=%d",
                   (input->header[0] & 4) != 0 ? "off" : "on", (input->header[0] & 8) != 0 ? 2 : 1);
    for (unsigned i = 0; i < input->op_count; i++)
        if (input->ops[i].lane < LANES_OF_WORK)
            add_to_set_up(&input->ops[i]);
    for (unsigned i = 0; i < input->op_count; i++)
        if (input->ops[i].lane >= LANES_OF_WORK)
            add_to_thread(&input->ops[i]);
    plan.model = MODEL_C11;
    plan.bounds = (struct bounds){UINT32_MAX, UINT32_MAX, (input->header[1] & 1) != 0 ? FAULTS_MOST : 0};
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The explorer starts its copy anew for each program. */
void fuzz_start_allocator(void)
{
}

static void prepare(void)
{
    (void)unsetenv("HEAPSTER_OPTIONS");
    engine_init();
    /* The walker takes no lock there, which ThreadSanitizer cannot be told. */
    oracle_check_each_point(fuzz_walks_each && !EXPLORE_HAS_THREAD_SANITIZER);
    pairs_attach(pair_counters, sizeof pair_counters);
}

static void print_token(FILE *out)
{
    static char text[TOKEN_BYTES];

    program_print(&program, token.program, sizeof token.program);
    token.model = plan.model;
    token.checks_each_point = oracle_checks_each_point();
    search_answers(&token.answers);
    token_print(&token, text, sizeof text);
    (void)fprintf(out, "heapster-explore --replay '%s'\n", text);
}

static void run(const struct fuzz_program *input)
{
    translate(input);
    if (!explore_bytes(&program, &plan, input->tail, input->tail_bytes))
        return;
    print_token(stderr);
    fuzz_fail("%s", execution.failure);
}

/* What the explorer makes of an input, and what happens then. */
static void print_header(FILE *out, const struct fuzz_program *input)
{
    bool failed;

    prepare();
    translate(input);
    failed = explore_bytes(&program, &plan, input->tail, input->tail_bytes);
    print_token(out);
    (void)explore_replay(&program, plan.model, &token.answers, true);
    timeline_print(out, WIDTH_DEFAULT, STEPS_SHARED, &program, failed ? execution.failure : "");
}

const struct fuzz_target fuzz_target = {
    .name = "threads",
    .seldom = {0, 1, 0, 0}, /* calls that fail */
    .kinds = kinds,
    .kind_count = KINDS,
    .has_tail = true,
    .has_lanes = true,
    .prepare = prepare,
    .run = run,
    .print_header = print_header,
    .why_no_c = "of threads C does not set the schedule; --print has it, with a token for heapster-explore",
};
