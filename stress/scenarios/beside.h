/* beside: files that are built into the same folder as the program, wherever that folder was moved to. */
#ifndef STRESS_BESIDE_H
#define STRESS_BESIDE_H

#include <stdbool.h>

enum { STRESS_PATH_BYTES = 4096 };

/* The path of the file of that name. False where there is none that can be read, or the path is too long. */
bool stress_beside(const char *name, char path[STRESS_PATH_BYTES]);

#endif
