/* output: results, for people or as JSON. */
#ifndef BENCH_OUTPUT_H
#define BENCH_OUTPUT_H

#include "run.h"

void bench_output_list(bool json);
void bench_output_result(const struct bench_options *options, const struct bench_result *result);

#endif
