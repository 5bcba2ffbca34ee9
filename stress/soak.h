/*
 * soak: a long run neither grows in memory nor slows down.
 *
 * The samples of a run are summed up in checkpoints, one for each tenth of its time. The first tenth is for warming
 * up; of the others the last three are held against the first three: the most resident memory, and the median of the
 * operations for each second of processor time, which a busy machine changes far less than the time of the clock.
 */
#ifndef STRESS_SOAK_H
#define STRESS_SOAK_H

#include <stdbool.h>

#include "result.h"

enum { STRESS_CHECKPOINTS = 10 };

struct stress_checkpoint {
    double at; /* seconds since the threads began, at its end */
    double ops_per_cpu_second;
    uint64_t resident_bytes, held_bytes, live_bytes; /* the most */
};

/* How many there are: STRESS_CHECKPOINTS, or 0 where the run was too short for a judgement. */
unsigned stress_soak_checkpoints(const struct kit_result *result, struct stress_checkpoint *out);

/*
 * Turns a passed run that grew or slowed down into a failed one. Only a run by time has a steady end: with a number of
 * operations threads end one after the other, those that are left wait for each other, and on a busy machine that may
 * take long. Such a run may grow no more than others, its speed says nothing.
 */
void stress_soak_judge(struct kit_result *result, bool by_time);

#endif
