#include "explore.h"
#include "build.h"

#include <string.h>
#include <time.h>

#include "engine.h"
#include "oracle.h"

/* Of the processor, so that figures hold where the machine has other work. */
static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void begin(const struct plan *plan)
{
    switch (plan->strategy) {
    case STRATEGY_PCT:
        search_begin_pct(plan->seed, plan->depth, &plan->bounds);
        break;
    case STRATEGY_RANDOM:
        search_begin_random(plan->seed, &plan->bounds);
        break;
    default:
        search_begin_dfs(&plan->bounds);
        break;
    }
}

static void note_execution(struct finding *finding)
{
    finding->executions++;
    finding->steps += execution.steps;
    if (execution.steps > finding->longest)
        finding->longest = execution.steps;
    if (execution.points > finding->points)
        finding->points = execution.points;
}

static void note_failure(struct finding *finding)
{
    finding->failed = true;
    explore_copy(finding->failure, execution.failure, sizeof finding->failure);
    search_answers(&finding->answers);
}

static bool is_over(const struct plan *plan, const struct finding *finding, double began)
{
    if (plan->executions != 0 && finding->executions >= plan->executions)
        return true;
    /* The clock costs more than most of an execution. */
    return plan->seconds > 0 && finding->executions % 64 == 0 && now() - began > plan->seconds;
}

static void explore_one(const struct program *program, const struct plan *plan, struct finding *finding)
{
    double began = now();

    if (explore_bytes(program, plan, plan->bytes, plan->byte_count))
        note_failure(finding);
    note_execution(finding);
    finding->seconds = now() - began;
}

void explore(const struct program *program, const struct plan *plan, struct finding *finding)
{
    double began = now();

    explore_zero(finding, sizeof *finding);
    if (plan->strategy == STRATEGY_BYTES) {
        explore_one(program, plan, finding);
        return;
    }
    memory_set_model(plan->model);
    begin(plan);
    if (!oracle_begin(program)) {
        note_failure(finding);
        return;
    }
    while (!is_over(plan, finding, began)) {
        if (!search_next()) {
            finding->is_complete = true;
            break;
        }
        oracle_run();
        note_execution(finding);
        if (execution.outcome == OUTCOME_FAILED) {
            note_failure(finding);
            break;
        }
        /* A depth-first search has left out the points that are known from now on. */
        if (contention_has_grown() && plan->strategy == STRATEGY_DFS) {
            finding->restarts++;
            search_restart();
        }
    }
    finding->pruned = search_pruned();
    finding->pct_bound = plan->strategy == STRATEGY_PCT ? search_pct_bound(program->thread_count) : 0;
    finding->seconds = now() - began;
}

bool explore_bytes(const struct program *program, const struct plan *plan, const uint8_t *bytes, size_t count)
{
    memory_set_model(plan->model);
    search_begin_bytes(NULL, 0, &plan->bounds);
    if (!oracle_begin(program))
        return true;
    (void)search_next();
    oracle_rehearse();
    if (execution.outcome == OUTCOME_FAILED)
        return true;
    search_begin_bytes(bytes, count, &plan->bounds);
    (void)search_next();
    oracle_run();
    return execution.outcome == OUTCOME_FAILED;
}

bool explore_replay(const struct program *program, enum memory_model model, const struct answers *answers,
                    bool recording)
{
    memory_set_model(model);
    search_begin_replay(answers);
    if (oracle_begin(program)) {
        execution.is_recording = recording;
        (void)search_next();
        oracle_run();
    }
    return execution.outcome == OUTCOME_FAILED;
}
