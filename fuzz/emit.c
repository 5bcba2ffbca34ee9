/*
 * emit: a program as C that does the same with any malloc, so that what was found can be tried elsewhere and reported.
 *
 * Each operation is a call of what reproduce/calls.h has of the same name, which does what the player does. What only
 * Heapster has (strategies, trim, statistics, the walker) is called where the file is compiled with -DWITH_HEAPSTER,
 * and left out where it is not; blocks of first-class arenas then are the heap's.
 */
#include "emit.h"
#include "player.h"

static unsigned where_of(const struct fuzz_op *op)
{
    return 1 + op->lane % PLAYER_ARENAS;
}

static size_t count_of(const struct fuzz_op *op)
{
    return 1 + (op->count & 7U);
}

static void emit_block(FILE *out, const struct fuzz_op *op)
{
    unsigned where = (player_kinds[op->kind - 1].fields & FUZZ_LANE) != 0 ? where_of(op) : 0;

    switch ((enum player_kind)op->kind) {
    case PLAY_CALLOC:
    case PLAY_ARENA_CALLOC:
        (void)fprintf(out, "play_calloc(%u, %u, %zuU, %zuU);\n", where, op->slot, count_of(op),
                      op->bytes / count_of(op));
        break;
    case PLAY_ALIGNED_ALLOC:
    case PLAY_ARENA_ALIGNED_ALLOC:
        (void)fprintf(out, "play_aligned_alloc(%u, %u, %zuU, %zuU);\n", where, op->slot, op->alignment, op->bytes);
        break;
    case PLAY_REALLOC:
    case PLAY_ARENA_REALLOC:
        (void)fprintf(out, "play_realloc(%u, %u, %zuU);\n", where, op->slot, op->bytes);
        break;
    case PLAY_REALLOCARRAY:
        (void)fprintf(out, "play_reallocarray(%u, %zuU, %zuU);\n", op->slot, count_of(op), op->bytes / count_of(op));
        break;
    case PLAY_POSIX_MEMALIGN:
    case PLAY_MEMALIGN:
        (void)fprintf(out, "play_%s(%u, %zuU, %zuU);\n", player_kinds[op->kind - 1].name, op->slot, op->alignment,
                      op->bytes);
        break;
    case PLAY_VALLOC:
    case PLAY_PVALLOC:
        (void)fprintf(out, "play_%s(%u, %zuU);\n", player_kinds[op->kind - 1].name, op->slot, op->bytes);
        break;
    default:
        (void)fprintf(out, "play_malloc(%u, %u, %zuU);\n", where, op->slot, op->bytes);
    }
}

/* The products of player_overflow. */
static void emit_overflow(FILE *out, const struct fuzz_op *op)
{
    size_t bytes = 1 + op->bytes % 64, fitting = SIZE_MAX / bytes, more = 1U + op->count;
    size_t count = more < SIZE_MAX - fitting ? fitting + more : SIZE_MAX;

    (void)fprintf(out, "play_%s_overflow(%u, %zuU, %zuU);", op->count & 1 ? "calloc" : "reallocarray", op->slot, count,
                  bytes);
    if (op->count & 2)
        (void)fprintf(out, " ask_for_alignments(%u, %zuU);", op->slot, bytes);
    (void)fputc('\n', out);
}

static void emit_slot(FILE *out, const struct fuzz_op *op)
{
    switch ((enum player_kind)op->kind) {
    case PLAY_FREE:
    case PLAY_USABLE_SIZE:
        (void)fprintf(out, "play_%s(%u);\n", player_kinds[op->kind - 1].name, op->slot);
        break;
    case PLAY_FREE_SIZED:
    case PLAY_FREE_ALIGNED_SIZED:
        (void)fprintf(out, "play_%s(%u, %u);\n", player_kinds[op->kind - 1].name, op->slot, op->extra);
        break;
    case PLAY_OVERFLOW:
        emit_overflow(out, op);
        break;
    default:
        emit_block(out, op);
    }
}

static void emit_create(FILE *out, const struct fuzz_op *op)
{
    unsigned which = op->extra / 2 % 7;

    if (!player_creates_oddly(op))
        (void)fprintf(out, "HEAPSTER(arena(%u));\n", where_of(op));
    else if (which == 6)
        (void)fprintf(out, "HEAPSTER(play_arena_on_unaligned());\n");
    else
        (void)fprintf(out, "HEAPSTER(play_arena_create_wrongly(%u));\n", which);
}

static void emit_look(FILE *out, const struct fuzz_op *op)
{
    switch ((enum player_kind)op->kind) {
    case PLAY_STATS:
        (void)fprintf(out, "HEAPSTER(play_stats());\n");
        break;
    case PLAY_STATS_PRINT:
        (void)fprintf(out, "HEAPSTER(play_stats_print(%s, %s));\n", op->extra & 2 ? "true" : "false",
                      op->extra & 1 ? "HEAPSTER_JSON" : "HEAPSTER_TEXT");
        break;
    case PLAY_WALK:
        if (op->extra & 1)
            (void)fprintf(out, "HEAPSTER(play_walk(%u));\n", 1U + op->extra);
        else
            (void)fprintf(out, "HEAPSTER(play_walk(UINT_MAX));\n");
        break;
    default:
        (void)fprintf(out, "HEAPSTER(play_check(HEAPSTER_CHECK_RUNNING));\n");
    }
}

static void emit_on_heap(FILE *out, const struct fuzz_op *op, size_t *burst_left)
{
    switch ((enum player_kind)op->kind) {
    case PLAY_SET_STRATEGY:
        (void)fprintf(out, "HEAPSTER(play_set_strategy(%d));\n", op->extra % 5);
        break;
    case PLAY_ARENA_SET_STRATEGY:
        (void)fprintf(out, "HEAPSTER(play_arena_set_strategy(%u, %d));\n", where_of(op), op->extra % 5);
        break;
    case PLAY_SET_MMAP_THRESHOLD:
        (void)fprintf(out, "HEAPSTER(heapster_set_mmap_threshold(%zuU));\n", op->bytes);
        break;
    case PLAY_TRIM:
        (void)fprintf(out, "HEAPSTER(heapster_trim(%zuU));\n", op->bytes);
        break;
    case PLAY_ARENA_CREATE:
        emit_create(out, op);
        break;
    case PLAY_ARENA_DESTROY:
        (void)fprintf(out, "play_arena_destroy(%u);\n", where_of(op));
        break;
    case PLAY_BURST:
        (void)fprintf(out, "play_burst(%zuU, %zuU, %d);\n", player_burst_count(op, burst_left), player_burst_bytes(op),
                      op->extra % 4);
        break;
    default:
        emit_look(out, op);
    }
}

/* After how many operations unused memory goes back, where that is neither never nor at once: 0 where it is. */
static unsigned decay_ms_of(const struct fuzz_program *program)
{
    static const unsigned decays_ms[] = {0, 0, 8, 64};

    return player_is_plain ? 0 : decays_ms[program->header[0] >> 3 & 3];
}

void player_emit_begin(FILE *out, const struct fuzz_program *program, const char *note)
{
    unsigned decay_ms = decay_ms_of(program);

    player.options = player_options_of(program); /* decides what is left out */
    emit_head(out, note);
    player_print_options(out, program);
    if (decay_ms != 0)
        (void)fprintf(out, ",decay_ms=%u", decay_ms);
    emit_text(out, program->header[1], PLAYER_MEMORY_BYTES);
}

void player_emit_main(FILE *out, const struct fuzz_program *program)
{
    (void)fprintf(out, "int main(int argc, char **argv)\n{\n    (void)argc;\n    begin(argv, %d);\n",
                  program->header[0] & 3);
}

static void emit_op(FILE *out, const struct fuzz_op *op, size_t *burst_left)
{
    if (player_passes_over(op))
        (void)fprintf(out, "/* %s of %zu bytes is left out */\n", player_kinds[op->kind - 1].name, op->bytes);
    else if ((player_kinds[op->kind - 1].fields & FUZZ_SLOT) != 0)
        emit_slot(out, op);
    else
        emit_on_heap(out, op, burst_left);
}

void player_emit_ops(FILE *out, const struct fuzz_program *program)
{
    size_t burst_left = PLAYER_BURST_BLOCKS;

    for (unsigned i = 0; i < program->op_count; i++) {
        (void)fprintf(out, "    ");
        if (decay_ms_of(program) != 0)
            (void)fprintf(out, "HEAPSTER(usleep(1000)); ");
        emit_op(out, &program->ops[i], &burst_left);
    }
}

void player_print_op(FILE *out, const struct fuzz_program *program, unsigned index)
{
    static size_t burst_left;

    if (index == 0)
        burst_left = PLAYER_BURST_BLOCKS;
    player.options = player_options_of(program);
    emit_op(out, &program->ops[index], &burst_left);
}

void player_emit_end(FILE *out)
{
    (void)fprintf(out, "    end();\n    return 0;\n}\n");
}

void player_emit(FILE *out, const struct fuzz_program *program)
{
    player_emit_begin(out, program, NULL);
    player_emit_main(out, program);
    player_emit_ops(out, program);
    player_emit_end(out);
}
