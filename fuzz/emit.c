/*
 * emit: a program as C that does the same with any malloc, so that what was found can be tried elsewhere and reported.
 *
 * Blocks are filled and verified as the player does it. What only Heapster has (strategies, trim, the walker,
 * first-class arenas) is called where the file is compiled with -DWITH_HEAPSTER, and left out, or made of malloc, where
 * it is not.
 */
#include "player.h"

static const char preamble[] =
    "#define _GNU_SOURCE\n"
    "#include <errno.h>\n"
    "#include <malloc.h>\n"
    "#include <stdint.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "#include <string.h>\n"
    "#include <unistd.h>\n"
    "\n"
    "#ifdef WITH_HEAPSTER\n"
    "#include \"heapster.h\"\n"
    "#define HEAPSTER(call) (void)(call)\n"
    "#else\n"
    "#define HEAPSTER(call) (void)0\n"
    "#endif\n"
    "\n"
    "enum { SLOTS = 32, ARENAS = 4 };\n"
    "static struct slot {\n"
    "    unsigned char *block;\n"
    "    size_t bytes;\n"
    "    int arena;\n"
    "} slots[SLOTS];\n"
    "\n"
    "static void fail(const char *what, int slot)\n"
    "{\n"
    "    fprintf(stderr, \"slot %d: %s\\n\", slot, what);\n"
    "    abort();\n"
    "}\n"
    "\n"
    "/* Large blocks are written at both ends only. */\n"
    "static int is_written(size_t at, size_t bytes)\n"
    "{\n"
    "    return bytes <= 4096 || at < 256 || at >= bytes - 256;\n"
    "}\n"
    "\n"
    "static size_t next(size_t at, size_t bytes)\n"
    "{\n"
    "    return bytes > 4096 && at == 255 ? bytes - 256 : at + 1;\n"
    "}\n"
    "\n"
    "static void verify(int slot, const unsigned char *block, size_t bytes)\n"
    "{\n"
    "    for (size_t at = 0; at < bytes; at = next(at, slots[slot].bytes))\n"
    "        if (is_written(at, slots[slot].bytes) && block[at] != (unsigned char)(at * 7 + slot + 1))\n"
    "            fail(\"a live block changed\", slot);\n"
    "}\n"
    "\n"
    "static void settle(int slot, void *block, size_t bytes, size_t alignment, int arena)\n"
    "{\n"
    "    if (block == NULL)\n"
    "        return;\n"
    "    if ((uintptr_t)block % (alignment > 16 ? alignment : 16) != 0)\n"
    "        fail(\"a misaligned block\", slot);\n"
    "    slots[slot] = (struct slot){block, bytes, arena};\n"
    "    for (size_t at = 0; at < bytes; at = next(at, bytes))\n"
    "        slots[slot].block[at] = (unsigned char)(at * 7 + slot + 1);\n"
    "}\n"
    "\n"
    "static void release(int slot)\n"
    "{\n"
    "    if (slots[slot].block == NULL)\n"
    "        return;\n"
    "    verify(slot, slots[slot].block, slots[slot].bytes);\n"
    "    free(slots[slot].block);\n"
    "    slots[slot].block = NULL;\n"
    "}\n"
    "\n"
    "static void expect_zeroed(int slot, const unsigned char *block, size_t bytes)\n"
    "{\n"
    "    for (size_t at = 0; block != NULL && at < bytes; at++)\n"
    "        if (block[at] != 0)\n"
    "            fail(\"calloc is not zeroed\", slot);\n"
    "}\n"
    "\n"
    "static void resized(int slot, unsigned char *block, size_t bytes, int arena)\n"
    "{\n"
    "    if (slots[slot].block != NULL && bytes == 0)\n"
    "        slots[slot].block = NULL;\n"
    "    if (block == NULL)\n"
    "        return;\n"
    "    if (slots[slot].block != NULL)\n"
    "        verify(slot, block, bytes < slots[slot].bytes ? bytes : slots[slot].bytes);\n"
    "    settle(slot, block, bytes, 16, arena);\n"
    "}\n"
    "\n"
    "static void burst(size_t wanted, size_t bytes, int order)\n"
    "{\n"
    "    static unsigned char *blocks[65536];\n"
    "    size_t count = 0, half;\n"
    "\n"
    "    while (count < wanted && (blocks[count] = malloc(bytes)) != NULL) {\n"
    "        memcpy(blocks[count], &count, sizeof count);\n"
    "        memcpy(blocks[count] + bytes - sizeof count, &count, sizeof count);\n"
    "        count++;\n"
    "    }\n"
    "    half = (count + 1) / 2;\n"
    "    for (size_t step = 0; step < count; step++) {\n"
    "        size_t at = order == 0 ? step : order == 1 ? count - 1 - step :\n"
    "                    order == 2 ? (step < half ? 2 * step : 2 * (step - half) + 1) :\n"
    "                    step % 2 == 0 ? step / 2 : count - 1 - step / 2;\n"
    "\n"
    "        if (memcmp(blocks[at], &at, sizeof at) || memcmp(blocks[at] + bytes - sizeof at, &at, sizeof at))\n"
    "            fail(\"one of many blocks changed\", (int)at);\n"
    "        free(blocks[at]);\n"
    "    }\n"
    "}\n"
    "\n"
    "static void use_all(int slot)\n"
    "{\n"
    "    size_t usable = malloc_usable_size(slots[slot].block);\n"
    "\n"
    "    if (slots[slot].block != NULL && usable > slots[slot].bytes)\n"
    "        slots[slot].block[usable - 1] = 0xEE;\n"
    "}\n"
    "\n"
    "#ifdef WITH_HEAPSTER\n"
    "static heapster_arena *arenas[ARENAS];\n"
    "static char *memory[ARENAS];\n"
    "static size_t handed_out[ARENAS];\n"
    "static void *map(size_t bytes, void *context)\n"
    "{\n"
    "    int lane = (int)((char **)context - memory);\n"
    "\n"
    "    if (bytes > 524288 - handed_out[lane])\n"
    "        return NULL;\n"
    "    handed_out[lane] += bytes;\n"
    "    return memory[lane] + handed_out[lane] - bytes;\n"
    "}\n"
    "static void unmap(void *base, size_t bytes, void *context) { (void)base; (void)bytes; (void)context; }\n"
    "static heapster_arena *arena(int lane)\n"
    "{\n"
    "    struct heapster_os_hooks hooks = {map, unmap, &memory[lane]};\n"
    "    struct heapster_arena_config config = {.strategy = (enum heapster_strategy)lane};\n"
    "\n"
    "    if (memory[lane] == NULL)\n"
    "        memory[lane] = memset(aligned_alloc(65536, 524288), 0xC3, 524288);\n"
    "    if (sources[lane] <= 1) {\n"
    "        config.buffer = memory[lane];\n"
    "        config.buffer_bytes = sources[lane] == 0 ? 524288 : 2048;\n"
    "    } else if (sources[lane] == 2) {\n"
    "        config.hooks = &hooks;\n"
    "    }\n"
    "    if (arenas[lane] == NULL) {\n"
    "        handed_out[lane] = 0;\n"
    "        arenas[lane] = heapster_arena_create(&config);\n"
    "    }\n"
    "    return arenas[lane];\n"
    "}\n"
    "#else\n"
    "#define arena(lane) 0\n"
    "#define heapster_arena_malloc(arena, bytes) malloc(bytes)\n"
    "#define heapster_arena_calloc(arena, count, bytes) calloc(count, bytes)\n"
    "#define heapster_arena_realloc(arena, block, bytes) realloc(block, bytes)\n"
    "#define heapster_arena_aligned_alloc(arena, alignment, bytes) aligned_alloc(alignment, bytes)\n"
    "#endif\n"
    "\n"
    "static void destroy(int lane)\n"
    "{\n"
    "    for (int slot = 0; slot < SLOTS; slot++) {\n"
    "        if (slots[slot].block == NULL || slots[slot].arena != lane + 1)\n"
    "            continue;\n"
    "        release(slot);\n"
    "    }\n"
    "#ifdef WITH_HEAPSTER\n"
    "    heapster_arena_destroy(arenas[lane]);\n"
    "    arenas[lane] = NULL;\n"
    "#endif\n"
    "}\n"
    "\n";

static void emit_block(FILE *out, const struct fuzz_op *op)
{
    size_t count = 1 + (op->count & 7U), each = op->bytes / count;
    unsigned lane = op->lane % PLAYER_ARENAS;

    switch ((enum player_kind)op->kind) {
    case PLAY_CALLOC:
        (void)fprintf(out, "block = calloc(%zuU, %zuU); expect_zeroed(%u, block, %zuU); ", count, each, op->slot,
                      count * each);
        (void)fprintf(out, "settle(%u, block, %zuU, 16, 0);\n", op->slot, count * each);
        break;
    case PLAY_ARENA_CALLOC:
        (void)fprintf(out, "block = heapster_arena_calloc(arena(%u), %zuU, %zuU); expect_zeroed(%u, block, %zuU); ",
                      lane, count, each, op->slot, count * each);
        (void)fprintf(out, "settle(%u, block, %zuU, 16, %u);\n", op->slot, count * each, lane + 1);
        break;
    case PLAY_ALIGNED_ALLOC:
        (void)fprintf(out, "settle(%u, aligned_alloc(%zuU, %zuU), %zuU, %zuU, 0);\n", op->slot, op->alignment,
                      op->bytes, op->bytes, op->alignment);
        break;
    case PLAY_POSIX_MEMALIGN:
        (void)fprintf(out, "block = NULL; if (posix_memalign((void **)&block, %zuU, %zuU) == 0) ", op->alignment,
                      op->bytes);
        (void)fprintf(out, "settle(%u, block, %zuU, %zuU, 0);\n", op->slot, op->bytes, op->alignment);
        break;
    case PLAY_MEMALIGN:
        (void)fprintf(out, "settle(%u, memalign(%zuU, %zuU), %zuU, 16, 0);\n", op->slot, op->alignment, op->bytes,
                      op->bytes);
        break;
    case PLAY_ARENA_MALLOC:
        (void)fprintf(out, "settle(%u, heapster_arena_malloc(arena(%u), %zuU), %zuU, 16, %u);\n", op->slot, lane,
                      op->bytes, op->bytes, lane + 1);
        break;
    case PLAY_ARENA_ALIGNED_ALLOC:
        (void)fprintf(out, "settle(%u, heapster_arena_aligned_alloc(arena(%u), %zuU, %zuU), %zuU, %zuU, %u);\n",
                      op->slot, lane, op->alignment, op->bytes, op->bytes, op->alignment, lane + 1);
        break;
    default: /* malloc, valloc, pvalloc */
        (void)fprintf(out, "settle(%u, %s(%zuU), %zuU, 16, 0);\n", op->slot, player_kinds[op->kind - 1].name, op->bytes,
                      op->bytes);
    }
}

static void emit_resize(FILE *out, const struct fuzz_op *op)
{
    size_t count = 1 + (op->count & 7U), each = op->bytes / count;
    unsigned lane = op->lane % PLAYER_ARENAS;

    if (op->kind == PLAY_REALLOCARRAY)
        (void)fprintf(out, "resized(%u, reallocarray(slots[%u].block, %zuU, %zuU), %zuU, slots[%u].arena);\n", op->slot,
                      op->slot, count, each, count * each, op->slot);
    else if (op->kind == PLAY_REALLOC)
        (void)fprintf(out, "resized(%u, realloc(slots[%u].block, %zuU), %zuU, slots[%u].arena);\n", op->slot, op->slot,
                      op->bytes, op->bytes, op->slot);
    else
        (void)fprintf(out, "resized(%u, heapster_arena_realloc(arena(%u), slots[%u].block, %zuU), %zuU, %u);\n",
                      op->slot, lane, op->slot, op->bytes, op->bytes, lane + 1);
}

static void emit_on_heap(FILE *out, const struct fuzz_op *op, size_t *burst_left)
{
    static const char *const strategies[] = {"HEAPSTER_FIRST_FIT", "HEAPSTER_NEXT_FIT", "HEAPSTER_BEST_FIT",
                                             "HEAPSTER_WORST_FIT", "(enum heapster_strategy)4"};
    unsigned lane = op->lane % PLAYER_ARENAS;

    switch ((enum player_kind)op->kind) {
    case PLAY_OVERFLOW:
        (void)fprintf(out, "if (calloc(SIZE_MAX / 2, %zuU) != NULL) fail(\"an overflow was served\", %u);\n",
                      3 + op->bytes % 64, op->slot);
        break;
    case PLAY_SET_STRATEGY:
        (void)fprintf(out, "HEAPSTER(heapster_set_strategy(%s));\n", strategies[op->extra % 5]);
        break;
    case PLAY_ARENA_SET_STRATEGY:
        (void)fprintf(out, "HEAPSTER(heapster_arena_set_strategy(arena(%u), %s));\n", lane, strategies[op->extra % 5]);
        break;
    case PLAY_SET_MMAP_THRESHOLD:
        (void)fprintf(out, "HEAPSTER(heapster_set_mmap_threshold(%zuU));\n", op->bytes);
        break;
    case PLAY_TRIM:
        (void)fprintf(out, "HEAPSTER(heapster_trim(%zuU));\n", op->bytes);
        break;
    case PLAY_CHECK:
        (void)fprintf(out, "HEAPSTER(heapster_check(HEAPSTER_CHECK_RUNNING, NULL, NULL));\n");
        break;
    case PLAY_ARENA_CREATE:
        if (player_creates_oddly(op))
            (void)fprintf(out, "/* an arena of a wrong configuration is refused */\n");
        else
            (void)fprintf(out, "HEAPSTER(arena(%u));\n", lane);
        break;
    case PLAY_ARENA_DESTROY:
        (void)fprintf(out, "destroy(%u);\n", lane);
        break;
    case PLAY_BURST:
        (void)fprintf(out, "burst(%zuU, %zuU, %d);\n", player_burst_count(op, burst_left), player_burst_bytes(op),
                      op->extra % 4);
        break;
    default:
        (void)fprintf(out, "/* %s only looks */\n", player_kinds[op->kind - 1].name);
    }
}

static void emit_op(FILE *out, const struct fuzz_op *op, size_t *burst_left)
{
    unsigned fields = player_kinds[op->kind - 1].fields;
    bool resizes = op->kind == PLAY_REALLOC || op->kind == PLAY_REALLOCARRAY || op->kind == PLAY_ARENA_REALLOC;

    (void)fprintf(out, "    ");
    if (player_passes_over(op)) {
        (void)fprintf(out, "/* %s of %zu bytes is left out */\n", player_kinds[op->kind - 1].name, op->bytes);
    } else if (resizes) {
        (void)fprintf(out, "verify(%u, slots[%u].block, slots[%u].block ? slots[%u].bytes : 0); ", op->slot, op->slot,
                      op->slot, op->slot);
        emit_resize(out, op);
    } else if (op->kind == PLAY_USABLE_SIZE) {
        (void)fprintf(out, "use_all(%u);\n", op->slot);
    } else if (op->kind == PLAY_FREE || op->kind == PLAY_FREE_SIZED || op->kind == PLAY_FREE_ALIGNED_SIZED) {
        (void)fprintf(out, "release(%u);\n", op->slot);
    } else if ((fields & FUZZ_SLOT) != 0 && op->kind != PLAY_OVERFLOW) {
        (void)fprintf(out, "release(%u); ", op->slot);
        emit_block(out, op);
    } else {
        emit_on_heap(out, op, burst_left);
    }
}

void player_emit(FILE *out, const struct fuzz_program *program)
{
    size_t burst_left = PLAYER_BURST_BLOCKS;

    player.options = player_options_of(program); /* decides what is left out */
    (void)fprintf(out, "/* cc reproduce.c && ./a.out. With Heapster: -DWITH_HEAPSTER, its header and its library, and\n"
                       " * HEAPSTER_OPTIONS=");
    player_print_options(out, program);
    (void)fprintf(out, " */\n");
    (void)fprintf(out, "static const int sources[] = {%d, %d, %d, %d};\n", program->header[1] & 3,
                  program->header[1] >> 2 & 3, program->header[1] >> 4 & 3, program->header[1] >> 6 & 3);
    (void)fputs(preamble, out);
    (void)fprintf(out, "int main(void)\n{\n    unsigned char *block = NULL;\n\n    (void)block;\n    (void)sources;\n");
    (void)fprintf(out, "    HEAPSTER(heapster_set_strategy(%d));\n", program->header[0] & 3);
    for (unsigned i = 0; i < program->op_count; i++)
        emit_op(out, &program->ops[i], &burst_left);
    (void)fprintf(out, "    for (int lane = 0; lane < ARENAS; lane++)\n        destroy(lane);\n");
    (void)fprintf(out, "    for (int slot = 0; slot < SLOTS; slot++)\n        release(slot);\n");
    (void)fprintf(out, "    HEAPSTER(heapster_check(HEAPSTER_CHECK_AT_REST, NULL, NULL) == 0 ? 0 : (abort(), 0));\n");
    (void)fprintf(out, "    return 0;\n}\n");
}
