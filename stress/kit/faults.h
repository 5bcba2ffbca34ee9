/*
 * faults: makes the calls that Heapster makes of the OS fail, through its own gate for that (os.h).
 *
 *     kit_faults_install          nothing fails yet; calls are judged from now on
 *       kit_faults_arm            the calling thread's calls fail by a plan, counted from here
 *       kit_faults_so_far         what came of it until now
 *       kit_faults_disarm         the same, and nothing of the thread's fails any more
 *       kit_faults_arm_all        every thread's calls fail by a plan, besides those that fail by the thread's own
 *       kit_faults_disarm_all
 *       kit_faults_slow_down     every thread's calls take long, by chance
 *     kit_faults_remove
 *
 * Install and remove while no other thread is in the allocator; arm and disarm at any time. The gate is asked under
 * any lock of the allocator: it takes none itself, and allocates nothing.
 */
#ifndef KIT_FAULTS_H
#define KIT_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "os.h"

enum { KIT_FAULT_ALWAYS = 1000, KIT_FAULT_ALL_KINDS = (1 << HS_OS_CALL_KINDS) - 1 };

/* A call fails if it is of one of the kinds, the first-th to the last-th of them, and chance has it. */
struct kit_fault_plan {
    unsigned kinds;       /* bit HS_OS_MMAP and so on; calls of other kinds pass and are not counted */
    unsigned per_mille;   /* KIT_FAULT_ALWAYS: no matter of chance */
    uint64_t first, last; /* from 1 on; last 0: without end */
    uint64_t seed;        /* of chance */
};

/* What came of a plan. */
struct kit_fault_count {
    uint64_t made;                     /* calls of its kinds */
    uint64_t failed[HS_OS_CALL_KINDS]; /* of these */
};

static inline uint64_t kit_fault_hits(const struct kit_fault_count *count)
{
    uint64_t hits = 0;

    for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
        hits += count->failed[call];
    return hits;
}

void kit_faults_install(void);
void kit_faults_remove(void);

void kit_faults_arm(const struct kit_fault_plan *plan);
struct kit_fault_count kit_faults_so_far(void);
struct kit_fault_count kit_faults_disarm(void);

/* The plan must stay as it is until kit_faults_remove. Calls of all threads count in one order, but for those
 * that fail by the thread's own plan. */
void kit_faults_arm_all(const struct kit_fault_plan *plan);
struct kit_fault_count kit_faults_disarm_all(void);

/* Each call of any thread lasts that much longer, by chance, and so does every lock that is held around it. 0: none. */
void kit_faults_slow_down(unsigned per_mille, unsigned microseconds);

/* Whether a thread is in such a call at this moment. */
bool kit_faults_are_slow_now(void);

#endif
