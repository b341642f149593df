#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char *volatile row = malloc(64);
    puts("last word");
    fflush(stdout);
    free(row);
    free(row);
    return 0;
}
