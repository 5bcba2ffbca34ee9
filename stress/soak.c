#include "soak.h"

#include <stdio.h>

enum { SPAN = 3, FIRST = 1, LAST = STRESS_CHECKPOINTS - SPAN };

/* Shorter runs say more of the machine than of the allocator. */
#define JUDGED_SECONDS 60.0
#define MOST_GROWTH 1.25
#define SPARE_BYTES ((uint64_t)16 << 20)
#define LEAST_SPEED 0.5

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

unsigned stress_soak_checkpoints(const struct kit_result *result, struct stress_checkpoint *out)
{
    double tenth = result->seconds / (double)STRESS_CHECKPOINTS, cpu = 0;
    uint64_t ops = 0;
    unsigned at = 0;

    if (result->seconds < JUDGED_SECONDS)
        return 0;
    for (unsigned i = 0; i < STRESS_CHECKPOINTS; i++) {
        const struct kit_sample *last = NULL;

        out[i] = (struct stress_checkpoint){.at = tenth * (i + 1)};
        for (; at < result->sample_count && result->samples[at].at <= out[i].at; at++) {
            last = &result->samples[at];
            out[i].resident_bytes = larger(out[i].resident_bytes, last->resident_bytes);
            out[i].held_bytes = larger(out[i].held_bytes, last->held_bytes);
            out[i].live_bytes = larger(out[i].live_bytes, last->live_bytes);
        }
        if (last == NULL || last->cpu <= cpu)
            return 0;
        out[i].ops_per_cpu_second = (double)(last->ops - ops) / (last->cpu - cpu);
        ops = last->ops;
        cpu = last->cpu;
    }
    return STRESS_CHECKPOINTS;
}

static uint64_t most_resident(const struct stress_checkpoint *three)
{
    return larger(larger(three[0].resident_bytes, three[1].resident_bytes), three[2].resident_bytes);
}

static double median_speed(const struct stress_checkpoint *three)
{
    double a = three[0].ops_per_cpu_second, b = three[1].ops_per_cpu_second, c = three[2].ops_per_cpu_second;
    double least = a < b ? a : b, most = a < b ? b : a;

    return c < least ? least : c > most ? most : c;
}

void stress_soak_judge(struct kit_result *result, bool by_time)
{
    struct stress_checkpoint points[STRESS_CHECKPOINTS];
    double resident_before, resident_now, speed_before, speed_now;

    if (result->verdict != KIT_PASSED || stress_soak_checkpoints(result, points) == 0)
        return;
    resident_before = (double)most_resident(points + FIRST);
    resident_now = (double)most_resident(points + LAST);
    speed_before = median_speed(points + FIRST);
    speed_now = median_speed(points + LAST);
    if (resident_now > MOST_GROWTH * resident_before + SPARE_BYTES) {
        (void)snprintf(result->reason, sizeof result->reason, "growth: %.0f MiB resident in the end, %.0f MiB before",
                       resident_now / (1 << 20), resident_before / (1 << 20));
        result->verdict = KIT_FAILED;
    } else if (by_time && speed_now < LEAST_SPEED * speed_before) {
        (void)snprintf(result->reason, sizeof result->reason,
                       "slowdown: %.0f operations a second of processor time in the end, %.0f before", speed_now,
                       speed_before);
        result->verdict = KIT_FAILED;
    }
}
