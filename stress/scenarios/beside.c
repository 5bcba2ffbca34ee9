#include "beside.h"

#include <string.h>
#include <unistd.h>

bool stress_beside(const char *name, char path[STRESS_PATH_BYTES])
{
    ssize_t length = readlink("/proc/self/exe", path, STRESS_PATH_BYTES - 1);
    size_t folder_bytes;

    if (length <= 0)
        return false;
    while (length > 0 && path[length - 1] != '/')
        length--;
    folder_bytes = (size_t)length;
    if (folder_bytes + strlen(name) >= STRESS_PATH_BYTES)
        return false;
    memcpy(path + folder_bytes, name, strlen(name) + 1);
    return access(path, R_OK) == 0;
}
