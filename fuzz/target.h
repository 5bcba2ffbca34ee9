/*
 * target: what a fuzzer is made of beside its engine. fuzz_<name>.c defines `fuzz_target`; entry.c joins it with the
 * entry points of the engines, mutate.c, print.c and emit.c do the rest by its table of operations.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stdio.h>

#include "format.h"

/* What a field of an operation is to a kind of operation. */
enum fuzz_field {
    FUZZ_SLOT = 1,
    FUZZ_BYTES = 2,
    FUZZ_ALIGNMENT = 4,
    FUZZ_COUNT = 8,
    FUZZ_EXTRA = 16,
    FUZZ_LANE = 32,
    FUZZ_HEAVY_COUNT = 64 /* a count, too, and what is done with one that is not below FUZZ_LIGHT_COUNTS takes long */
};

/* What takes long, few mutations leave: inputs of it reach what no others do, so that an engine keeps them, and would
 * try little else than theirs. A block of as many bytes is one, unless nothing can serve it: a sanitizer marks each of
 * them.
 */
enum { FUZZ_LIGHT_COUNTS = 8 };
#define FUZZ_LIGHT_BYTES ((size_t)2 << 20)
#define FUZZ_SERVED_BYTES ((size_t)1 << 31)

struct fuzz_kind {
    const char *name;
    unsigned fields; /* enum fuzz_field */
    unsigned weight; /* how often it is drawn */
};

struct fuzz_target {
    const char *name;
    const struct fuzz_kind *kinds; /* kinds[0] is of kind 1; NULL: the input is text */
    unsigned kind_count;
    bool has_tail;
    bool has_lanes;                    /* lanes are threads, all alike */
    bool draws_large;                  /* sizes that take calls of the OS are drawn often, although they take time */
    bool serves_large;                 /* blocks of all sizes are allocated: FUZZ_LIGHT_BYTES */
    uint8_t seldom[FUZZ_HEADER_BYTES]; /* bits of the header that nine of ten drawn inputs have not: they cost most */
    void (*prepare)(void);             /* once; or NULL */
    void (*run)(const struct fuzz_program *program);
    void (*run_text)(const char *text); /* of a target whose input is text */
    const char *const *words;           /* which that text is made of; ends with NULL */
    /* Prints the header as words; NULL: it means nothing. */
    void (*print_header)(FILE *out, const struct fuzz_program *program);
    /* Ends the operation's line with what it comes to; NULL: with nothing more than its fields. */
    void (*print_op)(FILE *out, const struct fuzz_program *program, unsigned index);
    /* Prints the program as C (emit.h); NULL: it cannot, and the next says why. */
    void (*emit)(FILE *out, const struct fuzz_program *program);
    const char *why_no_c;
};

extern const struct fuzz_target fuzz_target;

/* An input that is text ends there, or with its first NUL. */
enum { FUZZ_TEXT_MOST = 4096 };

/* Whether the walker looks after every operation, and not only at the end: --walk=each, or FUZZ_WALK=each. */
extern bool fuzz_walks_each;

/* What the allocator did with an input, as a number: targets note what an input is to mean the same by. */
extern uint64_t fuzz_digest;
void fuzz_note(uint64_t what);

/* What was found wrong ends the process, by abort, with one line. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- between the parts --------------------------------------------------------------------------------------------
 */

/* Once, before the target prepares itself. */
void fuzz_start_allocator(void);

/* What a person may ask of a target, whatever the engine. */
void fuzz_print_flags(FILE *out);
bool fuzz_asks_for_help(const char *argument);

int fuzz_print(const char *path);
int fuzz_emit_c(const char *path);
void fuzz_print_dictionary(void);

/* A new input of `ops` operations, drawn by the weights of the table. */
size_t fuzz_generate(uint8_t *output, size_t most, unsigned ops, uint64_t seed);

/* A word put somewhere into the text. */
size_t fuzz_insert_word(uint8_t *data, size_t bytes, size_t most, uint64_t seed);

/* What engines call. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_bytes, const uint8_t *second, size_t second_bytes,
                                 uint8_t *output, size_t most, unsigned seed);
/* What they offer. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t most);

#endif
