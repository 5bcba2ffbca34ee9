#include "search.h"

#include <string.h>
#include <sys/mman.h>

#include "engine.h"
#include "tables.h"

/* Of a byte of a schedule: how many questions it can pass over. */
enum { BYTES_PASS = 64 };

enum { NODES_MOST = 1 << 16, SEEN_BITS = 25 };

/* A question of the current path. */
struct node {
    struct answer answer; /* as it goes into a token */
    uint16_t chosen, count;
};

/* What an execution that was here may still have done, by the signature of what had happened. */
struct seen {
    uint64_t key; /* 0: none */
    uint32_t left;
};

static struct {
    enum strategy strategy;
    struct bounds bounds;
    uint64_t seed, state;
    unsigned depth;
    unsigned limit; /* dfs: of preemptions, for now */
    bool was_cut;   /* dfs: within it there was somewhere more to do */
    bool has_begun;
    bool is_plain; /* dfs: nothing is left out */

    struct node *path; /* dfs: all questions; otherwise those whose answer is not 0 */
    unsigned length;   /* of the path, so far */
    unsigned prefix;   /* dfs: of it, what was decided before this execution */
    unsigned position; /* dfs: how many questions this execution has asked */
    struct seen *seen;
    uint64_t seen_count, pruned;
    unsigned stale_loads, faults;

    uint8_t priority[THREADS_MOST];
    unsigned change_at[8], points, points_most;

    const uint8_t *bytes;
    size_t byte_count;
    unsigned passed;        /* questions since the last byte */
    struct answers answers; /* replay */
} search;

/* ---- beginnings -------------------------------------------------------------------------------------------------- */

static void begin(enum strategy strategy, const struct bounds *bounds)
{
    if (search.path == NULL) {
        search.path = tables_map(NODES_MOST * sizeof *search.path);
        search.seen = tables_map((sizeof *search.seen) << SEEN_BITS);
    }
    search.strategy = strategy;
    if (bounds != NULL)
        search.bounds = *bounds;
    else
        search.bounds = (struct bounds){UINT32_MAX, UINT32_MAX, UINT32_MAX};
    search_restart();
}

void search_restart(void)
{
    search.has_begun = search.was_cut = false;
    search.limit = search.strategy == STRATEGY_DFS ? 0 : search.bounds.preemptions;
    search.length = search.prefix = 0;
    search.state = search.seed;
    if (search.seen_count != 0)
        (void)madvise(search.seen, (sizeof *search.seen) << SEEN_BITS, MADV_DONTNEED);
    search.seen_count = 0;
    search.pruned = 0;
}

void search_begin_dfs(const struct bounds *bounds)
{
    begin(STRATEGY_DFS, bounds);
}

void search_reduce(bool reduces)
{
    search.is_plain = !reduces;
}

void search_begin_random(uint64_t seed, const struct bounds *bounds)
{
    search.seed = seed;
    begin(STRATEGY_RANDOM, bounds);
}

void search_begin_pct(uint64_t seed, unsigned depth, const struct bounds *bounds)
{
    search.seed = seed;
    search.depth = depth;
    search.points_most = 0;
    begin(STRATEGY_PCT, bounds);
}

void search_begin_bytes(const uint8_t *bytes, size_t count, const struct bounds *bounds)
{
    search.bytes = bytes;
    search.byte_count = count;
    search.passed = 0;
    begin(STRATEGY_BYTES, bounds);
}

void search_begin_replay(const struct answers *answers)
{
    search.answers = *answers;
    begin(STRATEGY_REPLAY, NULL);
}

static uint64_t draw(void)
{
    uint64_t z = search.state = hs_wrap_add(search.state, UINT64_C(0x9E3779B97F4A7C15));

    z = hs_wrap_multiply(z ^ z >> 30, UINT64_C(0xBF58476D1CE4E5B9));
    z = hs_wrap_multiply(z ^ z >> 27, UINT64_C(0x94D049BB133111EB));
    return z ^ z >> 31;
}

/* ---- from execution to execution --------------------------------------------------------------------------------- */

/* The last answer that can grow does. False where none can. */
static bool backtrack(void)
{
    while (search.length > 0) {
        struct node *node = &search.path[search.length - 1];

        if (node->chosen + 1U < node->count) {
            node->chosen++;
            return true;
        }
        search.length--;
    }
    return false;
}

/* All is done with so many preemptions; once more with one more, where that makes a difference. */
static bool raise_limit(void)
{
    if (!search.was_cut || search.limit == search.bounds.preemptions)
        return false;
    search.limit++;
    search.was_cut = false;
    search.length = 0;
    return true;
}

/* Distinct random priorities above depth, and depth - 1 points at which the one who runs falls below them. */
static void deal_priorities(void)
{
    unsigned points = search.points_most > 0 ? search.points_most : 100;

    for (unsigned i = 0; i < THREADS_MOST; i++)
        search.priority[i] = (uint8_t)(search.depth + i);
    for (unsigned i = THREADS_MOST - 1; i > 0; i--) {
        unsigned other = (unsigned)(draw() % (i + 1));
        uint8_t kept = search.priority[i];

        search.priority[i] = search.priority[other];
        search.priority[other] = kept;
    }
    for (unsigned i = 0; i + 1 < search.depth; i++)
        search.change_at[i] = (unsigned)(draw() % points);
}

bool search_next(void)
{
    if (search.points > search.points_most)
        search.points_most = search.points;
    search.points = search.position = search.stale_loads = search.faults = 0;
    if (search.strategy == STRATEGY_DFS) {
        if (search.has_begun && !backtrack() && !raise_limit())
            return false;
        search.prefix = search.length;
    } else {
        search.length = 0;
    }
    if (search.strategy == STRATEGY_PCT)
        deal_priorities();
    search.has_begun = true;
    return true;
}

bool search_puts_to_sleep(void)
{
    return search.strategy == STRATEGY_DFS && !search.is_plain;
}

bool search_asks_everywhere(void)
{
    return search.strategy == STRATEGY_REPLAY || search.is_plain;
}

double search_pct_bound(unsigned threads)
{
    double bound = search.points_most > 0 ? 1.0 / threads : 0;

    for (unsigned i = 1; i < search.depth && search.points_most > 0; i++)
        bound /= search.points_most;
    return bound;
}

uint64_t search_pruned(void)
{
    return search.pruned;
}

/* ---- depth first ------------------------------------------------------------------------------------------------- */

/* How much more an execution may still do; what was explored with as much or more need not be again. */
static uint32_t what_is_left(void)
{
    return search.limit - execution.preemptions;
}

/* What is kept of where an execution was; or the place for it. */
static struct seen *find_seen(uint64_t key)
{
    size_t index = (size_t)(key >> (64 - SEEN_BITS));

    while (search.seen[index].key != 0 && search.seen[index].key != key)
        index = (index + 1) & (((size_t)1 << SEEN_BITS) - 1);
    return &search.seen[index];
}

static uint64_t key_of(enum choice_kind kind, uint8_t asleep)
{
    uint64_t where = (uint64_t)execution.yielded << 24 | (uint64_t)asleep << 16 | (uint64_t)kind << 8;

    where |= execution.current;
    return engine_mix(engine_mix(engine_signature(), where), (uint64_t)search.stale_loads << 32 | search.faults) | 1;
}

/* Whether the same has happened before, as much was left then, and nobody slept who does not now. */
static bool was_here(enum choice_kind kind)
{
    uint8_t asleep = execution.asleep;

    for (;; asleep = (uint8_t)((asleep - 1) & execution.asleep)) {
        if (find_seen(key_of(kind, asleep))->left > what_is_left())
            return true;
        if (asleep == 0)
            return false;
    }
}

static void note_here(enum choice_kind kind)
{
    uint64_t key = key_of(kind, execution.asleep);
    struct seen *seen = find_seen(key);

    if (seen->key == 0) {
        /* A table that is nearly full takes no more: the search is then slower, and as good. */
        if (search.seen_count > ((uint64_t)1 << SEEN_BITS) / 8 * 7)
            return;
        search.seen_count++;
    }
    *seen = (struct seen){key, what_is_left() + 1};
}

static void prune_where_known(enum choice_kind kind)
{
    if (search.is_plain || !was_here(kind))
        return;
    search.pruned++;
    engine_prune();
}

static struct node *add_node(enum choice_kind kind, unsigned count)
{
    struct node *node = &search.path[search.length];

    if (search.length == NODES_MOST)
        engine_fail("more than %d questions in one execution", (int)NODES_MOST);
    search.length++;
    node->answer =
        (struct answer){.thread = (uint8_t)execution.current, .kind = (uint8_t)kind, .step = engine_self()->steps};
    node->count = (uint16_t)count;
    node->chosen = 0;
    return node;
}

static bool matches(const struct answer *answer, enum choice_kind kind)
{
    return answer->thread == execution.current && answer->kind == kind && answer->step == engine_self()->steps;
}

static unsigned answer_depth_first(enum choice_kind kind, unsigned count)
{
    if (search.position < search.prefix) {
        struct node *node = &search.path[search.position++];

        if (!matches(&node->answer, kind) || node->count != count)
            engine_fail("the explorer is not deterministic: another question than before");
        return node->chosen;
    }
    prune_where_known(kind);
    note_here(kind);
    search.position++;
    return add_node(kind, count)->chosen;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool is_within_bounds(enum choice_kind kind)
{
    switch (kind) {
    case CHOICE_THREAD:
        search.was_cut |= execution.preemptions >= search.limit;
        return execution.preemptions < search.limit;
    case CHOICE_STORE:
        return search.stale_loads < search.bounds.stale_loads;
    case CHOICE_FAULT:
        return search.faults < search.bounds.faults;
    default:
        return true;
    }
}

static unsigned replay(enum choice_kind kind)
{
    for (unsigned i = 0; i < search.answers.count; i++)
        if (matches(&search.answers.list[i], kind))
            return search.answers.list[i].answer;
    return 0;
}

/* Keeps what a token is to say; depth first does so anyway. */
static void note_answer(enum choice_kind kind, unsigned answer)
{
    struct node *node;

    if (answer == 0)
        return;
    node = search.strategy == STRATEGY_DFS ? &search.path[search.position - 1] : add_node(kind, 0);
    node->answer.answer = (uint16_t)answer;
}

static unsigned highest_priority(const uint8_t *candidates, unsigned count)
{
    unsigned highest = 0;

    for (unsigned i = 1; i < count; i++)
        if (search.priority[candidates[i]] > search.priority[candidates[highest]])
            highest = i;
    return highest;
}

static unsigned answer_by_priority(enum choice_kind kind, const uint8_t *candidates, unsigned count)
{
    if (kind == CHOICE_THREAD) {
        for (unsigned i = 0; i + 1 < search.depth; i++)
            if (search.change_at[i] == search.points)
                search.priority[execution.current] = (uint8_t)i;
        search.points++;
    }
    return highest_priority(candidates, count);
}

static unsigned answer_by_bytes(unsigned count)
{
    uint8_t byte;

    if (search.byte_count == 0)
        return 0;
    byte = search.bytes[search.byte_count - 1];
    if (search.passed < byte % BYTES_PASS) {
        search.passed++;
        return 0;
    }
    search.passed = 0;
    search.byte_count--;
    return 1 + byte / BYTES_PASS % (count - 1);
}

unsigned search_choose(enum choice_kind kind, unsigned count)
{
    unsigned answer = 0;

    if (is_within_bounds(kind)) {
        switch (search.strategy) {
        case STRATEGY_DFS:
            answer = answer_depth_first(kind, count);
            break;
        case STRATEGY_BYTES:
            answer = answer_by_bytes(count);
            break;
        case STRATEGY_REPLAY:
            answer = replay(kind);
            answer = answer < count ? answer : 0;
            break;
        default:
            /* A fault, or an old store, now and then. */
            answer = draw() % 8 == 0 ? (unsigned)(draw() % count) : 0;
            break;
        }
    }
    search.stale_loads += kind == CHOICE_STORE && answer != 0;
    search.faults += kind == CHOICE_FAULT && answer != 0;
    note_answer(kind, answer);
    return answer;
}

static unsigned find_candidate(const uint8_t *candidates, unsigned count, unsigned answer)
{
    for (unsigned i = 0; i < count; i++)
        if (candidates[i] + 1U == answer)
            return i;
    return 0;
}

unsigned search_choose_thread(enum choice_kind kind, const uint8_t *candidates, unsigned count)
{
    unsigned index = 0;

    if (count < 2 || !is_within_bounds(kind))
        return 0;
    switch (search.strategy) {
    case STRATEGY_DFS:
        index = answer_depth_first(kind, count);
        break;
    case STRATEGY_PCT:
        index = answer_by_priority(kind, candidates, count);
        break;
    case STRATEGY_BYTES:
        index = answer_by_bytes(count);
        break;
    case STRATEGY_REPLAY:
        index = find_candidate(candidates, count, replay(kind));
        break;
    default:
        index = draw() % 4 == 0 ? (unsigned)(draw() % count) : 0;
        break;
    }
    note_answer(kind, index == 0 ? 0 : candidates[index] + 1U);
    return index;
}

void search_answers(struct answers *answers)
{
    answers->count = 0;
    for (unsigned i = 0; i < search.length && answers->count < ANSWERS_MOST; i++) {
        const struct node *node = &search.path[i];

        if (search.strategy == STRATEGY_DFS && node->chosen == 0)
            continue;
        answers->list[answers->count++] = node->answer;
    }
}
