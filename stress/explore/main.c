#include "engine.h"
#include "explore.h"
#include "scenarios.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    static struct program program;
    static struct finding finding;
    static struct token token;
    static char text[TOKEN_BYTES];
    struct plan plan = {.strategy = STRATEGY_DFS, .model = MODEL_C11, .depth = 3, .seed = 1};
    const char *error;
    unsetenv("HEAPSTER_OPTIONS");
    engine_init();
    plan.seconds = argc > 2 ? atof(argv[2]) : 20;
    if (argc > 3)
        token_parse_model(argv[3], &plan.model);
    for (const struct scenario *s = scenarios; s->name; s++) {
        if (argc > 1 && strcmp(argv[1], "all") != 0 && strcmp(argv[1], s->name) != 0)
            continue;
        if (!program_parse(&program, s->program, &error)) {
            printf("%s: %s\n", s->name, error);
            return 2;
        }
        plan.bounds = s->bounds;
        if (getenv("PRE"))
            plan.bounds.preemptions = (unsigned)atoi(getenv("PRE"));
        if (getenv("STALE"))
            plan.bounds.stale_loads = (unsigned)atoi(getenv("STALE"));
        explore(&program, &plan, &finding);
        printf("%-18s %9llu exec %9llu pruned %3llu restarts %5u long %4u points %6.2f s %s %s\n", s->name,
               (unsigned long long)finding.executions, (unsigned long long)finding.pruned,
               (unsigned long long)finding.restarts, finding.longest, finding.points, finding.seconds,
               finding.is_complete ? "complete" : "", finding.failed ? finding.failure : "");
        if (finding.failed) {
            snprintf(token.program, sizeof token.program, "%s", s->name);
            token.model = plan.model;
            token.answers = finding.answers;
            token_print(&token, text, sizeof text);
            printf("   %s\n", text);
            printf("   replay: %d %s\n", explore_replay(&program, plan.model, &finding.answers, false),
                   execution.failure);
        }
        fflush(stdout);
    }
}
