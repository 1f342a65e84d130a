/* The server loads modules with RTLD_DEEPBIND, which AddressSanitizer refuses. Preloaded before its runtime, this
 * takes the flag away. */
#define _GNU_SOURCE
#include <dlfcn.h>

void *dlopen(const char *path, int flags) {
    void *(*next)(const char *, int);
    *(void **)&next = dlsym(RTLD_NEXT, "dlopen");
    return next(path, flags & ~RTLD_DEEPBIND);
}
