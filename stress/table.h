/*
 * table: what the program says of a suite: a line when a row ends, and at the end the table, the
 * checkpoints of long runs, what failed with the command that reproduces it, what was skipped and why, and a summary.
 */
#ifndef STRESS_TABLE_H
#define STRESS_TABLE_H

#include <stdbool.h>

#include "suite.h"

/* Where all of it goes: standard output, or standard error where a report goes to standard output. */
int stress_table_file(const struct stress_suite *suite);

/* That is a terminal, where one line may be written again and again. */
bool stress_table_is_live(const struct stress_suite *suite);

void stress_table_header(const struct stress_suite *suite);
void stress_table_end_row(const struct stress_suite *suite, unsigned index);
void stress_table_print(const struct stress_suite *suite);

#endif
