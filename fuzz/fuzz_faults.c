/*
 * fuzz_faults: the operations of fuzz_ops, while calls of the OS fail, those that the input names.
 *
 * The tail, from its end on, counts the calls between one that fails and the next: 0 0 2 fails the first, the second
 * and the fifth; place.h says why each process counts alike. Goal: no memory is NULL and ENOMEM, with the heap, the
 * blocks and the account as they were, and gone with the operation during which a call failed. Oracle: player.h.
 */
#include <errno.h>

#include "emit.h"
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

/* ---- as C ----------------------------------------------------------------------------------------------------------
 */

static const char note[] =
    "The input makes calls of the OS fail, those that FAILING names. Plain C cannot do that. With -DWITH_HEAPSTER\n"
    " * -DWITH_FAULTS and libheapster.a, whose own gate is used, they fail, too, but other addresses may mean other\n"
    " * calls: `fuzz_faults INPUT` replays exactly.";

static void emit_failing(FILE *out, const struct fuzz_program *program)
{
    struct fuzz_tail tail = {program->tail, program->tail_bytes};
    unsigned call = 0;

    (void)fprintf(out, "/* Which of all calls of the OS fail, counted from 1 on; 0 ends them. */\n#define FAILING {");
    while (tail.left > 0) {
        call += 1U + fuzz_tail_next(&tail);
        (void)fprintf(out, "%u, ", call);
    }
    (void)fprintf(out, "0}\n\n");
}

static void emit(FILE *out, const struct fuzz_program *program)
{
    bool any_fails = program->tail_bytes > 0;

    if (any_fails)
        emit_failing(out, program);
    player_emit_begin(out, program, any_fails ? note : NULL);
    if (any_fails)
        (void)fprintf(out, "%s\n", emit_faults);
    player_emit_main(out, program);
    (void)fprintf(out, "    HEAPSTER(heapster_trim(0));\n%s", any_fails ? "    start_failing();\n" : "");
    player_emit_ops(out, program);
    (void)fprintf(out, "%s", any_fails ? "    stop_failing();\n" : "");
    player_emit_end(out);
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
    .print_op = player_print_op,
    .emit = emit,
};
