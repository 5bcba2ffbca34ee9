/*
 * player: carries out a program's operations on the heap, every call of the API among them, and judges the answers.
 *
 * Goal: a program in which every pointer is used as the header allows ends with a heap that passes the walker, in which
 * every block holds what was written to it. Oracle, after each call:
 *   - a block is aligned, long enough, apart from every other live one, zeroed where it has to be, or with option fill
 *     filled; realloc keeps content;
 *   - NULL comes with ENOMEM or EINVAL and only where there is a reason for it: a size or an alignment that nothing can
 *     serve, an arena on a small buffer, an OS call that was made to fail during the operation;
 *   - success leaves errno alone, and free does always;
 * and at the end, or after each operation, the walker, and the account: what is live is what was never freed, and what
 * was mapped is unmapped.
 *
 * A slot holds one block. An operation that makes one in a slot that is taken frees the old one first; one that needs a
 * block and finds none does nothing. Lanes 0 to 3 name first-class arenas, made when they are first used.
 */
#ifndef FUZZ_PLAYER_H
#define FUZZ_PLAYER_H

#include "heapster.h"
#include "target.h"

enum player_kind {
    PLAY_MALLOC = 1,
    PLAY_CALLOC,
    PLAY_REALLOC,
    PLAY_REALLOCARRAY,
    PLAY_FREE,
    PLAY_FREE_SIZED,
    PLAY_FREE_ALIGNED_SIZED,
    PLAY_ALIGNED_ALLOC,
    PLAY_POSIX_MEMALIGN,
    PLAY_MEMALIGN,
    PLAY_VALLOC,
    PLAY_PVALLOC,
    PLAY_USABLE_SIZE,
    PLAY_OVERFLOW, /* products that do not fit */
    PLAY_SET_STRATEGY,
    PLAY_SET_MMAP_THRESHOLD,
    PLAY_TRIM,
    PLAY_STATS,
    PLAY_STATS_PRINT,
    PLAY_WALK,
    PLAY_CHECK,
    PLAY_ARENA_CREATE,
    PLAY_ARENA_MALLOC,
    PLAY_ARENA_CALLOC,
    PLAY_ARENA_REALLOC,
    PLAY_ARENA_ALIGNED_ALLOC,
    PLAY_ARENA_SET_STRATEGY,
    PLAY_ARENA_DESTROY,
    PLAY_BURST, /* many blocks at once, allocated and freed */
    PLAY_KINDS = PLAY_BURST
};

extern const struct fuzz_kind player_kinds[PLAY_KINDS];

enum { PLAYER_ARENAS = 4, PLAYER_MEMORY_BYTES = 512 * 1024, PLAYER_BURST_BLOCKS = 72 * 1024 };

/* Larger blocks are written at their edges only, where tags, links and footers of free blocks come to lie. */
enum { PLAYER_WHOLE_BYTES = 1024, PLAYER_EDGE_BYTES = 128 };

struct player_slot {
    char *block; /* NULL: none */
    size_t bytes;
    size_t alignment; /* what free_aligned_sized is to be told; 0: it was no aligned_alloc */
    uint64_t key;
    unsigned arena; /* 0: the heap; otherwise 1 + its lane */
};

/* From where a first-class arena has its memory. */
enum player_source { PLAYER_BUFFER, PLAYER_SMALL_BUFFER, PLAYER_HOOKS, PLAYER_MMAP };

struct player_arena {
    heapster_arena *arena; /* NULL: none */
    enum player_source source;
};

struct player {
    struct player_slot slots[FUZZ_SLOTS];
    uint32_t live; /* bit k: slot k has a block */
    struct player_arena arenas[PLAYER_ARENAS];
    bool may_fail;   /* an OS call was made to fail during this operation */
    bool may_leak;   /* munmap was, during this program */
    uint8_t options; /* enum player_option */
    uint64_t born;
    size_t burst_left; /* blocks that bursts may still allocate */
};

extern struct player player;
extern uint64_t player_now_ms; /* a millisecond passes with each operation */

/* Of each target: whatever the header says, nothing decays, and every option of byte 2 is as usual. */
extern const bool player_is_plain;

/* Of byte 2 of the header, a bit each. */
enum player_option {
    PLAYER_FILL = 1,
    PLAYER_HUGEPAGES = 2,
    PLAYER_POPULATE = 4,
    PLAYER_NO_LARGE_CACHE = 8,
    PLAYER_CHECK = 16 /* at every PLAYER_CHECK_EVERYth slow path */
};

enum { PLAYER_CHECK_EVERY = 4, PLAYER_FILLED = 0xA5 };

/* Arenas on small buffers and on mappings, and options: these cost the most. */
#define PLAYER_SELDOM                                                                                                  \
    {                                                                                                                  \
        0, 0x55, 0xFF, 0                                                                                               \
    }

/* What the header of a program chooses: byte 0, strategy (bits 0 and 1), threads' caches (bit 2 set: off), after how
 * many operations unused memory goes back: never, at once, 8, 64 (bits 3 and 4); byte 1, two bits for each first-class
 * arena, enum player_source; byte 2, enum player_option. */
void player_print_header(FILE *out, const struct fuzz_program *program);

/* The same as HEAPSTER_OPTIONS has it, which knows no time but the clock's. */
void player_print_options(FILE *out, const struct fuzz_program *program);

/* What the operation comes to, as --emit-c has it: from the first to the last. */
void player_print_op(FILE *out, const struct fuzz_program *program, unsigned index);

/* What byte 2 chooses. */
uint8_t player_options_of(const struct fuzz_program *program);

void player_prepare(void);
void player_begin(const struct fuzz_program *program);
void player_perform(const struct fuzz_op *op);
/* True of an operation that is passed over: it could touch every byte of a large block, which would take up to a second
 * and show no more than the same of a smaller one; or, with an option that makes every block or every call dear, it is
 * of a large block or of many. */
bool player_passes_over(const struct fuzz_op *op);
/* True of an operation that makes no arena for later: its configuration is none, or a wrong one. */
bool player_creates_oddly(const struct fuzz_op *op);
/* Walker, content of what lives, all of it freed, walker once more, and the heap as it was before player_begin. */
void player_end(void);

/* All operations of the program, with the walker after each where that was asked for. */
void player_play(const struct fuzz_program *program);

/* As C, all of it; or in parts, where a target has something to add: what comes before main, whose head comment ends
 * with `note`, if there is one; the begin of main; the operations; the end of main. */
void player_emit(FILE *out, const struct fuzz_program *program);
void player_emit_begin(FILE *out, const struct fuzz_program *program, const char *note);
void player_emit_main(FILE *out, const struct fuzz_program *program);
void player_emit_ops(FILE *out, const struct fuzz_program *program);
void player_emit_end(FILE *out);

/* ---- for player_calls.c -------------------------------------------------------------------------------------------
 */

void player_check_heap(enum heapster_check_mode mode);

/* Content of a live block. */
void player_verify(const struct player_slot *slot);

/* With option fill: the block, if it is one, is new and filled. */
void player_expect_filled(const char *block, size_t bytes);

/* The slot has a new block, of a size that was asked for; false where it is NULL. `alignment` is what was promised. */
bool player_settle(struct player_slot *slot, void *block, size_t bytes, size_t alignment, unsigned arena);

/* NULL was the answer: is there a reason? */
void player_refused(size_t bytes, size_t alignment, unsigned arena);

void player_release(struct player_slot *slot);
/* The slot's block is gone. */
void player_forget(struct player_slot *slot);

struct player_arena *player_arena(unsigned lane);
void player_destroy_arena(unsigned lane);

/* player_odd.c */
void player_overflow(const struct fuzz_op *op, const struct player_slot *slot);
void player_create_oddly(unsigned which);
void player_print_stats(const struct fuzz_op *op);

/* player_burst.c */
void player_burst(const struct fuzz_op *op);
size_t player_burst_bytes(const struct fuzz_op *op);
/* How many blocks; they are taken from what is left to the program. */
size_t player_burst_count(const struct fuzz_op *op, size_t *left);

/* Calls of the API are made between the two: errno must come back as it was, where `failed` is false. */
enum { PLAYER_ERRNO = 77 };
void player_expect_errno(bool failed);

#endif
