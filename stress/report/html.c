#include "report.h"

#include "output.h"
#include "page.h"

bool stress_report_html(const struct stress_suite *suite, const char *path)
{
    FILE *file = stress_output_open(path);

    if (file == NULL)
        return false;
    (void)fwrite(stress_page_head, 1, stress_page_head_bytes, file);
    stress_json_write(file, suite);
    (void)fwrite(stress_page_tail, 1, stress_page_tail_bytes, file);
    return stress_output_close(file);
}
