/*
 * soak: proves that the judgement of long runs fires: on one that grows, on one that slows down; and on no steady one,
 * whatever its first tenth was like.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define MIB ((uint64_t)1 << 20)

enum { SAMPLES = 400 };

/* What a run looks like at a point of its time, 0 to 1. */
struct shape {
    double (*resident_mebibytes)(double at);
    double (*ops_per_second)(double at);
};

static struct kit_result result;

static void run(const struct shape *shape, double seconds)
{
    double step = seconds / SAMPLES, ops = 0;

    memset(&result, 0, sizeof result);
    result.verdict = KIT_PASSED;
    result.seconds = seconds;
    result.sample_count = SAMPLES;
    for (unsigned i = 0; i < SAMPLES; i++) {
        double at = (i + 0.5) / SAMPLES;

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
    stress_soak_judge(&result);
}

static void expect_failed(const char *reason)
{
    EXPECT(result.verdict == KIT_FAILED);
    EXPECT(strncmp(result.reason, reason, strlen(reason)) == 0);
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
        EXPECT(result.verdict == KIT_PASSED);
        EXPECT(result.reason[0] == '\0');
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
    EXPECT(result.verdict == KIT_PASSED);
    EXPECT(stress_soak_checkpoints(&result, points) == 0);
    result.verdict = KIT_FAILED;
    result.seconds = 60;
    stress_soak_judge(&result);
    EXPECT(result.reason[0] == '\0');
}

static void sums_up_in_checkpoints(void)
{
    const struct shape shape = {growing, steady};
    struct stress_checkpoint points[STRESS_CHECKPOINTS];

    run(&shape, 600);
    EXPECT(stress_soak_checkpoints(&result, points) == STRESS_CHECKPOINTS);
    for (unsigned i = 0; i < STRESS_CHECKPOINTS; i++) {
        EXPECT(points[i].at > 60 * (i + 1) - 0.001 && points[i].at < 60 * (i + 1) + 0.001);
        EXPECT(points[i].ops_per_cpu_second > 49 && points[i].ops_per_cpu_second < 51);
        EXPECT(points[i].live_bytes == 5 * MIB && points[i].held_bytes == 7 * MIB);
        EXPECT(points[i].resident_bytes / MIB == 50 + 10 * (i + 1) - 1);
    }
}

int main(void)
{
    judges_steady_runs_as_passed();
    judges_growth_and_slowdown();
    leaves_short_and_failed_runs_alone();
    sums_up_in_checkpoints();
    return 0;
}
