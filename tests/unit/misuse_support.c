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

static void expect_abort(const char *what, child_body *body, void *context)
{
    struct outcome outcome;

    run_child(&outcome, body, context);
    if (!WIFSIGNALED(outcome.status) || WTERMSIG(outcome.status) != SIGABRT)
        fail_msg("%s: status %#x, not SIGABRT; standard error: %s", what, (unsigned)outcome.status, outcome.text);
    if (!is_misuse_report(outcome.text, what) || lines_of(outcome.text) != 1)
        fail_msg("expected one line \"%s\", got: %s", what, outcome.text);
}

static size_t expect_to_go_on(const char *what, child_body *body, void *context)
{
    struct misuse misuse = {body, context};
    struct outcome outcome;

    run_child(&outcome, go_on, &misuse);
    assert_exits_with(&outcome, 0);
    if (!is_misuse_report(outcome.text, what))
        fail_msg("expected \"%s\", got: %s", what, outcome.text);
    return lines_of(outcome.text);
}

void expect_misuse(const char *what, child_body *body, void *context)
{
    expect_abort(what, body, context);
    assert_int_equal(expect_to_go_on(what, body, context), 1);
}

static bool may_fault(child_body *body, void *context)
{
    struct outcome outcome;

    if (!has_cache())
        return false;
    run_child(&outcome, body, context);
    return WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSEGV && outcome.text[0] == '\0';
}

void expect_misuse_or_fault(const char *what, child_body *body, void *context)
{
    if (!may_fault(body, context))
        expect_misuse(what, body, context);
}

void expect_damage(const char *what, child_body *body, void *context)
{
    expect_abort(what, body, context);
    (void)expect_to_go_on(what, body, context);
}
