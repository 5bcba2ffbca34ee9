/*
 * misuse: running a misuse in a child and holding what it prints against the fixed form of the line.
 */
#ifndef TEST_MISUSE_H
#define TEST_MISUSE_H

#include "support.h"

/* Runs `body` twice. As options stand: it must die of SIGABRT after exactly one line, "heapster: <what>: ...". With
 * abort=off: it prints that line, goes on, and can allocate and free a thousand blocks afterwards. */
void expect_misuse(const char *what, child_body *body, void *context);

/* The same where nothing may be mapped before the pointer: threads that have caches read a tag before they look up
 * whose it is, and may die of that, without a line. */
void expect_misuse_or_fault(const char *what, child_body *body, void *context);

/* The same where going on may find the same damage again: one line or more with abort=off. */
void expect_damage(const char *what, child_body *body, void *context);

#endif
