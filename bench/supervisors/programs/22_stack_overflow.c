#include <stdio.h>

static int depth(volatile int n) {
    volatile char frame[4096];
    frame[n % 4096] = (char)n;
    return depth(n + 1) + frame[0];
}

int main(void) {
    puts("last word");
    fflush(stdout);
    return depth(0);
}
