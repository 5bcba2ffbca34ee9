/* injection: the kit's faults fail exactly the calls that their plan says, and the allocator's calls reach them. */
#include "expect.h"
#include "faults.h"
#include "heapster.h"
#include "wrap.h"

#include <pthread.h>
#include <stdio.h>

#include "allocator.h"

enum { CALLS = 1000, THREADS = 4, LARGE_BYTES = 1 << 20 };

/* Makes calls of one kind at the gate; bit i of the result: call i + 1 failed. */
static uint64_t failed_calls(enum hs_os_call call, unsigned count)
{
    uint64_t failed = 0;

    for (unsigned i = 0; i < count; i++)
        failed |= (uint64_t)hs_os_fault(call) << i;
    return failed;
}

static void test_ordinal(void)
{
    for (unsigned first = 1; first <= 10; first++) {
        struct kit_fault_plan once = {KIT_FAULT_ALL_KINDS, KIT_FAULT_ALWAYS, first, first, 0};
        struct kit_fault_plan from = {KIT_FAULT_ALL_KINDS, KIT_FAULT_ALWAYS, first, 0, 0};
        struct kit_fault_count count;

        kit_faults_arm(&once);
        expect(failed_calls(HS_OS_SBRK, 8) == (first <= 8 ? UINT64_C(1) << (first - 1) : 0), "exactly one call fails");
        count = kit_faults_disarm();
        expect(count.made == 8 && kit_fault_hits(&count) == (first <= 8), "and is counted");
        kit_faults_arm(&from);
        expect(failed_calls(HS_OS_MREMAP, 8) == (0xFFU & ~((1U << (first - 1)) - 1)), "all from one call on fail");
        count = kit_faults_disarm();
        expect(count.made == 8 && count.failed[HS_OS_MREMAP] == (first <= 8 ? 9 - first : 0), "and are counted");
        expect(failed_calls(HS_OS_MREMAP, 8) == 0, "nothing fails without a plan");
    }
}

static void test_kinds(void)
{
    for (unsigned kinds = 0; kinds <= KIT_FAULT_ALL_KINDS; kinds++) {
        struct kit_fault_plan plan = {kinds, KIT_FAULT_ALWAYS, 3, 0, 0};
        struct kit_fault_count count;
        unsigned asked = 0;

        kit_faults_arm(&plan);
        for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++) {
            bool concerned = (kinds >> call & 1) != 0;

            for (unsigned i = 0; i < 2; i++) {
                asked += concerned;
                expect(hs_os_fault((enum hs_os_call)call) == (concerned && asked >= 3), "calls fail by kind");
            }
        }
        count = kit_faults_disarm();
        expect(count.made == asked && kit_fault_hits(&count) == (asked > 2 ? asked - 2 : 0),
               "calls of other kinds do not count");
        for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
            expect(count.failed[call] == 0 || (kinds >> call & 1) != 0, "the kinds that were hit are known");
    }
}

static unsigned failed_by_chance(unsigned per_mille, uint64_t seed, uint64_t *calls)
{
    struct kit_fault_plan plan = {KIT_FAULT_ALL_KINDS, per_mille, 1, 0, seed};

    kit_faults_arm(&plan);
    *calls = 0;
    for (unsigned i = 0; i < CALLS; i++)
        *calls = kit_wrap_add(kit_wrap_multiply(*calls, 3), hs_os_fault(HS_OS_MMAP));
    return (unsigned)kit_faults_disarm().failed[HS_OS_MMAP];
}

static void test_chance(void)
{
    uint64_t calls, again, other;
    unsigned failed = failed_by_chance(250, 1, &calls);

    expect(failed > 150 && failed < 350, "as many calls fail as chance has it");
    expect(failed_by_chance(250, 1, &again) == failed && again == calls, "the same seed fails the same calls");
    (void)failed_by_chance(250, 2, &other);
    expect(other != calls, "another seed fails others");
    expect(failed_by_chance(0, 1, &calls) == 0, "without chance none");
    expect(failed_by_chance(KIT_FAULT_ALWAYS, 1, &calls) == CALLS, "with certainty all");
}

static pthread_barrier_t armed;

/* The first half of the calls of threads with odd numbers fails by a plan of their own; returns how many failed. */
static void *make_calls(void *argument)
{
    static const struct kit_fault_plan half = {1U << HS_OS_MUNMAP, KIT_FAULT_ALWAYS, 1, CALLS / 2, 0};
    uintptr_t number = (uintptr_t)argument, failed = 0;

    if (number % 2 != 0)
        kit_faults_arm(&half);
    (void)pthread_barrier_wait(&armed);
    for (unsigned i = 0; i < CALLS; i++)
        failed += hs_os_fault(HS_OS_MUNMAP);
    if (number % 2 != 0)
        expect(kit_faults_disarm().failed[HS_OS_MUNMAP] == CALLS / 2, "a plan of the thread's own goes first");
    return (void *)failed;
}

/* Of all other calls of all threads together, the last FAILED fail. */
static void test_threads(void)
{
    enum { OTHERS = THREADS * CALLS - THREADS / 2 * (CALLS / 2), FAILED = CALLS / 4 };
    static const struct kit_fault_plan plan = {1U << HS_OS_MUNMAP, KIT_FAULT_ALWAYS, OTHERS - FAILED + 1, 0, 0};
    pthread_t threads[THREADS];
    struct kit_fault_count count;
    uintptr_t failed = 0;

    (void)pthread_barrier_init(&armed, NULL, THREADS);
    kit_faults_arm_all(&plan);
    for (uintptr_t i = 0; i < THREADS; i++)
        expect(pthread_create(&threads[i], NULL, make_calls, (void *)i) == 0, "a thread starts");
    for (uintptr_t i = 0; i < THREADS; i++) {
        void *failed_here;

        (void)pthread_join(threads[i], &failed_here);
        failed += (uintptr_t)failed_here;
    }
    count = kit_faults_disarm_all();
    (void)pthread_barrier_destroy(&armed);
    expect(failed == (uintptr_t)THREADS * CALLS - OTHERS + FAILED, "calls of all threads count in one order");
    expect(count.made == OTHERS && count.failed[HS_OS_MUNMAP] == FAILED, "what came of the plan for all");
    expect(!hs_os_fault(HS_OS_MUNMAP), "nothing fails without a plan for all");
}

/* Through the allocator: a large block takes one call of mmap and gives one of munmap. */
static void test_allocator(void)
{
    static const struct kit_fault_plan all = {KIT_FAULT_ALL_KINDS, KIT_FAULT_ALWAYS, 1, 0, 0};
    struct kit_fault_count count;
    void *block;

    block = kit_heapster.malloc(NULL, LARGE_BYTES);
    expect(block != NULL, "a block");
    kit_heapster.free(NULL, block);
    (void)heapster_trim(0); /* not from the cache of mappings */
    kit_faults_arm(&all);
    block = kit_heapster.malloc(NULL, LARGE_BYTES);
    count = kit_faults_disarm();
    expect(block == NULL && count.failed[HS_OS_MMAP] != 0, "no block while every call fails");
    kit_faults_remove();
    expect(hs_os_fault == NULL, "the gate is open again");
    block = kit_heapster.malloc(NULL, LARGE_BYTES);
    expect(block != NULL, "a block after that");
    kit_heapster.free(NULL, block);
}

int main(void)
{
    kit_faults_install();
    test_ordinal();
    test_kinds();
    test_chance();
    test_threads();
    test_allocator();
    return expect_status();
}
