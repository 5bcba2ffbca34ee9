/*
 * fuzz_misuse: one misuse after the operations of fuzz_ops, whatever these have made of the heap.
 *
 * Header: byte 2 chooses the misuse and by which call, byte 3 the block it is done to, and an offset. Goal: each ends
 * in the one fixed line that names it, never in silence or a crash; and the call is ignored, so that the heap is sound
 * afterwards and every other block holds what it held. The line goes through hs_report_handler, which returns here.
 *
 * Overwritten tags are tried on blocks that no cache takes: a cache looks at a tag when it gives the block back, and
 * drops the block. What was overwritten is put back once it was reported.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "emit.h"
#include "player.h"
#include "report.h"

enum misuse {
    DOUBLE_FREE,
    REALLOC_FREED,
    USABLE_SIZE_FREED,
    FREE_INTERIOR,
    REALLOC_INTERIOR,
    FREE_FOREIGN,
    REALLOC_FOREIGN,
    WRONG_SIZE,
    WRONG_ALIGNMENT,
    OVERFLOW_TAG,
    UNDERFLOW_TAG,
    MISUSES
};

static const char *const names[MISUSES] = {
    "double free",
    "realloc of a freed block",
    "usable_size of a freed block",
    "free of an interior pointer",
    "realloc of an interior pointer",
    "free of a foreign pointer",
    "realloc of a foreign pointer",
    "wrong size",
    "wrong alignment",
    "overwritten tag",
    "overwritten tag",
};

static struct {
    unsigned lines;
    char text[HS_TEXT_BYTES];
} report;

static _Alignas(64) char foreign[4096];

static void note_report(const char *line)
{
    report.lines++;
    (void)strncpy(report.text, line, sizeof report.text - 1);
}

/* "heapster: <what>: 0x<address> (<found>, expected <expected>)" */
static bool is_report_of(const char *line, const char *what)
{
    size_t length = strlen(what);
    const char *expected;

    if (strncmp(line, "heapster: ", 10) != 0 || strncmp(line + 10, what, length) != 0)
        return false;
    line += 10 + length;
    if (strncmp(line, ": 0x", 4) != 0)
        return false;
    for (line += 4; isxdigit((unsigned char)*line);)
        line++;
    expected = strstr(line, ", expected ");
    return line[0] == ' ' && line[1] == '(' && expected != NULL && strlen(expected) > 13 &&
           strcmp(line + strlen(line) - 2, ")\n") == 0;
}

/* ---- which block ---------------------------------------------------------------------------------------------------
 */

static bool enters_no_cache(const struct player_slot *slot)
{
    return slot->arena != 0 || hs_thread()->has_no_cache;
}

/* A live block; one is made if need be. */
static struct player_slot *pick(unsigned wanted, bool is_damaged)
{
    struct fuzz_op op = {.kind = PLAY_ARENA_MALLOC, .slot = (uint8_t)(wanted % FUZZ_SLOTS), .bytes = 24 + wanted};

    for (unsigned i = 0; i < FUZZ_SLOTS; i++) {
        struct player_slot *slot = &player.slots[(wanted + i) % FUZZ_SLOTS];

        if (slot->block != NULL && (!is_damaged || enters_no_cache(slot)))
            return slot;
    }
    player_perform(&op);
    return &player.slots[op.slot];
}

/* ---- misuses -------------------------------------------------------------------------------------------------------
 */

static void expect_null(const void *answer)
{
    if (answer != NULL)
        fuzz_fail("a misuse was answered by %p", answer);
}

static void use_freed(enum misuse misuse, struct player_slot *slot)
{
    char *block = slot->block;

    player_release(slot);
    if (misuse == DOUBLE_FREE)
        heapster_free(block);
    else if (misuse == REALLOC_FREED)
        expect_null(heapster_realloc(block, 40));
    else if (heapster_usable_size(block) != 0)
        fuzz_fail("usable_size of a freed block is not 0");
}

/* What stands before the pointer is no tag: no state is 0. */
static bool use_interior(enum misuse misuse, struct player_slot *slot, unsigned offset)
{
    char kept[HS_TAG_BYTES];
    char *at;

    if (slot->bytes < 2 * HS_TAG_BYTES + 2)
        return false;
    at = slot->block + HS_TAG_BYTES + 1 + offset % (slot->bytes - HS_TAG_BYTES - 1);
    memcpy(kept, at - HS_TAG_BYTES, sizeof kept);
    memset(at - HS_TAG_BYTES, 0, sizeof kept);
    if (misuse == FREE_INTERIOR)
        heapster_free(at);
    else
        expect_null(heapster_realloc(at, 40));
    memcpy(at - HS_TAG_BYTES, kept, sizeof kept);
    return true;
}

enum call { BY_FREE, BY_FREE_SIZED, BY_FREE_ALIGNED_SIZED, CALLS };

static void use_foreign(enum misuse misuse, enum call call, unsigned offset)
{
    char *at = foreign + HS_TAG_BYTES + offset % 1024;

    if (misuse == REALLOC_FOREIGN)
        expect_null(heapster_realloc(at, 40));
    else if (call == BY_FREE)
        heapster_free(at);
    else if (call == BY_FREE_SIZED)
        heapster_free_sized(at, 8);
    else
        heapster_free_aligned_sized(at, 16, 8);
}

/* None that is a power of two, or one that the block is not aligned to. */
static void say_wrong_alignment(const struct player_slot *slot, enum call call, unsigned offset)
{
    size_t lowest = (size_t)1 << __builtin_ctzll((uintptr_t)slot->block);

    heapster_free_aligned_sized(slot->block, call == BY_FREE ? 3 + 2 * (size_t)offset : 2 * lowest, slot->bytes);
}

static void say_wrong_size(const struct player_slot *slot, enum call call, unsigned offset)
{
    size_t usable_bytes = heapster_usable_size(slot->block);

    if (call == BY_FREE_ALIGNED_SIZED)
        heapster_free_aligned_sized(slot->block, 16, usable_bytes + 1 + offset);
    else if (offset % 2 != 0 && usable_bytes >= 1024 && usable_bytes < 60000)
        heapster_free_sized(slot->block, usable_bytes / 2 - 64);
    else
        heapster_free_sized(slot->block, usable_bytes + 1 + offset);
}

/* Returns false where the damage cannot be told from a sound tag: the hash has 16 bits. */
static bool overwrite(enum misuse misuse, struct player_slot *slot, unsigned offset)
{
    char *tag = slot->block - HS_TAG_BYTES, kept[HS_TAG_BYTES];
    size_t bytes = 1 + offset % HS_TAG_BYTES;
    bool is_seen;

    if (hs_block_state(hs_block_of(slot->block)) == HS_STATE_LARGE && misuse == OVERFLOW_TAG)
        return false; /* nothing stands behind a mapping */
    if (misuse == OVERFLOW_TAG)
        tag = slot->block + heapster_usable_size(slot->block);
    memcpy(kept, tag, sizeof kept);
    if (misuse == OVERFLOW_TAG)
        memset(tag, 'A', bytes);
    else
        memset(tag + sizeof kept - bytes, 'A', bytes);
    /* The last byte of a tag is a hint that the left neighbour's owner writes; alone it is not verified. */
    is_seen = !hs_block_is_intact((struct hs_block *)(void *)tag) || (misuse == UNDERFLOW_TAG && bytes >= 2);
    if (is_seen)
        heapster_free(slot->block);
    memcpy(tag, kept, sizeof kept);
    return is_seen;
}

static bool commit(enum misuse misuse, enum call call, unsigned wanted, unsigned offset)
{
    struct player_slot *slot = pick(wanted, misuse >= OVERFLOW_TAG);

    if (slot->block == NULL && misuse != FREE_FOREIGN && misuse != REALLOC_FOREIGN)
        return false;
    report.lines = 0;
    switch (misuse) {
    case DOUBLE_FREE:
    case REALLOC_FREED:
    case USABLE_SIZE_FREED:
        use_freed(misuse, slot);
        return true;
    case FREE_INTERIOR:
    case REALLOC_INTERIOR:
        return use_interior(misuse, slot, offset);
    case FREE_FOREIGN:
    case REALLOC_FOREIGN:
        use_foreign(misuse, call, offset);
        return true;
    case OVERFLOW_TAG:
    case UNDERFLOW_TAG:
        return overwrite(misuse, slot, offset);
    case WRONG_ALIGNMENT:
        say_wrong_alignment(slot, call, offset);
        return true;
    default:
        say_wrong_size(slot, call, offset);
        return true;
    }
}

/* A pointer to memory that has gone back to the OS may fault, and no line is promised; and byte 2 of the header says
 * something else here. */
const bool player_is_plain = true;

static void run(const struct fuzz_program *program)
{
    enum misuse misuse = (enum misuse)(program->header[2] % MISUSES);
    enum call call = (enum call)(program->header[2] / MISUSES % CALLS);
    bool was_committed;

    player_begin(program);
    for (unsigned i = 0; i < program->op_count; i++)
        player_perform(&program->ops[i]);
    report.lines = 0;
    was_committed = commit(misuse, call, program->header[3], program->header[3] * 7U + program->header[2]);
    if (report.lines != was_committed)
        fuzz_fail("%s: %u lines were reported, the last: %s", names[misuse], report.lines, report.text);
    if (was_committed && !is_report_of(report.text, names[misuse]))
        fuzz_fail("%s was reported as: %s", names[misuse], report.text);
    player_end();
    if (report.lines != was_committed)
        fuzz_fail("after a %s was reported: %s", names[misuse], report.text);
}

static void prepare(void)
{
    player_prepare();
    hs_report_handler = note_report;
}

static void print_header(FILE *out, const struct fuzz_program *program)
{
    player_print_header(out, program);
    (void)fprintf(out, "in the end: %s, call %d, block and offset %u\n", names[program->header[2] % MISUSES],
                  program->header[2] / MISUSES % CALLS, program->header[3]);
}

/* ---- as C ----------------------------------------------------------------------------------------------------------
 */

static void emit_foreign(FILE *out, enum misuse misuse, enum call call, unsigned offset)
{
    static const char *const names_of_calls[CALLS] = {"free", "free_sized", "free_aligned_sized"};

    (void)fprintf(out, "misuse_%s_foreign(%u);\n", misuse == REALLOC_FOREIGN ? "realloc" : names_of_calls[call],
                  offset);
}

/* An overwritten byte beside the block is a hint of the left neighbour's, which nobody verifies alone. */
static void emit_overwritten(FILE *out, enum misuse misuse, bool is_outside_heap, unsigned wanted, unsigned offset)
{
    unsigned bytes = 1 + offset % HS_TAG_BYTES;

    if (misuse == UNDERFLOW_TAG && bytes == 1)
        (void)fprintf(out, "misuse_nothing(\"a hint alone is not verified\");\n");
    else
        (void)fprintf(out, "misuse_overwritten_tag(pick(%u, %s), %u, %s);\n", wanted,
                      is_outside_heap ? "true" : "false", bytes, misuse == OVERFLOW_TAG ? "true" : "false");
}

static void emit_misuse_call(FILE *out, enum misuse misuse, enum call call, unsigned wanted, unsigned offset)
{
    static const char *const uses[] = {"double_free", "realloc_freed", "usable_size_freed"};

    switch (misuse) {
    case DOUBLE_FREE:
    case REALLOC_FREED:
    case USABLE_SIZE_FREED:
        (void)fprintf(out, "misuse_%s(pick(%u, false));\n", uses[misuse], wanted);
        break;
    case FREE_INTERIOR:
    case REALLOC_INTERIOR:
        (void)fprintf(out, "misuse_interior(pick(%u, false), %u, %s);\n", wanted, offset,
                      misuse == REALLOC_INTERIOR ? "true" : "false");
        break;
    case WRONG_ALIGNMENT:
        (void)fprintf(out, "misuse_wrong_alignment(pick(%u, false), %u);\n", wanted,
                      call == BY_FREE ? 3 + 2 * offset : 0);
        break;
    default:
        (void)fprintf(out, "misuse_wrong_size(pick(%u, false), %u, %s, %s);\n", wanted, 1 + offset,
                      offset % 2 != 0 ? "true" : "false", call == BY_FREE_ALIGNED_SIZED ? "true" : "false");
    }
}

static void emit_misuse_of(FILE *out, const struct fuzz_program *program)
{
    enum misuse misuse = (enum misuse)(program->header[2] % MISUSES);
    enum call call = (enum call)(program->header[2] / MISUSES % CALLS);
    unsigned wanted = program->header[3], offset = wanted * 7U + program->header[2];

    (void)fprintf(out, "    /* With Heapster: \"heapster: %s: \", and an abort. */\n    ", names[misuse]);
    if (misuse == FREE_FOREIGN || misuse == REALLOC_FOREIGN)
        emit_foreign(out, misuse, call, offset);
    else if (misuse == OVERFLOW_TAG || misuse == UNDERFLOW_TAG)
        emit_overwritten(out, misuse, (program->header[0] & 4) == 0, wanted, offset);
    else
        emit_misuse_call(out, misuse, call, wanted, offset);
}

static const char note[] =
    "What it does in the end is wrong. With Heapster it ends by abort, after one line on standard error; with another\n"
    " * malloc anything may happen.";

static void emit(FILE *out, const struct fuzz_program *program)
{
    player_emit_begin(out, program, note);
    (void)fprintf(out, "%s\n", emit_misuse);
    player_emit_main(out, program);
    player_emit_ops(out, program);
    emit_misuse_of(out, program);
    player_emit_end(out);
}

const struct fuzz_target fuzz_target = {
    .name = "misuse",
    .serves_large = true,
    .seldom = {0, 0x55, 0, 0},
    .kinds = player_kinds,
    .kind_count = PLAY_KINDS,
    .prepare = prepare,
    .run = run,
    .print_header = print_header,
    .print_op = player_print_op,
    .emit = emit,
};
