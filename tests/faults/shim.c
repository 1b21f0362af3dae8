/* What a program does to the files below one folder, seen and spoilt from within.
 *
 * Loaded with LD_PRELOAD. It needs no right to trace another process, so it also works in a container, and it costs
 * next to nothing, so that a whole service can run under it. It sees what goes through the C library: a program that
 * is linked statically is out of its reach, and `strace` is used once to check that nothing passes it by.
 *
 *   FAULTS_ROOT     the folder; all else is left alone
 *   FAULTS_RECORD   a file that gets every operation with its data, in order
 *   FAULTS_MARKS    a file outside of the folder whose writes are put into the record as they are
 *   FAULTS_KILL     SIGKILL instead of operation number N (the first is 1)
 *   FAULTS_CONTROL  a file whose first letter makes operations fail, from one operation to the next:
 *                   'F' the disk is full: what needs room fails with ENOSPC
 *                   'R' it is read-only: what changes anything fails with EROFS
 *                   'W' writes fail with EIO     'S' fsync fails with EIO
 *                   'A' everything fails with EIO, reading as well
 *
 * Shared memory files (-shm) are no part of the disk: SQLite makes them anew after a power cut.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, DATA, FOLDER, MARKS };
enum { FILES = 65536 };

static char root[PATH_MAX], marks[PATH_MAX], control[PATH_MAX];
static size_t root_length;
static int record = -1;
static long kill_at, operations;
static unsigned char kinds[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The calls themselves, past everything that is replaced below. */
static long raw_write(int fd, const void *data, size_t length) { return syscall(SYS_write, fd, data, length); }

/* One record: what, inode, offset, number of bytes, then the bytes (data, or a path below the folder). */
static void note(char what, uint64_t node, uint64_t offset, const void *bytes, uint64_t length)
{
    if (record < 0) {
        return;
    }
    char head[25];
    head[0] = what;
    memcpy(head + 1, &node, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &length, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    syscall(SYS_writev, record, parts, length ? 2 : 1);
}

static void copy_variable(char *to, const char *name)
{
    const char *value = getenv(name);
    if (value) {
        strncpy(to, value, PATH_MAX - 1);
    }
}

__attribute__((constructor)) static void begin(void)
{
    copy_variable(root, "FAULTS_ROOT");
    copy_variable(marks, "FAULTS_MARKS");
    copy_variable(control, "FAULTS_CONTROL");
    root_length = strlen(root);
    const char *at = getenv("FAULTS_KILL");
    struct stat facts;
    kill_at = at ? atol(at) : 0;
    const char *file = getenv("FAULTS_RECORD");
    if (file) {
        record = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (root_length && stat(root, &facts) == 0) {
        note('D', facts.st_ino, 0, NULL, 0);
    }
}

/* Inside of the folder, and no shared memory. */
static int is_ours(const char *path)
{
    size_t length = strlen(path);
    if (!root_length || strncmp(path, root, root_length) != 0 || (path[root_length] != '/' && path[root_length])) {
        return 0;
    }
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int kind_of(int fd) { return fd >= 0 && fd < FILES ? kinds[fd] : NOTHING; }

static uint64_t inode(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 ? facts.st_ino : 0;
}

static void note_path(char what, uint64_t node, const char *path)
{
    const char *rest = path + root_length;
    note(what, node, 0, rest, strlen(rest));
}

static char wish(void)
{
    char letter = 0;
    if (!control[0]) {
        return 0;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        if (syscall(SYS_read, fd, &letter, 1) != 1) {
            letter = 0;
        }
        syscall(SYS_close, fd);
    }
    return letter;
}

/* The error that the wish makes of an operation: 'w' needs room, 'c' changes without need of room, 's' fsync, 'r' read. */
static int fault(char operation)
{
    switch (wish()) {
    case 'F': return operation == 'w' ? ENOSPC : 0;
    case 'R': return operation == 'w' || operation == 'c' ? EROFS : 0;
    case 'W': return operation == 'w' ? EIO : 0;
    case 'S': return operation == 's' ? EIO : 0;
    case 'A': return EIO;
    default: return 0;
    }
}

/* Counts an operation, ends the process if it is the one, and says whether it is to fail. */
static int enter(char operation)
{
    int error = fault(operation);
    pthread_mutex_lock(&lock);
    if (++operations == kill_at) {
        syscall(SYS_kill, getpid(), SIGKILL);
    }
    if (error) {
        pthread_mutex_unlock(&lock);
        errno = error;
    }
    return error;
}

static void leave(void)
{
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
}

static int remember(int fd, const char *path, int flags, int existed)
{
    struct stat facts;
    if (fd < 0 || fd >= FILES) {
        return fd;
    }
    if (marks[0] && strcmp(path, marks) == 0) {
        kinds[fd] = MARKS;
    } else if (is_ours(path) && fstat(fd, &facts) == 0) {
        kinds[fd] = S_ISDIR(facts.st_mode) ? FOLDER : DATA;
        if (!existed) {
            note_path('C', facts.st_ino, path);
        } else if (flags & O_TRUNC) {
            note('T', facts.st_ino, 0, NULL, 0);
        }
    }
    return fd;
}

static int open_file(int folder, const char *path, int flags, mode_t mode)
{
    struct stat facts;
    int ours = is_ours(path), existed = 1, writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!ours) {
        return remember((int)syscall(SYS_openat, folder, path, flags, mode), path, flags, 1);
    }
    if (flags & O_CREAT) {
        existed = stat(path, &facts) == 0;
    }
    int changes = !existed || (flags & O_TRUNC);
    if (changes) {
        if (enter(existed ? 'c' : 'w')) {
            return -1;
        }
    } else {
        char now = wish();
        if (now == 'A' || (now == 'R' && writes)) {
            errno = now == 'A' ? EIO : EROFS;
            return -1;
        }
    }
    int fd = remember((int)syscall(SYS_openat, folder, path, flags, mode), path, flags, existed);
    if (changes) {
        leave();
    }
    return fd;
}

#define MODE(flags, mode)                    \
    mode_t mode = 0;                         \
    if ((flags) & (O_CREAT | O_TMPFILE)) {   \
        va_list rest;                        \
        va_start(rest, flags);               \
        mode = (mode_t)va_arg(rest, int);    \
        va_end(rest);                        \
    }

int open(const char *path, int flags, ...) { MODE(flags, mode) return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return open_file(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags, mode) return open_file(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags, mode) return open_file(folder, path, flags, mode); }

int close(int fd)
{
    if (fd >= 0 && fd < FILES) {
        kinds[fd] = NOTHING;
    }
    return (int)syscall(SYS_close, fd);
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset, int has_offset)
{
    if (kind_of(fd) == MARKS) {
        pthread_mutex_lock(&lock);
        note('M', 0, 0, data, length);
        leave();
    }
    if (kind_of(fd) != DATA) {
        return has_offset ? syscall(SYS_pwrite64, fd, data, length, offset) : raw_write(fd, data, length);
    }
    if (enter('w')) {
        return -1;
    }
    if (!has_offset) {
        offset = lseek(fd, 0, SEEK_CUR);
    }
    ssize_t written = syscall(SYS_pwrite64, fd, data, length, offset);
    if (written > 0) {
        note('W', inode(fd), (uint64_t)offset, data, (uint64_t)written);
        if (!has_offset) {
            lseek(fd, written, SEEK_CUR);
        }
    }
    leave();
    return written;
}

ssize_t write(int fd, const void *data, size_t length) { return write_at(fd, data, length, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset, 1); }

ssize_t read(int fd, void *data, size_t length)
{
    if (control[0] && kind_of(fd) == DATA && wish() == 'A') {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_read, fd, data, length);
}

static ssize_t read_at(int fd, void *data, size_t length, off_t offset)
{
    if (control[0] && kind_of(fd) == DATA && wish() == 'A') {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, data, length, offset);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset) { return read_at(fd, data, length, offset); }
ssize_t pread64(int fd, void *data, size_t length, off_t offset) { return read_at(fd, data, length, offset); }

static int cut(int fd, off_t length)
{
    struct stat facts;
    if (kind_of(fd) != DATA) {
        return (int)syscall(SYS_ftruncate, fd, length);
    }
    int grows = fstat(fd, &facts) == 0 && length > facts.st_size;
    if (enter(grows ? 'w' : 'c')) {
        return -1;
    }
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0) {
        note('T', inode(fd), (uint64_t)length, NULL, 0);
    }
    leave();
    return result;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

static int flush(int fd, long call)
{
    if (kind_of(fd) == NOTHING || kind_of(fd) == MARKS) {
        return (int)syscall(call, fd);
    }
    if (enter('s')) {
        return -1;
    }
    int result = (int)syscall(call, fd);
    if (result == 0) {
        note('S', inode(fd), 0, NULL, 0);
    }
    leave();
    return result;
}

int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

int mkdir(const char *path, mode_t mode)
{
    struct stat facts;
    if (!is_ours(path)) {
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    }
    if (enter('w')) {
        return -1;
    }
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && stat(path, &facts) == 0) {
        note_path('D', facts.st_ino, path);
    }
    leave();
    return result;
}

int unlink(const char *path)
{
    if (!is_ours(path)) {
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    if (enter('c')) {
        return -1;
    }
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0) {
        note_path('U', 0, path);
    }
    leave();
    return result;
}

/* Operations that the store does not use: the record would be incomplete, so they end the run. */
static void unknown(const char *name)
{
    raw_write(2, "shim: no record can be made of ", 31);
    raw_write(2, name, strlen(name));
    raw_write(2, "\n", 1);
    abort();
}

int rename(const char *from, const char *to)
{
    if (record >= 0 && (is_ours(from) || is_ours(to))) {
        unknown("rename");
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (record >= 0 && kind_of(fd) == DATA) {
        unknown("writev");
    }
    return syscall(SYS_writev, fd, parts, count);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (record >= 0 && kind_of(fd) == DATA) {
        unknown("fallocate");
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
