/*
 * emit: programs as C. What stands before them is C of its own, in reproduce/, and is embedded by the build.
 */
#ifndef FUZZ_EMIT_H
#define FUZZ_EMIT_H

#include <stdio.h>

/* What every one begins with; then what to fail calls of the OS, or to misuse a block. */
extern const char emit_calls[], emit_faults[], emit_misuse[];

/* The comment on top, whose last lines are `note`, or NULL; the options are printed by the caller behind it, and
 * closed by emit_text. */
void emit_head(FILE *out, const char *note);

/* The two bits of each of the arenas in `sources` say what it lies on, as in player.h. */
void emit_text(FILE *out, unsigned sources, size_t buffer_bytes);

#endif
