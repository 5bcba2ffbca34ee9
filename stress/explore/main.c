/*
 * heapster-explore: searches the interleavings of small programs on the allocator's own code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "explore.h"
#include "failure.h"
#include "oracle.h"
#include "scenarios.h"

enum { EXIT_FOUND = 1, EXIT_USAGE = 2, EXIT_OUTPUT = 3 };
enum { BYTES_MOST = 4096 };

static const char usage[] =
    "usage: heapster-explore [--all | --scenario NAME | --program TEXT | --replay TOKEN | --list] [options]\n"
    "  --memory sc|tso|c11       what a load may return (c11)\n"
    "  --check step|end          where all invariants are looked at: wherever no lock is held, or at the end (end)\n"
    "  --strategy dfs|pct|random (dfs)\n"
    "  --seed N, --depth N       of pct and random (1, 3)\n"
    "  --bytes HEX|FILE          of bytes: one execution, with these for its answers (search.h)\n"
    "  --preemptions N, --stale N, --faults N   bounds, instead of the scenario's\n"
    "  --seconds N               of the processor, for each program (dfs: no limit; otherwise 10)\n"
    "  --quick                   2 seconds for each program\n"
    "  --times N                 how often a token is replayed (1)\n"
    "Of a failure it prints the token, a smaller program that fails in the same way, and how it comes about:\n"
    "  --no-shrink               as it was found (--shrink: of a replay, too)\n"
    "  --steps shared|all        whether steps that no other thread could notice are folded (shared)\n"
    "  --steps none|raw          no timeline; or the recorded events, one a line, for programs\n"
    "  --width N                 columns of the timeline (the terminal's)\n"
    "  --html FILE               the same as a page, of the first failure or of the replay\n"
    "Ends with 0 where nothing is wrong, with 1 after a failure, with 3 where the page could not be written.\n";

struct request {
    const char *scenario, *program, *replay;
    bool is_all, is_list;
    struct plan plan;
    long preemptions, stale_loads, faults; /* -1: the scenario's */
    unsigned long times;
    struct failure_options failure;
    int shrinks; /* -1: what is found is shrunk, and a replay is not */
    bool has_output_failed;
};

static struct program program;
static struct finding finding;
static struct token token;
static struct failing failing;

static int complain(const char *what, const char *which)
{
    (void)fprintf(stderr, "heapster-explore: %s %s\n%s", what, which, usage);
    return EXIT_USAGE;
}

static bool read_number(const char *text, long *number)
{
    char *end;

    *number = strtol(text, &end, 10);
    return end != text && *end == '\0' && *number >= 0;
}

static bool read_strategy(const char *text, enum strategy *strategy)
{
    static const struct {
        const char *name;
        enum strategy strategy;
    } strategies[] = {
        {"dfs", STRATEGY_DFS}, {"pct", STRATEGY_PCT}, {"random", STRATEGY_RANDOM}, {"bytes", STRATEGY_BYTES}};

    for (unsigned i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        if (strcmp(text, strategies[i].name) == 0) {
            *strategy = strategies[i].strategy;
            return true;
        }
    }
    return false;
}

/* An even number of hexadecimal digits, or the name of a file. */
static bool read_bytes(struct plan *plan, const char *text)
{
    static uint8_t bytes[BYTES_MOST];
    FILE *file;

    plan->bytes = bytes;
    plan->byte_count = strlen(text) / 2;
    if (strlen(text) % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == strlen(text) &&
        plan->byte_count <= sizeof bytes) {
        for (size_t i = 0; i < plan->byte_count; i++) {
            const char digits[] = {text[2 * i], text[2 * i + 1], '\0'};

            bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        return true;
    }
    file = fopen(text, "rb");
    if (file == NULL)
        return false;
    plan->byte_count = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    return true;
}

static bool read_check(const char *text)
{
    if (strcmp(text, "step") != 0 && strcmp(text, "end") != 0)
        return false;
    oracle_check_each_point(text[0] == 's');
    return true;
}

static bool read_output_option(struct request *request, const char *name, const char *value)
{
    long number = 0;

    if (strcmp(name, "--steps") == 0)
        return timeline_parse_steps(value, &request->failure.steps);
    if (strcmp(name, "--html") == 0) {
        request->failure.page = value;
        return true;
    }
    if (strcmp(name, "--width") != 0 || !read_number(value, &number) || number < WIDTH_LEAST || number > 10000)
        return false;
    request->failure.width = (int)number;
    return true;
}

/* True for an option that takes a value, and a value that it can take. */
static bool read_option(struct request *request, const char *name, const char *value)
{
    long number = 0;
    bool is_number = read_number(value, &number);

    if (strcmp(name, "--scenario") == 0)
        request->scenario = value;
    else if (strcmp(name, "--program") == 0)
        request->program = value;
    else if (strcmp(name, "--replay") == 0)
        request->replay = value;
    else if (strcmp(name, "--memory") == 0)
        return token_parse_model(value, &request->plan.model);
    else if (strcmp(name, "--check") == 0)
        return read_check(value);
    else if (strcmp(name, "--strategy") == 0)
        return read_strategy(value, &request->plan.strategy);
    else if (strcmp(name, "--bytes") == 0)
        return read_bytes(&request->plan, value);
    else if (strcmp(name, "--seed") == 0 && is_number)
        request->plan.seed = (uint64_t)number;
    else if (strcmp(name, "--depth") == 0 && is_number && number >= 1 && number <= 5)
        request->plan.depth = (unsigned)number;
    else if (strcmp(name, "--preemptions") == 0 && is_number)
        request->preemptions = number;
    else if (strcmp(name, "--stale") == 0 && is_number)
        request->stale_loads = number;
    else if (strcmp(name, "--faults") == 0 && is_number)
        request->faults = number;
    else if (strcmp(name, "--seconds") == 0 && is_number)
        request->plan.seconds = (double)number;
    else if (strcmp(name, "--times") == 0 && is_number && number > 0)
        request->times = (unsigned long)number;
    else
        return read_output_option(request, name, value);
    return true;
}

static int read_arguments(struct request *request, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            request->is_all = true;
        else if (strcmp(argv[i], "--list") == 0)
            request->is_list = true;
        else if (strcmp(argv[i], "--quick") == 0)
            request->plan.seconds = 2;
        else if (strcmp(argv[i], "--shrink") == 0 || strcmp(argv[i], "--no-shrink") == 0)
            request->shrinks = argv[i][2] == 's';
        else if (i + 1 == argc || !read_option(request, argv[i], argv[i + 1]))
            return complain("no such option or value:", argv[i]);
        else
            i++;
    }
    return 0;
}

static void list_scenarios(void)
{
    for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++)
        (void)printf("%-18s %s\n%-18s %s\n%-18s %u preemptions, %u stale loads, %u faults\n", scenario->name,
                     scenario->about, "", scenario->program, "", scenario->bounds.preemptions,
                     scenario->bounds.stale_loads, scenario->bounds.faults);
}

static double power(double base, uint64_t exponent)
{
    double result = 1;

    for (; exponent > 0; exponent /= 2) {
        result *= exponent % 2 != 0 ? base : 1;
        base *= base;
    }
    return result;
}

static void print_finding(const char *name)
{
    (void)printf("%-18s %9llu executions, %8llu pruned, %5u operations, %4u points %7.2f s  %s\n", name,
                 (unsigned long long)finding.executions, (unsigned long long)finding.pruned, finding.longest,
                 finding.points, finding.seconds,
                 finding.failed        ? "FAILED"
                 : finding.is_complete ? "all"
                                       : "in part");
    if (finding.pct_bound > 0)
        (void)printf(
            "    a bug of this depth is hit by one run with a probability of %.2g at least, by all with %.2g\n",
            finding.pct_bound, 1 - power(1 - finding.pct_bound, finding.executions));
    (void)fflush(stdout);
}

/* What was found, or replayed. The page is that of the first one. */
static void report(struct request *request, const char *name, enum memory_model model, bool shrinks)
{
    bool is_written;

    failing.program = program;
    failing.answers = finding.answers;
    memcpy(failing.failure, finding.failure, sizeof failing.failure);
    request->failure.shrinks = shrinks;
    is_written = failure_report(&failing, name, model, &request->failure);
    request->has_output_failed |= !is_written;
    request->failure.page = NULL;
}

/* True where something is wrong. */
static bool explore_one(struct request *request, const char *name, const char *text, struct bounds bounds)
{
    struct plan plan = request->plan;
    const char *error;

    if (!program_parse(&program, text, &error)) {
        (void)fprintf(stderr, "heapster-explore: %s: %s\n", text, error);
        exit(EXIT_USAGE);
    }
    plan.bounds = bounds;
    if (request->preemptions >= 0)
        plan.bounds.preemptions = (unsigned)request->preemptions;
    if (request->stale_loads >= 0)
        plan.bounds.stale_loads = (unsigned)request->stale_loads;
    if (request->faults >= 0)
        plan.bounds.faults = (unsigned)request->faults;
    if (plan.strategy != STRATEGY_DFS && request->preemptions < 0)
        plan.bounds.preemptions = UINT32_MAX;
    explore(&program, &plan, &finding);
    print_finding(name);
    if (!finding.failed)
        return false;
    report(request, name, plan.model, request->shrinks != 0);
    return true;
}

static int explore_all(struct request *request)
{
    unsigned failed = 0, explored = 0;

    for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++) {
        if (request->scenario != NULL && strcmp(request->scenario, scenario->name) != 0)
            continue;
        explored++;
        failed += explore_one(request, scenario->name, scenario->program, scenario->bounds);
    }
    if (explored == 0)
        return complain("no such scenario:", request->scenario);
    (void)printf("%u explored, %u failed\n", explored, failed);
    return failed == 0 ? 0 : EXIT_FOUND;
}

/* Each time the same failure, word for word. */
static int replay(struct request *request)
{
    const struct scenario *scenario;
    const char *error;
    unsigned long same = 0;

    if (!token_parse(&token, request->replay))
        return complain("no token:", request->replay);
    scenario = scenario_find(token.program);
    if (!program_parse(&program, scenario != NULL ? scenario->program : token.program, &error))
        return complain("no token:", error);
    oracle_check_each_point(token.checks_each_point);
    for (unsigned long i = 0; i < request->times; i++) {
        bool failed = explore_replay(&program, token.model, &token.answers, false);

        if (i == 0)
            memcpy(finding.failure, execution.failure, sizeof finding.failure);
        same += failed && strcmp(finding.failure, execution.failure) == 0;
    }
    (void)printf("%lu of %lu replays fail: %s\n", same, request->times, finding.failure);
    finding.answers = token.answers;
    if (same > 0 && request->shrinks > 0)
        report(request, token.program, token.model, true);
    else if (!failure_show(&program, token.program, token.model, &token.answers, &request->failure))
        request->has_output_failed = true;
    return same == 0 ? 0 : EXIT_FOUND;
}

int main(int argc, char **argv)
{
    struct request request = {.plan = {.strategy = STRATEGY_DFS, .model = MODEL_C11, .depth = 3, .seed = 1},
                              .preemptions = -1,
                              .stale_loads = -1,
                              .faults = -1,
                              .times = 1,
                              .failure = {.steps = STEPS_SHARED, .width = timeline_width(stdout)},
                              .shrinks = -1};
    int status = read_arguments(&request, argc, argv);

    if (status != 0)
        return status;
    if (request.is_list) {
        list_scenarios();
        return 0;
    }
    if (!request.is_all && request.scenario == NULL && request.program == NULL && request.replay == NULL)
        return complain("nothing to do:", "name a scenario, a program or a token");
    if (request.plan.strategy != STRATEGY_DFS && request.plan.seconds <= 0)
        request.plan.seconds = 10;
    (void)unsetenv("HEAPSTER_OPTIONS");
    engine_init();
    if (request.replay != NULL)
        status = replay(&request);
    else if (request.program != NULL)
        status = explore_one(&request, request.program, request.program, (struct bounds){3, 1, 0}) ? EXIT_FOUND : 0;
    else
        status = explore_all(&request);
    return request.has_output_failed ? EXIT_OUTPUT : status;
}
