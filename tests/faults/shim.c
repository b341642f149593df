/* For the fault tests: system calls that fail, fall short or kill on order. Loaded by LD_PRELOAD into a victim or an agent.
 *
 *   FAULT_SHIM   rules, separated by commas:  call[/part of the path]:which:action
 *                call    open write pread fdatasync fsync dup2 fcntl ftruncate unlink rename (by its old name)
 *                which   3 (the third one), 3+ (from the third on), 3-9
 *                action  kill_before  kill_half (write half, then die)  kill_after  short (write half and say so)  E<errno>
 *   FAULT_PATHS  only calls on files whose path contains this
 *   FAULT_COUNTS a file that gets one line per matching call: call, file name, size asked for, result
 *   FAULT_CLOCK  a file of 8 bytes, seconds that are added to CLOCK_REALTIME
 *
 * Calls are counted per rule and process; a forked child goes on with its parent's count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum action { NOTHING, KILL_BEFORE, KILL_HALF, KILL_AFTER, SHORT, FAIL };
struct rule { char call[12], part[64]; long from, to; enum action action; int error; long seen; };

static struct rule rules[16];
static int rule_count, counts = -1;
static char paths[256];
static const volatile int64_t *clock_offset;

static int wanted_path(const char *path) { return !paths[0] || strstr(path, paths); }

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("FAULT_SHIM"), *file;
  if ((file = getenv("FAULT_PATHS"))) snprintf(paths, sizeof paths, "%s", file);
  if ((file = getenv("FAULT_COUNTS")) && *file) counts = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if ((file = getenv("FAULT_CLOCK")) && *file) {
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) clock_offset = page;
    if (fd >= 0) syscall(SYS_close, fd);
  }
  char copy[1024], *rest = copy, *item;
  snprintf(copy, sizeof copy, "%s", text ? text : "");
  while ((item = strsep(&rest, ",")) && rule_count < 16) {
    struct rule *r = &rules[rule_count];
    char *which = strchr(item, ':'), *act = which ? strchr(which + 1, ':') : NULL, *slash;
    if (!act) continue;
    *which++ = 0, *act++ = 0;
    if ((slash = strchr(item, '/'))) *slash = 0, snprintf(r->part, sizeof r->part, "%s", slash + 1);
    snprintf(r->call, sizeof r->call, "%s", item);
    char *end;
    r->from = r->to = strtol(which, &end, 10);
    if (*end == '+') r->to = 1L << 60;
    if (*end == '-') r->to = strtol(end + 1, NULL, 10);
    if (!strcmp(act, "kill_before")) r->action = KILL_BEFORE;
    else if (!strcmp(act, "kill_half")) r->action = KILL_HALF;
    else if (!strcmp(act, "kill_after")) r->action = KILL_AFTER;
    else if (!strcmp(act, "short")) r->action = SHORT;
    else if (*act == 'E') r->action = FAIL, r->error = atoi(act + 1);
    else { fprintf(stderr, "shim: what is %s?\n", act); _exit(99); }
    rule_count++;
  }
}

static void die(void) { for (;;) syscall(SYS_kill, getpid(), SIGKILL); }

static const struct rule *ask(const char *call, const char *path) {
  const struct rule *found = NULL;
  for (int i = 0; i < rule_count; i++) {
    struct rule *r = &rules[i];
    if (strcmp(r->call, call) || (r->part[0] && !strstr(path, r->part))) continue;
    long nth = __atomic_add_fetch(&r->seen, 1, __ATOMIC_SEQ_CST);
    if (nth >= r->from && nth <= r->to && !found) found = r;
  }
  if (found && found->action == KILL_BEFORE) die();
  return found;
}

static int path_of(int fd, char *path, size_t size) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
  path[length < 0 ? 0 : length] = 0;
  return length > 0 && wanted_path(path);
}

static long told(const char *call, const char *path, size_t size, long result) {
  if (counts >= 0) {
    char line[400];
    int saved = errno;
    const char *name = strrchr(path, '/');
    int length = snprintf(line, sizeof line, "%s %s %zu %ld\n", call, name ? name + 1 : path, size, result);
    syscall(SYS_write, counts, line, length);
    errno = saved;
  }
  return result;
}

/* A call on a descriptor: REAL is made unless a rule says otherwise. */
#define ON_FD(call, fd, size, REAL)                                            \
  char path[512];                                                              \
  int saved = errno;                                                           \
  if ((!rule_count && counts < 0) || !path_of(fd, path, sizeof path)) { errno = saved; return REAL; } \
  const struct rule *r = ask(call, path);                                      \
  errno = saved;                                                               \
  if (r && r->action == FAIL) { errno = r->error; return told(call, path, size, -1); } \
  long result = REAL;                                                          \
  told(call, path, size, result);                                              \
  if (r && r->action == KILL_AFTER) die();                                     \
  return result;

ssize_t write(int fd, const void *data, size_t size) {
  char path[512];
  int saved = errno;
  if ((!rule_count && counts < 0) || !path_of(fd, path, sizeof path)) { errno = saved; return syscall(SYS_write, fd, data, size); }
  const struct rule *r = ask("write", path);
  errno = saved;
  if (r && r->action == FAIL) { errno = r->error; return told("write", path, size, -1); }
  int half = r && (r->action == KILL_HALF || r->action == SHORT);
  long result = syscall(SYS_write, fd, data, half ? size / 2 : size);
  told("write", path, size, result);
  if (r && (r->action == KILL_AFTER || r->action == KILL_HALF)) die();
  return result;
}

ssize_t pread(int fd, void *data, size_t size, off_t at) { ON_FD("pread", fd, size, syscall(SYS_pread64, fd, data, size, at)) }
ssize_t pread64(int fd, void *data, size_t size, off_t at) { ON_FD("pread", fd, size, syscall(SYS_pread64, fd, data, size, at)) }
int fdatasync(int fd) { ON_FD("fdatasync", fd, 0, syscall(SYS_fdatasync, fd)) }
int fsync(int fd) { ON_FD("fsync", fd, 0, syscall(SYS_fsync, fd)) }
int ftruncate(int fd, off_t size) { ON_FD("ftruncate", fd, size, syscall(SYS_ftruncate, fd, size)) }
int ftruncate64(int fd, off_t size) { ON_FD("ftruncate", fd, size, syscall(SYS_ftruncate, fd, size)) }
int dup2(int fd, int target) { ON_FD("dup2", fd, 0, fd == target ? target : syscall(SYS_dup3, fd, target, 0)) }
int dup3(int fd, int target, int flags) { ON_FD("dup2", fd, 0, syscall(SYS_dup3, fd, target, flags)) }

static int real_fcntl(int fd, int command, long argument) { ON_FD("fcntl", fd, command, syscall(SYS_fcntl, fd, command, argument)) }
int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  long argument = va_arg(list, long);
  va_end(list);
  return real_fcntl(fd, command, argument);
}
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

static int real_open(int folder, const char *path, int flags, int mode) {
  int interesting = (rule_count || counts >= 0) && wanted_path(path);
  const struct rule *r = interesting ? ask("open", path) : NULL;
  if (r && r->action == FAIL) { errno = r->error; return told("open", path, 0, -1); }
  int fd = syscall(SYS_openat, folder, path, flags, mode);
  if (interesting) told("open", path, 0, fd);
  if (r && r->action == KILL_AFTER) die();
  return fd;
}
#define OPEN(name, FOLDER, ...)                                                \
  int name(__VA_ARGS__, int flags, ...) {                                      \
    int mode = 0;                                                              \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, int); va_end(list); } \
    return real_open(FOLDER, path, flags, mode);                               \
  }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, folder, int folder, const char *path)
OPEN(openat64, folder, int folder, const char *path)

int unlink(const char *path) {
  int interesting = (rule_count || counts >= 0) && wanted_path(path);
  const struct rule *r = interesting ? ask("unlink", path) : NULL;
  if (r && r->action == FAIL) { errno = r->error; return told("unlink", path, 0, -1); }
  int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (interesting) told("unlink", path, 0, result);
  if (r && r->action == KILL_AFTER) die();
  return result;
}

int rename(const char *path, const char *name) {
  int interesting = (rule_count || counts >= 0) && wanted_path(path);
  const struct rule *r = interesting ? ask("rename", path) : NULL;
  if (r && r->action == FAIL) { errno = r->error; return told("rename", path, 0, -1); }
  int result = syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, name, 0);
  if (interesting) told("rename", path, 0, result);
  if (r && r->action == KILL_AFTER) die();
  return result;
}

int clock_gettime(clockid_t which, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, which, now);
  if (!result && clock_offset && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += *clock_offset;
  return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  int result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
  return result;
}
time_t time(time_t *to) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (to) *to = exact.tv_sec;
  return exact.tv_sec;
}
