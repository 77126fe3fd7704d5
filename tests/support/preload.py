"""C libraries between the program and the system that simulate a faulty disk or file system."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

POWER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whatever is synced of the folder $DISK is copied to the folder $PLATTER as it is then: what a power cut leaves. */

static int on_disk(const char *path, char *copy) {
    const char *disk = getenv("DISK"), *platter = getenv("PLATTER");
    size_t length = disk ? strlen(disk) : 0;
    if (!length || strncmp(path, disk, length) || path[length] != '/') return 0;
    return snprintf(copy, PATH_MAX, "%s%s", platter, path + length) < PATH_MAX;
}

static void keep(int descriptor) {
    char link[64], path[PATH_MAX] = {0}, copy[PATH_MAX], fresh[PATH_MAX + 8];
    static __thread char bytes[65536];
    struct stat status;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, path, sizeof path - 1) < 0 || !on_disk(path, copy)) return;
    if (fstat(descriptor, &status) || !S_ISREG(status.st_mode)) return;
    snprintf(fresh, sizeof fresh, "%s.fresh", copy);
    int from = open(path, O_RDONLY), to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (ssize_t got; (got = read(from, bytes, sizeof bytes)) > 0;)
        if (write(to, bytes, got) != got) abort();
    close(from);
    close(to);
    rename(fresh, copy);
}

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync"), result = real(descriptor);
    if (!result) keep(descriptor);
    return result;
}

int fdatasync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync"), result = real(descriptor);
    if (!result) keep(descriptor);
    return result;
}

int unlink(const char *path) {
    char copy[PATH_MAX];
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink"), result = real(path);
    if (!result && on_disk(path, copy)) real(copy);
    return result;
}
"""

NO_SHARED_MEMORY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file system such as 9p: no file whose name ends with -shm can be mapped to be shared. */

static int refused(int flags, int descriptor) {
    char link[64], path[PATH_MAX] = {0};
    if (!(flags & MAP_SHARED) || descriptor < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 4 && !strcmp(path + length - 4, "-shm");
}

void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (refused(flags, descriptor)) { errno = ENODEV; return MAP_FAILED; }
    void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
    return real(at, size, protection, flags, descriptor, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off64_t offset) {
    if (refused(flags, descriptor)) { errno = ENODEV; return MAP_FAILED; }
    void *(*real)(void *, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");
    return real(at, size, protection, flags, descriptor, offset);
}
"""

FAILING_CALL = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* $CALL on a file whose name ends with $ENDS fails with $ERROR, while the file $WHILE is there (or always), or only
   the one with the number $ONLY. */

static int fails(const char *call, int descriptor) {
    char link[64], path[PATH_MAX] = {0};
    const char *ends = getenv("ENDS"), *only = getenv("WHILE");
    if (!getenv("CALL") || strcmp(getenv("CALL"), call) || (only && access(only, F_OK))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)strlen(ends) || strcmp(path + length - strlen(ends), ends)) return 0;
    static int number;
    if (getenv("ONLY") && ++number != atoi(getenv("ONLY"))) return 0;
    errno = atoi(getenv("ERROR"));
    return 1;
}

int flock(int descriptor, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return fails("flock", descriptor) ? -1 : real(descriptor, operation);
}

ssize_t pread64(int descriptor, void *to, size_t size, off64_t at) {
    ssize_t (*real)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
    return fails("pread", descriptor) ? -1 : real(descriptor, to, size, at);
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    static int number;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    const char *ends = getenv("ENDS");
    size_t length = strlen(path);
    if (getenv("CALL") && !strcmp(getenv("CALL"), "open") && length >= strlen(ends)
        && !strcmp(path + length - strlen(ends), ends) && ++number == atoi(getenv("ONLY"))) {
        errno = atoi(getenv("ERROR"));
        return -1;
    }
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int result = opened("open", path, flags, va_arg(more, mode_t));
    va_end(more);
    return result;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int result = opened("open64", path, flags, va_arg(more, mode_t));
    va_end(more);
    return result;
}

ssize_t pwrite64(int descriptor, const void *from, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return fails("pwrite", descriptor) ? -1 : real(descriptor, from, size, at);
}

static int control(const char *name, int descriptor, int command, va_list more) {
    int (*real)(int, int, void *) = dlsym(RTLD_NEXT, name);
    int locks = command == F_GETLK || command == F_SETLK || command == F_SETLKW;
    return locks && fails("fcntl", descriptor) ? -1 : real(descriptor, command, va_arg(more, void *));
}

int fcntl64(int descriptor, int command, ...) {
    va_list more;
    va_start(more, command);
    int result = control("fcntl64", descriptor, command, more);
    va_end(more);
    return result;
}

int fcntl(int descriptor, int command, ...) {
    va_list more;
    va_start(more, command);
    int result = control("fcntl", descriptor, command, more);
    va_end(more);
    return result;
}
"""


@cache
def library(source: str) -> str:
    """Build one, once for each worker, and return its path for ``LD_PRELOAD``; skip without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = Path(tempfile.mkdtemp(prefix="preload-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "preload.c").write_text(source)
    built = folder / "preload.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", built, folder / "preload.c", "-ldl"], check=True)
    return str(built)
