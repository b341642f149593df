/* No memory under an own limit, handled as C programs do: a word on standard error, exit 1. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

int main(void) {
    struct rlimit most = {100 << 20, 100 << 20};
    setrlimit(RLIMIT_AS, &most);
    puts("last word");
    fflush(stdout);
    void *rows = malloc(1 << 30);
    if (rows == NULL) {
        perror("malloc");
        return 1;
    }
    return 0;
}
