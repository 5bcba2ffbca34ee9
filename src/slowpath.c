#include "slowpath.h"

#include "check.h"
#include "report.h"

void hs_end_slow_path_with_work(void)
{
    const void *damage = hs_thread()->damage;

    if (damage != NULL) {
        hs_thread()->damage = NULL;
        hs_report_misuse("overwritten tag", damage, "links or a tag that do not verify",
                         "free memory as it was left by free");
    }
    hs_check_sometimes();
}
