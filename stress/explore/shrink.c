#include "shrink.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "explore.h"

enum { KIND_BYTES = 1024, SET_UP = -1 };

static struct {
    struct failing *best;
    enum memory_model model;
    const struct shrink_limits *limits;
    struct shrinking *result;
    double began;
    char kind[KIND_BYTES];
    bool searches; /* not yet: only with the answers that there are */
    bool has_spans;
} task;

/* Of each operation of the best program so far: its thread's count of steps as it began and ended. */
static struct span {
    bool has_begun;
    unsigned from, to;
} spans[THREADS_MOST][OPS_MOST];

static struct program candidate;
static struct answers answers;
static struct finding finding;

/* Of the processor: what else the machine does decides nothing. */
static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_left(void)
{
    return task.began + task.limits->seconds - now();
}

static bool is_over(void)
{
    return task.result->executions >= task.limits->executions || seconds_left() <= 0;
}

/* A number that is part of a word stays: "arena0" would, "invariant B3" does. */
void shrink_kind(const char *failure, char *kind, size_t bytes)
{
    size_t length = 0;
    bool is_in_word = false;

    for (const char *at = failure; *at != '\0' && length + 1 < bytes; at++) {
        if (!is_in_word && isdigit((unsigned char)*at)) {
            while (isalnum((unsigned char)at[1]))
                at++;
            kind[length++] = '#';
            continue;
        }
        is_in_word = isalnum((unsigned char)*at) != 0;
        kind[length++] = *at;
    }
    kind[length] = '\0';
    if (strncmp(kind, "deadlock:", strlen("deadlock:")) == 0)
        kind[strlen("deadlock")] = '\0';
}

static bool is_same_kind(const char *failure)
{
    char kind[KIND_BYTES];

    shrink_kind(failure, kind, sizeof kind);
    return strcmp(kind, task.kind) == 0;
}

static void keep(const struct program *program, const struct answers *kept, const char *failure)
{
    task.has_spans = false;
    task.best->program = *program;
    task.best->answers = *kept;
    (void)snprintf(task.best->failure, sizeof task.best->failure, "%s", failure);
}

/* ---- does it still fail? ----------------------------------------------------------------------------------------- */

/* With these answers, as far as they are asked for. Then what was kept has none but those. */
static bool fails_with(const struct program *program, const struct answers *given)
{
    static struct answers asked;

    task.result->executions++;
    if (!explore_replay(program, task.model, given, false) || !is_same_kind(execution.failure))
        return false;
    search_answers(&asked);
    keep(program, &asked, execution.failure);
    return true;
}

static unsigned count_answers(enum choice_kind kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < task.best->answers.count; i++)
        count += task.best->answers.list[i].kind == kind;
    return count;
}

static bool fails_within(const struct program *program, struct bounds bounds)
{
    struct plan plan = {
        .strategy = STRATEGY_DFS, .model = task.model, .bounds = bounds, .executions = task.limits->search_executions};

    if (is_over())
        return false;
    explore(program, &plan, &finding);
    task.result->executions += finding.executions;
    if (!finding.failed || !is_same_kind(finding.failure))
        return false;
    keep(program, &finding.answers, finding.failure);
    return true;
}

/* Whether a search finds the failure with `most` preemptions, old loads and faults in all, or fewer; the fewest
 * first. More than a few are too many for a short search. */
static bool fails_somehow(const struct program *program, unsigned most)
{
    enum { PREEMPTIONS_MOST = 3, STALE_MOST = 2, FAULTS_MOST = 2 };
    const struct bounds all = {count_answers(CHOICE_THREAD), count_answers(CHOICE_STORE), count_answers(CHOICE_FAULT)};

    for (unsigned sum = 0; sum <= most; sum++)
        for (unsigned faults = 0; faults <= all.faults && faults <= FAULTS_MOST; faults++)
            for (unsigned stale = 0; stale <= all.stale_loads && stale <= STALE_MOST; stale++) {
                unsigned preemptions = sum - faults - stale;

                if (faults + stale > sum || preemptions > all.preemptions || preemptions > PREEMPTIONS_MOST)
                    continue;
                if (fails_within(program, (struct bounds){preemptions, stale, faults}))
                    return true;
            }
    return false;
}

static unsigned count_costs(void)
{
    return count_answers(CHOICE_THREAD) + count_answers(CHOICE_STORE) + count_answers(CHOICE_FAULT);
}

static bool still_fails(const struct program *program, const struct answers *given)
{
    return !is_over() && (fails_with(program, given) || (task.searches && fails_somehow(program, count_costs())));
}

/* ---- where operations are ---------------------------------------------------------------------------------------- */

static void find_spans(void)
{
    unsigned next[THREADS_MOST] = {0};
    const struct event *events;
    size_t count;

    memset(spans, 0, sizeof spans);
    task.has_spans = true;
    task.result->executions++;
    (void)explore_replay(&task.best->program, task.model, &task.best->answers, true);
    events = engine_events(&count);
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        struct span *span = spans[event->thread];

        /* A remark is no operation. */
        if (event->text[0] == '(' || next[event->thread] > OPS_MOST)
            continue;
        if (event->kind == EVENT_CALL && next[event->thread] < OPS_MOST)
            span[next[event->thread]++] = (struct span){true, event->step, UINT32_MAX};
        else if (event->kind == EVENT_RETURN && next[event->thread] > 0)
            span[next[event->thread] - 1].to = event->step;
    }
}

/* Leaves out what was asked in these operations, and moves what was asked later. */
static void drop_answers_in(struct answers *list, unsigned thread, unsigned first, unsigned count)
{
    struct span begin = spans[thread][first], end = spans[thread][first + count - 1];
    unsigned to = end.has_begun ? end.to : UINT32_MAX, kept = 0;

    for (unsigned i = 0; begin.has_begun && i < list->count; i++) {
        struct answer answer = list->list[i];

        if (answer.thread == thread && answer.step > begin.from && answer.step <= to)
            continue;
        if (answer.thread == thread && answer.step > to)
            answer.step -= to - begin.from;
        list->list[kept++] = answer;
    }
    if (begin.has_begun)
        list->count = kept;
}

/* ---- threads and operations -------------------------------------------------------------------------------------- */

/* What the set-up does as that thread the first one does. */
static void drop_thread(struct program *program, unsigned thread)
{
    program->thread_count--;
    for (unsigned i = thread; i < program->thread_count; i++)
        program->threads[i] = program->threads[i + 1];
    for (unsigned i = 0; i < program->set_up.count; i++) {
        struct op *op = &program->set_up.list[i];

        if (op->kind == OP_AS && op->bytes == thread + 1)
            op->bytes = 1;
        else if (op->kind == OP_AS && op->bytes > thread + 1)
            op->bytes--;
    }
}

static void drop_answers_of(struct answers *list, unsigned thread)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < list->count; i++) {
        struct answer answer = list->list[i];
        bool names_thread = answer.kind == CHOICE_THREAD || answer.kind == CHOICE_WAIT;

        if (answer.thread == thread || (names_thread && answer.answer == thread + 1))
            continue;
        answer.thread = (uint8_t)(answer.thread - (answer.thread > thread));
        if (names_thread && answer.answer > thread + 1)
            answer.answer--;
        list->list[kept++] = answer;
    }
    list->count = kept;
}

static bool shrink_threads(void)
{
    bool has_shrunk = false;

    for (unsigned thread = 0; thread < task.best->program.thread_count && task.best->program.thread_count > 1;) {
        candidate = task.best->program;
        answers = task.best->answers;
        drop_thread(&candidate, thread);
        drop_answers_of(&answers, thread);
        if (still_fails(&candidate, &answers))
            has_shrunk = true;
        else
            thread++;
    }
    return has_shrunk;
}

static struct ops *part_of(struct program *program, int part)
{
    return part == SET_UP ? &program->set_up : &program->threads[part];
}

static void drop_ops(struct ops *ops, unsigned first, unsigned count)
{
    ops->count -= count;
    memmove(&ops->list[first], &ops->list[first + count], (ops->count - first) * sizeof *ops->list);
}

static bool shrink_part(int part)
{
    const struct ops *ops = part_of(&task.best->program, part);
    bool has_shrunk = false;

    for (unsigned chunk = ops->count; chunk > 0; chunk /= 2) {
        for (unsigned first = 0; first + chunk <= ops->count;) {
            candidate = task.best->program;
            answers = task.best->answers;
            if (!task.has_spans)
                find_spans();
            if (part != SET_UP)
                drop_answers_in(&answers, (unsigned)part, first, chunk);
            drop_ops(part_of(&candidate, part), first, chunk);
            if (still_fails(&candidate, &answers))
                has_shrunk = true;
            else
                first += chunk;
        }
    }
    return has_shrunk;
}

static bool shrink_program(void)
{
    bool has_shrunk = shrink_threads();

    for (int part = (int)task.best->program.thread_count - 1; part >= SET_UP; part--)
        has_shrunk |= shrink_part(part);
    return has_shrunk;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool shrink_answers(void)
{
    const struct answers *list = &task.best->answers;
    bool has_shrunk = false;

    for (unsigned chunk = list->count; chunk > 0; chunk /= 2) {
        for (unsigned first = 0; first + chunk <= list->count && !is_over();) {
            candidate = task.best->program;
            answers = *list;
            answers.count -= chunk;
            memmove(&answers.list[first], &answers.list[first + chunk], (answers.count - first) * sizeof *answers.list);
            /* Others may be asked for than before, but never more. */
            if (fails_with(&candidate, &answers))
                has_shrunk = true;
            else
                first += chunk;
        }
    }
    return has_shrunk;
}

/* ---- all ----------------------------------------------------------------------------------------------------------
 */

static unsigned count_ops(const struct program *program)
{
    unsigned count = program->set_up.count;

    for (unsigned i = 0; i < program->thread_count; i++)
        count += program->threads[i].count;
    return count;
}

static bool replays(const struct failing *failing, enum memory_model model)
{
    for (unsigned i = 0; i < SHRINK_REPLAYS; i++)
        if (!explore_replay(&failing->program, model, &failing->answers, false) ||
            strcmp(execution.failure, failing->failure) != 0)
            return false;
    return true;
}

bool shrink(struct failing *failing, enum memory_model model, const struct shrink_limits *limits,
            struct shrinking *shrinking)
{
    static struct failing original;
    bool goes_on = true;

    original = *failing;
    memset(shrinking, 0, sizeof *shrinking);
    task.best = failing;
    task.model = model;
    task.limits = limits;
    task.result = shrinking;
    task.began = now();
    shrink_kind(failing->failure, task.kind, sizeof task.kind);
    task.searches = task.has_spans = false;
    (void)shrink_answers();
    while (goes_on && !is_over()) {
        goes_on = shrink_program();
        goes_on |= shrink_answers();
        if (goes_on || task.searches)
            continue;
        /* What could be had without a search was had. The fewer threads, the shorter is one. */
        task.searches = goes_on = true;
        (void)shrink_threads();
        if (count_costs() > 0)
            (void)fails_somehow(&failing->program, count_costs() - 1);
    }
    shrinking->is_complete = !is_over();
    shrinking->threads = original.program.thread_count - failing->program.thread_count;
    shrinking->operations = count_ops(&original.program) - count_ops(&failing->program);
    shrinking->answers =
        original.answers.count > failing->answers.count ? original.answers.count - failing->answers.count : 0;
    shrinking->seconds = now() - task.began;
    if (replays(failing, model))
        return true;
    *failing = original;
    return false;
}
