#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void) {
    char rows[65536], name[] = "/tmp/benchXXXXXX";
    int file = mkstemp(name);
    struct rlimit most = {4096, 4096};
    unlink(name);
    memset(rows, 'x', sizeof rows);
    puts("last word");
    fflush(stdout);
    setrlimit(RLIMIT_FSIZE, &most);
    for (int n = 0; n < 4; n++)
        if (write(file, rows, sizeof rows) < 0)
            return 1;
    return 0;
}
