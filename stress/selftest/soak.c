/*
 * soak: proves that the judgement of long runs fires: on one that grows, on one that slows down; and on no steady one,
 * whatever its first tenth was like.
 */
#include "soak.h"

#include <string.h>

#include "expect.h"

#define MIB ((uint64_t)1 << 20)

enum { SAMPLES = 400 };

/* What a run looks like at a point of its time, 0 to 1. */
struct shape {
    double (*resident_mebibytes)(double at);
    double (*ops_per_second)(double at);
};

static struct kit_result result;

static void run_for(const struct shape *shape, double seconds, bool by_time)
{
    double step = seconds / (double)SAMPLES, ops = 0;

    memset(&result, 0, sizeof result);
    result.verdict = KIT_PASSED;
    result.seconds = seconds;
    result.sample_count = SAMPLES;
    for (unsigned i = 0; i < SAMPLES; i++) {
        double at = (i + 0.5) / (double)SAMPLES;

        ops += step * shape->ops_per_second(at);
        result.samples[i] = (struct kit_sample){
            .at = at * seconds,
            .cpu = 2 * (i + 1) * step, /* two processors */
            .ops = (uint64_t)ops,
            .live_bytes = 5 * MIB,
            .resident_bytes = (uint64_t)(shape->resident_mebibytes(at) * (double)MIB),
            .held_bytes = 7 * MIB,
        };
    }
    stress_soak_judge(&result, by_time);
}

static void run(const struct shape *shape, double seconds)
{
    run_for(shape, seconds, true);
}

static void expect_failed(const char *reason)
{
    expect(result.verdict == KIT_FAILED, "a run that grows or slows down fails");
    expect(strncmp(result.reason, reason, strlen(reason)) == 0, "it says by which");
}

static double steady(double at)
{
    (void)at;
    return 100;
}

static double warming_up(double at)
{
    return at < 0.1 ? 10 : 100;
}

static double cooling_down(double at)
{
    return at < 0.1 ? 1000 : 100;
}

static double growing(double at)
{
    return 50 + 100 * at;
}

/* Up and down within each tenth, by as much as the steady part. */
static double in_waves(double at)
{
    return (int)(at * 100) % 10 < 5 ? 60 : 120;
}

/* Never more than the spare megabytes. */
static double growing_a_little(double at)
{
    return 10 + 15 * at;
}

static double slowing_down(double at)
{
    return 100 - 80 * at;
}

static void judges_steady_runs_as_passed(void)
{
    static const struct shape steady_ones[] = {{steady, steady},           {warming_up, warming_up},
                                               {cooling_down, steady},     {in_waves, in_waves},
                                               {growing_a_little, steady}, {steady, cooling_down}};

    for (size_t i = 0; i < sizeof steady_ones / sizeof steady_ones[0]; i++) {
        run(&steady_ones[i], 600);
        expect(result.verdict == KIT_PASSED, "a steady run passes");
        expect(result.reason[0] == '\0', "it gives no reason");
    }
}

static void judges_growth_and_slowdown(void)
{
    const struct shape grows = {growing, steady}, slows = {steady, slowing_down};

    run(&grows, 60);
    expect_failed("growth: 150 MiB resident in the end, 90 MiB before");
    run(&slows, 3600);
    expect_failed("slowdown: ");
}

static void leaves_short_and_failed_runs_alone(void)
{
    const struct shape grows = {growing, steady};
    struct stress_checkpoint points[STRESS_CHECKPOINTS];

    run(&grows, 59);
    expect(result.verdict == KIT_PASSED, "a short run is not judged");
    expect(stress_soak_checkpoints(&result, points) == 0, "a short run has no checkpoints");
    result.verdict = KIT_FAILED;
    result.seconds = 60;
    stress_soak_judge(&result, true);
    expect(result.reason[0] == '\0', "a run that failed keeps its reason");
}

static void judges_no_speed_of_a_run_by_operations(void)
{
    const struct shape grows = {growing, steady}, slows = {steady, slowing_down};

    run_for(&slows, 3600, false);
    expect(result.verdict == KIT_PASSED, "the end of a run by operations may be slow");
    run_for(&grows, 60, false);
    expect_failed("growth: ");
}

static void sums_up_in_checkpoints(void)
{
    const struct shape shape = {growing, steady};
    struct stress_checkpoint points[STRESS_CHECKPOINTS];

    run(&shape, 600);
    expect(stress_soak_checkpoints(&result, points) == STRESS_CHECKPOINTS, "a long run has all checkpoints");
    for (unsigned i = 0; i < STRESS_CHECKPOINTS; i++) {
        expect(points[i].at > 60 * (i + 1) - 0.001 && points[i].at < 60 * (i + 1) + 0.001,
               "a checkpoint stands at each tenth");
        expect(points[i].ops_per_cpu_second > 49 && points[i].ops_per_cpu_second < 51,
               "operations of a checkpoint are counted by processor time");
        expect(points[i].live_bytes == 5 * MIB && points[i].held_bytes == 7 * MIB,
               "live and held bytes of a checkpoint are the most");
        expect(points[i].resident_bytes / MIB == 50 + 10 * (i + 1) - 1, "resident bytes of a checkpoint are the most");
    }
}

int main(void)
{
    judges_steady_runs_as_passed();
    judges_growth_and_slowdown();
    leaves_short_and_failed_runs_alone();
    judges_no_speed_of_a_run_by_operations();
    sums_up_in_checkpoints();
    return expect_status();
}
