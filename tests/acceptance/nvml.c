/* A stand-in for NVIDIA's library of management, libnvidia-ml.so.1: what GPUs there are and who uses them stands in the file that NVML_STANDIN names.
 *
 *     init CODE                  nvmlInit answers CODE
 *     hang init | hang look      that call never returns
 *     device CODE                one more device; CODE other than 0 is what it answers to everything
 *     use DEVICE PID BYTES       process PID computes there; BYTES -1: the driver does not say
 *     draw DEVICE PID BYTES      it draws there
 *     busy DEVICE PID PERCENT    a sample of its utilisation, of this moment
 *
 * Devices and processes are looked at anew in each call. Each nvmlInit writes a line "PID" to the file with ".log" behind its name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { MOST = 64 };

typedef struct { unsigned pid; unsigned long long bytes; unsigned instance, compute; } process_t;
typedef struct { unsigned pid; unsigned long long at; unsigned sm, mem, enc, dec; } sample_t;
typedef struct { char word[16]; long long a, b, c; } line_t;

static line_t lines[MOST];
static int count;

static void look(void) {
    const char *path = getenv("NVML_STANDIN");
    FILE *file = path ? fopen(path, "r") : NULL;
    char text[256];
    count = 0;
    while (file && count < MOST && fgets(text, sizeof text, file)) {
        line_t *line = &lines[count];
        memset(line, 0, sizeof *line);
        if (!strncmp(text, "hang init", 9)) strcpy(line->word, "hang-init");
        else if (!strncmp(text, "hang look", 9)) strcpy(line->word, "hang-look");
        else if (sscanf(text, "%15s %lld %lld %lld", line->word, &line->a, &line->b, &line->c) < 1) continue;
        count++;
    }
    if (file) fclose(file);
}

static const line_t *find(const char *word) {
    for (int i = 0; i < count; i++) if (!strcmp(lines[i].word, word)) return &lines[i];
    return NULL;
}

static void hang(const char *word) {
    while (find(word)) sleep(1000);
}

static int device_code(long number) {
    for (int i = 0, seen = 0; i < count; i++)
        if (!strcmp(lines[i].word, "device") && ++seen == number) return (int)lines[i].a;
    return UNKNOWN;
}

int nvmlInitWithFlags(unsigned flags) {
    char path[4096];
    const char *name = getenv("NVML_STANDIN");
    (void)flags;
    look();
    snprintf(path, sizeof path, "%s.log", name ? name : "/dev/null");
    FILE *log = fopen(path, "a");
    if (log) { fprintf(log, "%d\n", (int)getpid()); fclose(log); }
    hang("hang-init");
    const line_t *init = find("init");
    return init ? (int)init->a : SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "as the stand-in was told"; }

int nvmlDeviceGetCount_v2(unsigned *found) {
    look();
    hang("hang-look");
    *found = 0;
    for (int i = 0; i < count; i++) *found += !strcmp(lines[i].word, "device");
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(long)(index + 1);
    return SUCCESS;
}

static int list(const char *word, void *device, unsigned *size, process_t *into) {
    unsigned found = 0, room = *size;
    look();
    if (device_code((long)device)) return device_code((long)device);
    for (int i = 0; i < count; i++)
        if (!strcmp(lines[i].word, word) && lines[i].a + 1 == (long)device) {
            if (into && found < room) into[found] = (process_t){(unsigned)lines[i].b, (unsigned long long)lines[i].c, ~0u, ~0u};
            found++;
        }
    *size = found;
    return found > (into ? room : 0) ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *size, process_t *into) { return list("use", device, size, into); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *size, process_t *into) { return list("draw", device, size, into); }

int nvmlDeviceGetProcessUtilization(void *device, sample_t *into, unsigned *size, unsigned long long since) {
    unsigned found = 0, room = *size;
    struct timeval now;
    gettimeofday(&now, NULL);
    (void)since;
    look();
    for (int i = 0; i < count; i++)
        if (!strcmp(lines[i].word, "busy") && lines[i].a + 1 == (long)device) {
            if (lines[i].c < 0) return NOT_SUPPORTED;
            if (into && found < room)
                into[found] = (sample_t){(unsigned)lines[i].b, now.tv_sec * 1000000ull + now.tv_usec, (unsigned)lines[i].c, 0, 0, 0};
            found++;
        }
    *size = found;
    if (!found) return NOT_FOUND;
    return found > (into ? room : 0) ? INSUFFICIENT_SIZE : SUCCESS;
}
