/* Clients that take little of the machine's cores: many connections of one process, for `batches.py`.
 *
 *     load SOCKET CONNECTIONS SECONDS < COMMANDS
 *
 * Each connection sends its command, waits for OK, and sends it again, until the time is over. The commands come one behind the
 * other, all of one length. Writes the number of answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, LONGEST = 4096 };

static void check(int fine, const char *what) {
    if (fine) return;
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    check(strlen(path) < sizeof address.sun_path, "path");
    strcpy(address.sun_path, path);
    const int end = socket(AF_UNIX, SOCK_STREAM, 0);
    check(end >= 0 && connect(end, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return end;
}

int main(int argc, char **argv) {
    static char commands[MOST * LONGEST];
    const int count = argc == 4 ? atoi(argv[2]) : 0;
    check(count > 0 && count <= MOST, "arguments");
    const double end = now() + atof(argv[3]);
    const size_t len = fread(commands, 1, sizeof commands, stdin) / (size_t)count;
    const int events = epoll_create1(0);
    int ends[MOST];
    for (int i = 0; i < count; i++) {
        ends[i] = connect_to(argv[1]);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        check(epoll_ctl(events, EPOLL_CTL_ADD, ends[i], &event) == 0, "epoll_ctl");
        check(write(ends[i], commands + (size_t)i * len, len) == (ssize_t)len, "write");
    }
    long answers = 0;
    while (now() < end) {
        struct epoll_event ready[MOST];
        const int found = epoll_wait(events, ready, MOST, 10000);
        check(found > 0, "epoll_wait");
        for (int i = 0; i < found; i++) {
            const uint32_t which = ready[i].data.u32;
            char reply[256];
            const ssize_t got = read(ends[which], reply, sizeof reply);
            check(got == 5 && memcmp(reply, "+OK\r\n", 5) == 0, "reply");
            answers++;
            check(write(ends[which], commands + which * len, len) == (ssize_t)len, "write");
        }
    }
    printf("%ld\n", answers);
    return 0;
}
