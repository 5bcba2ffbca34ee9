#include "failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "explore.h"
#include "oracle.h"
#include "page.h"
#include "token.h"

static struct token token;
static char token_text[TOKEN_BYTES];

static const char *say_token(const char *name, enum memory_model model, const struct answers *answers)
{
    (void)snprintf(token.program, sizeof token.program, "%s", name);
    token.model = model;
    token.checks_each_point = oracle_checks_each_point();
    token.answers = *answers;
    token_print(&token, token_text, sizeof token_text);
    return token_text;
}

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

/* What was left out of the program; the name is then that of what is left. */
static void say_shrunk(const struct failing *failing, const struct shrinking *shrinking, char *name, size_t bytes,
                       enum memory_model model)
{
    unsigned threads = shrinking->threads, operations = shrinking->operations, answers = shrinking->answers;

    if (threads + operations > 0)
        program_print(&failing->program, name, bytes);
    (void)printf("    shrunk by %u thread%s, %u operation%s and %u choice%s, in %llu executions and %.2f s%s\n",
                 threads, plural(threads), operations, plural(operations), answers, plural(answers),
                 (unsigned long long)shrinking->executions, shrinking->seconds,
                 shrinking->is_complete ? "" : "; there was no time for more");
    (void)printf("    shrunken failure %s\n    shrunken program --program '", failing->failure);
    program_print(&failing->program, token.program, sizeof token.program);
    (void)printf("%s'\n", token.program);
    (void)printf("    shrunken token %s\n", say_token(name, model, &failing->answers));
    (void)printf("    %u of %u replays of it fail alike\n", (unsigned)SHRINK_REPLAYS, (unsigned)SHRINK_REPLAYS);
}

bool failure_show(const struct program *program, const char *name, enum memory_model model,
                  const struct answers *answers, const struct failure_options *options)
{
    if (options->steps == STEPS_NONE && options->page == NULL)
        return true;
    (void)explore_replay(program, model, answers, true);
    timeline_print(stdout, options->width, options->steps, program, execution.failure);
    (void)fflush(stdout);
    if (options->page == NULL || page_write(options->page, program, say_token(name, model, answers), execution.failure))
        return true;
    (void)fprintf(stderr, "heapster-explore: %s: %s\n", options->page, strerror(errno));
    return false;
}

bool failure_report(struct failing *failing, const char *name, enum memory_model model,
                    const struct failure_options *options)
{
    const struct shrink_limits limits = SHRINK_LIMITS;
    struct shrinking shrinking;
    char program[PROGRAM_TEXT_BYTES];

    (void)printf("    %s\n    token %s\n", failing->failure, say_token(name, model, &failing->answers));
    (void)fflush(stdout);
    (void)snprintf(program, sizeof program, "%s", name);
    if (options->shrinks) {
        if (shrink(failing, model, &limits, &shrinking))
            say_shrunk(failing, &shrinking, program, sizeof program, model);
        else
            (void)printf("    not shrunk: it does not replay, which is a bug of the explorer\n");
    }
    return failure_show(&failing->program, program, model, &failing->answers, options);
}
