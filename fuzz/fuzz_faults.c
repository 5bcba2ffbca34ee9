/*
 * fuzz_faults: the operations of fuzz_ops, while calls of the OS fail, those that the input names.
 *
 * The tail, from its end on, counts the calls between one that fails and the next: 0 0 2 fails the first, the second
 * and the fifth; place.h says why each process counts alike. Goal: no memory is NULL and ENOMEM, with the heap, the
 * blocks and the account as they were, and gone with the operation during which a call failed. Oracle: player.h.
 */
#include <errno.h>

#include "os.h"
#include "player.h"

static struct {
    struct fuzz_tail tail;
    bool is_armed;
    unsigned passing; /* calls until the next that fails */
} gate;

static void aim(void)
{
    gate.is_armed = gate.tail.left > 0;
    gate.passing = fuzz_tail_next(&gate.tail);
}

static bool fails(enum hs_os_call call)
{
    if (!gate.is_armed)
        return false;
    if (gate.passing > 0) {
        gate.passing--;
        return false;
    }
    player.may_fail = true;
    player.may_leak |= call == HS_OS_MUNMAP;
    aim();
    if (call != HS_OS_MMAP && call != HS_OS_MREMAP)
        errno = ENOMEM; /* as the kernel would */
    return true;
}

static void run(const struct fuzz_program *program)
{
    player_begin(program);
    /* Without memory to begin with: everything takes calls. */
    (void)heapster_trim(0);
    gate.tail = (struct fuzz_tail){program->tail, program->tail_bytes};
    aim();
    hs_os_fault = fails;
    for (unsigned i = 0; i < program->op_count; i++) {
        player.may_fail = false;
        player_perform(&program->ops[i]);
        if (fuzz_walks_each)
            player_check_heap(HEAPSTER_CHECK_AT_REST);
    }
    hs_os_fault = NULL;
    player_end();
}

const bool player_is_plain = false;

const struct fuzz_target fuzz_target = {
    .name = "faults",
    .serves_large = true,
    .seldom = PLAYER_SELDOM,
    .kinds = player_kinds,
    .kind_count = PLAY_KINDS,
    .has_tail = true,
    .draws_large = true,
    .prepare = player_prepare,
    .run = run,
    .print_header = player_print_header,
    .emit = player_emit,
};
