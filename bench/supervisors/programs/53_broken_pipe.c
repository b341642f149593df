#include <stdio.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    puts("last word");
    fflush(stdout);
    close(ends[0]);
    return (int)write(ends[1], "row\n", 4);
}
