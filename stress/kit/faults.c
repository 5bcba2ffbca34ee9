#include "faults.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "rng.h"

/* The plan of the calling thread. Initial-exec, as everything that the allocator touches: see sync.h. */
struct own {
    bool is_armed;
    struct kit_fault_plan plan;
    struct kit_fault_count count;
};
static _Thread_local struct own own __attribute__((tls_model("initial-exec")));

static struct {
    _Atomic(const struct kit_fault_plan *) plan; /* NULL: none */
    _Atomic uint64_t made, failed[HS_OS_CALL_KINDS];
} shared;

static struct {
    _Atomic unsigned per_mille, microseconds;
    _Atomic unsigned calls; /* going on */
} slow;
static _Thread_local struct kit_rng slow_chance __attribute__((tls_model("initial-exec")));

/* Relaxed: knobs and a count. */
static void last_by_chance(void)
{
    unsigned per_mille = atomic_load_explicit(&slow.per_mille, memory_order_relaxed);
    struct timespec pause = {0, 1000L * atomic_load_explicit(&slow.microseconds, memory_order_relaxed)};
    int saved_errno = errno;

    if (per_mille == 0)
        return;
    if (slow_chance.state == 0)
        slow_chance.state = (uintptr_t)&slow_chance;
    if (kit_rng_below(&slow_chance, KIT_FAULT_ALWAYS) >= per_mille)
        return;
    pause.tv_nsec >>= (unsigned)kit_rng_below(&slow_chance, 6);
    (void)atomic_fetch_add_explicit(&slow.calls, 1, memory_order_relaxed);
    (void)nanosleep(&pause, NULL);
    (void)atomic_fetch_sub_explicit(&slow.calls, 1, memory_order_relaxed);
    errno = saved_errno;
}

/* The ordinal-th call's own draw, so that it does not matter which thread makes it. */
static bool has_chance(const struct kit_fault_plan *plan, uint64_t ordinal)
{
    struct kit_rng rng = {kit_scramble(plan->seed) + ordinal};

    return kit_rng_below(&rng, KIT_FAULT_ALWAYS) < plan->per_mille;
}

static bool fails_by(const struct kit_fault_plan *plan, uint64_t ordinal)
{
    return ordinal >= plan->first && (plan->last == 0 || ordinal <= plan->last) && has_chance(plan, ordinal);
}

static bool concerns(const struct kit_fault_plan *plan, enum hs_os_call call)
{
    return (plan->kinds >> call & 1) != 0;
}

static bool fails_own(enum hs_os_call call)
{
    if (!concerns(&own.plan, call))
        return false;
    own.count.made++;
    if (!fails_by(&own.plan, own.count.made))
        return false;
    own.count.failed[call]++;
    return true;
}

/* Relaxed: counts. */
static bool fails_shared(const struct kit_fault_plan *plan, enum hs_os_call call)
{
    if (!concerns(plan, call))
        return false;
    if (!fails_by(plan, atomic_fetch_add_explicit(&shared.made, 1, memory_order_relaxed) + 1))
        return false;
    (void)atomic_fetch_add_explicit(&shared.failed[call], 1, memory_order_relaxed);
    return true;
}

static bool fails(enum hs_os_call call)
{
    const struct kit_fault_plan *plan = atomic_load_explicit(&shared.plan, memory_order_acquire); /* [FAULT-PLAN] */

    last_by_chance();
    if (!(own.is_armed && fails_own(call)) && (plan == NULL || !fails_shared(plan, call)))
        return false;
    if (call != HS_OS_MMAP && call != HS_OS_MREMAP)
        errno = ENOMEM; /* as the kernel would */
    return true;
}

void kit_faults_install(void)
{
    hs_os_fault = fails;
}

void kit_faults_remove(void)
{
    hs_os_fault = NULL;
    kit_faults_slow_down(0, 0);
    (void)kit_faults_disarm();
    (void)kit_faults_disarm_all();
}

void kit_faults_arm(const struct kit_fault_plan *plan)
{
    own = (struct own){.is_armed = true, .plan = *plan};
}

struct kit_fault_count kit_faults_so_far(void)
{
    return own.count;
}

struct kit_fault_count kit_faults_disarm(void)
{
    own.is_armed = false;
    return own.count;
}

void kit_faults_arm_all(const struct kit_fault_plan *plan)
{
    atomic_store_explicit(&shared.made, 0, memory_order_relaxed);
    for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
        atomic_store_explicit(&shared.failed[call], 0, memory_order_relaxed);
    /* [FAULT-PLAN] who sees the plan sees what it says, and the counts at 0. */
    atomic_store_explicit(&shared.plan, plan, memory_order_release);
}

/* Calls that were on their way when the plan ended may count a little later: they are not in what this returns. */
struct kit_fault_count kit_faults_disarm_all(void)
{
    struct kit_fault_count count;

    atomic_store_explicit(&shared.plan, NULL, memory_order_relaxed);
    count.made = atomic_load_explicit(&shared.made, memory_order_relaxed);
    for (unsigned call = 0; call < HS_OS_CALL_KINDS; call++)
        count.failed[call] = atomic_load_explicit(&shared.failed[call], memory_order_relaxed);
    return count;
}

void kit_faults_slow_down(unsigned per_mille, unsigned microseconds)
{
    atomic_store_explicit(&slow.microseconds, microseconds, memory_order_relaxed);
    atomic_store_explicit(&slow.per_mille, per_mille, memory_order_relaxed);
}

bool kit_faults_are_slow_now(void)
{
    return atomic_load_explicit(&slow.calls, memory_order_relaxed) != 0;
}
