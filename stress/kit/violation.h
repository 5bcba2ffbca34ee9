/*
 * violation: what is said when the allocator, or the run, has failed, and the end of the process with status 1.
 *
 * The report names what was violated, where, by which thread in which operation, the block's history, and the one
 * command that runs the same again. It is built on the stack and written by write(2). The first violation speaks; a
 * thread that finds another one meanwhile waits for the end.
 */
#ifndef KIT_VIOLATION_H
#define KIT_VIOLATION_H

#include "run.h"

/* `what` is one or two words that tests match; `block` or `other` may be NULL. */
_Noreturn void kit_violation(const struct kit_block *block, const struct kit_block *other, const char *what,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same of a run that hangs, with the stack and the locks of every thread (watchdog.h). */
_Noreturn void kit_violation_hang(const char *detail);

/* What a thread is doing. */
void kit_text_add_thread(struct kit_text *text, const struct kit_thread *thread);

/* Crashes and aborts are violations too: they are reported with the command, and end with status 1. A handler that
 * somebody else installed (a sanitizer) stays. */
void kit_violation_catch_signals(void);

#endif
