#include <assert.h>
#include <stdio.h>

int main(int count, char **arguments) {
    (void)arguments;
    puts("last word");
    fflush(stdout);
    assert(count == 0);
    return 0;
}
