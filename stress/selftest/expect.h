/* expect: what the self-tests of single pieces share. Each is a program of one file, so the count may be static. */
#ifndef SELFTEST_EXPECT_H
#define SELFTEST_EXPECT_H

#include <stdbool.h>
#include <stdio.h>

static int expect_failures;

static inline void expect(bool holds, const char *what)
{
    if (holds)
        return;
    expect_failures++;
    (void)printf("failed: %s\n", what);
}

/* For main to return. */
static inline int expect_status(void)
{
    return expect_failures == 0 ? 0 : 1;
}

#endif
