#include <stdio.h>

int main(void) {
    int *volatile row = NULL;
    puts("last word");
    fflush(stdout);
    return *row;
}
