/*
 * report: what the allocator says when a program misuses it.
 *
 * One line on standard error, always of the form
 *
 *     heapster: <what>: <address> (<found>, expected <expected>)
 *
 * and then abort(), or back to the caller where the option abort=off stands. The line is built on the stack and
 * written by one write(2): no allocation, no stdio, no lock. hs_report_misuse is called with no lock held, so that a
 * handler for SIGABRT meets a heap that works.
 */
#ifndef HS_REPORT_H
#define HS_REPORT_H

#include <stddef.h>

#include "text.h"

/* Where it is not NULL a misuse is handed to it instead of being printed; tests and fuzzers return or jump from it.
 * Set it only while no other thread is in the allocator. */
extern void (*hs_report_handler)(const char *line);

/* Prints the line, and aborts unless abort=off. */
void hs_report_misuse(const char *what, const void *address, const char *found, const char *expected);

/* Prints "heapster: <what>: <item> (ignored, expected <expected>)". */
void hs_report_option(const char *what, const char *item, size_t length, const char *expected);

#endif
