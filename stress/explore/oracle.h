/*
 * oracle: carries out a program's operations, and judges what the allocator answers.
 *
 *   - At birth: aligned, long enough, zeroed if by calloc, and apart from every block that is live. From the return of
 *     malloc to the call of free a block is its program's alone.
 *
 *   - In life: the content is what was written, by accesses that take part in the search for races.
 *
 *   - No memory: NULL is right where a call of the operating system was made to fail, and nowhere else.
 *
 *   - At the end: the walk finds exactly the live blocks; all invariants hold at rest; so they do when what lives is
 *     freed and the threads have ended.
 *
 * That is linearizability with respect to the simplest model of a heap, a set of disjoint live blocks. Which of several
 * free pieces a request gets is left open while threads run at once (freelist.h says what a search sees).
 */
#ifndef EXPLORE_ORACLE_H
#define EXPLORE_ORACLE_H

#include "program.h"

/* Whether all invariants are looked at wherever nobody holds a lock, and not only at the end. */
void oracle_check_each_point(bool each);
bool oracle_checks_each_point(void);

/* Makes the world of the program's first execution: options, set-up, checkpoint. False where that failed already;
 * execution.failure then says how. */
bool oracle_begin(const struct program *program);

/* Where the payload of a slot was when the threads began; NULL: it was not live. */
const void *oracle_payload_at_start(unsigned slot);

/* A rehearsal (engine.h). */
void oracle_rehearse(void);

/* One execution; the outcome is in `execution`. */
void oracle_run(void);

/* The same without the checks at its end. */
void oracle_run_threads(void);

#endif
