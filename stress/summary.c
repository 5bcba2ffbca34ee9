#include "suite.h"

struct stress_summary stress_suite_summary(const struct stress_suite *suite)
{
    struct stress_summary summary = {0, 0, 0};

    for (unsigned i = 0; i < suite->row_count; i++) {
        enum kit_verdict verdict = suite->rows[i].result.verdict;

        summary.passed += verdict == KIT_PASSED;
        summary.skipped += verdict == KIT_SKIPPED;
        summary.failed += verdict == KIT_FAILED || verdict == KIT_NOT_RUN;
    }
    return summary;
}
