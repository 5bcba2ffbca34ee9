#include "misuse.h"

#include <signal.h>
#include <sys/wait.h>

#include "options.h"

enum { BLOCKS_AFTERWARDS = 1000 };

struct misuse {
    child_body *body;
    void *context;
};

static void use_the_heap(void)
{
    static void *blocks[BLOCKS_AFTERWARDS];

    for (unsigned i = 0; i < BLOCKS_AFTERWARDS; i++) {
        blocks[i] = heapster_malloc(i * 3 % 2000);
        REQUIRE(blocks[i] != NULL);
        fill_pattern(blocks[i], i * 3 % 2000, i);
    }
    for (unsigned i = 0; i < BLOCKS_AFTERWARDS; i++) {
        REQUIRE(holds_pattern(blocks[i], i * 3 % 2000, i));
        heapster_free(blocks[i]);
    }
}

static void go_on(void *context)
{
    const struct misuse *misuse = context;

    hs_options.abort_on_misuse = false;
    misuse->body(misuse->context);
    use_the_heap();
}

static void judge_abort(const struct outcome *outcome, const char *what)
{
    if (!WIFSIGNALED(outcome->status) || WTERMSIG(outcome->status) != SIGABRT)
        fail_msg("%s: status %#x, not SIGABRT; standard error: %s", what, (unsigned)outcome->status, outcome->text);
    if (!is_misuse_report(outcome->text, what) || lines_of(outcome->text) != 1)
        fail_msg("expected one line \"%s\", got: %s", what, outcome->text);
}

static void judge_going_on(const struct outcome *outcome, const char *what)
{
    assert_exits_with(outcome, 0);
    if (!is_misuse_report(outcome->text, what))
        fail_msg("expected \"%s\", got: %s", what, outcome->text);
}

static bool is_fault(const struct outcome *outcome)
{
    return has_cache() && WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == SIGSEGV &&
           outcome->text[0] == '\0';
}

enum { AS_OPTIONS_STAND, ABORT_OFF, WAYS };

static void run_both_ways(struct outcome *outcomes, child_body *body, void *context)
{
    struct misuse misuse = {body, context};

    run_child(&outcomes[AS_OPTIONS_STAND], body, context);
    run_child(&outcomes[ABORT_OFF], go_on, &misuse);
}

static void judge_one_line(const struct outcome *outcome, const char *what)
{
    judge_going_on(outcome, what);
    assert_int_equal(lines_of(outcome->text), 1);
}

void expect_misuse(const char *what, child_body *body, void *context)
{
    struct outcome outcomes[WAYS];

    run_both_ways(outcomes, body, context);
    judge_abort(&outcomes[AS_OPTIONS_STAND], what);
    judge_one_line(&outcomes[ABORT_OFF], what);
}

/* What is mapped where nothing of the heap is may differ from one child to the next: each is judged by itself. */
void expect_misuse_or_fault(const char *what, child_body *body, void *context)
{
    struct outcome outcomes[WAYS];

    run_both_ways(outcomes, body, context);
    if (!is_fault(&outcomes[AS_OPTIONS_STAND]))
        judge_abort(&outcomes[AS_OPTIONS_STAND], what);
    if (!is_fault(&outcomes[ABORT_OFF]))
        judge_one_line(&outcomes[ABORT_OFF], what);
}

void expect_damage(const char *what, child_body *body, void *context)
{
    struct outcome outcomes[WAYS];

    run_both_ways(outcomes, body, context);
    judge_abort(&outcomes[AS_OPTIONS_STAND], what);
    judge_going_on(&outcomes[ABORT_OFF], what);
}
