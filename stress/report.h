/*
 * report: what came of a suite, for machines and for people. Written by the parent process once every row has ended;
 * stdio is used here and nowhere else.
 *
 *     JSON    all there is, one object: docs/stress.md names every field
 *     JUnit   a testcase for each row, for CI servers
 *     HTML    one self-contained page, drawn by its own script from the same JSON
 *
 * Each returns false, with errno set, where the file cannot be written whole. "-" is standard output.
 */
#ifndef STRESS_REPORT_H
#define STRESS_REPORT_H

#include <stdbool.h>

#include "suite.h"

bool stress_report_json(const struct stress_suite *suite, const char *path);
bool stress_report_junit(const struct stress_suite *suite, const char *path);
bool stress_report_html(const struct stress_suite *suite, const char *path);

#endif
