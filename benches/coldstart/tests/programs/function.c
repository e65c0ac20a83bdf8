/* Small server with one fault, which is chosen at compile time; the bench must report it.
 *   GOOD       answers {"ok":true}
 *   LOOPBACK   listens on 127.0.0.1 only, which a platform cannot reach
 *   DEAF       never listens
 *   EXITS      prints a line and exits with code 3
 *   WRONG      answers 500
 *   WEB        answers GET only, and 405 to other methods
 *   ELSEWHERE  listens on port 8081
 *   FICKLE     answers the time, differently each time
 *   MUTE       listens and never answers
 *   ABORTS     listens, and aborts on the first request
 *   HUNGRY     touches 256 MiB before it listens
 *   BUSY       computes for 200 ms of processor time before it listens
 *   LOOKS      answers with facts about its sandbox
 *   CALLS=N    answers with the first bytes from 127.0.0.1:N, or the error of the call */
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#ifdef LOOKS
static const char *look(void) {
    static char text[512];
    char host[64] = "";
    int root = open("/written", O_CREAT | O_WRONLY, 0600);
    int tmp = open("/tmp/written", O_CREAT | O_WRONLY, 0600);
    gethostname(host, sizeof host);
    snprintf(text, sizeof text,
             "{\"pid\":%d,\"uid\":%d,\"gid\":%d,\"host\":\"%s\","
             "\"root_writable\":%s,\"tmp_writable\":%s,"
             "\"exec_ns\":%s,\"greeting\":\"%s\",\"sees_host\":%s,\"sees_removed\":%s}",
             getpid(), getuid(), getgid(), host,
             root >= 0 ? "true" : "false", tmp >= 0 ? "true" : "false",
             getenv("FIRSTBYTE_EXEC_NS") ? getenv("FIRSTBYTE_EXEC_NS") : "0",
             getenv("GREETING") ? getenv("GREETING") : "",
             access("/etc/os-release", F_OK) ? "false" : "true",
             access("/removed", F_OK) ? "false" : "true");
    return text;
}
#endif

#ifdef CALLS
static const char *call(void) {
    static char text[512];
    struct sockaddr_in other = {.sin_family = AF_INET, .sin_port = htons(CALLS)};
    int out = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n = -1;
    other.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!connect(out, (struct sockaddr *)&other, sizeof other))
        n = read(out, text, sizeof text - 1);
    if (n < 0) n = snprintf(text, sizeof text, "%s", strerror(errno));
    text[n] = 0;
    close(out);
    return text;
}
#endif

int main(void) {
    static char buffer[65536];
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0), peer;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9000)};
#ifdef EXITS
    puts("cannot find the answer");
    return 3;
#endif
#ifdef HUNGRY
    for (int i = 0; i < 256; i++) {
        char *piece = malloc(1 << 20);
        if (piece) memset(piece, i + 1, 1 << 20);
    }
#endif
#ifdef BUSY
    while (clock() < CLOCKS_PER_SEC / 5) {
    }
#endif
#ifdef DEAF
    fputs("warming up\n", stderr);
    for (;;) pause();
#endif
#ifdef LOOPBACK
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
#endif
#ifdef ELSEWHERE
    address.sin_port = htons(8081);
#endif
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 128)) return 1;
    while ((peer = accept(server, 0, 0)) >= 0) {
        while (read(peer, buffer, sizeof buffer) > 0) {
            const char *status = "200 OK", *body = "{\"ok\":true}";
#ifdef ABORTS
            fputs("no such event\n", stderr);
            abort();
#endif
#ifdef MUTE
            continue;
#endif
#ifdef WRONG
            status = "500 Internal Server Error", body = "{\"errorMessage\":\"no answer\"}";
#endif
#ifdef WEB
            if (strncmp(buffer, "GET ", 4)) status = "405 Method Not Allowed";
#endif
#ifdef FICKLE
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            static char text[64];
            snprintf(text, sizeof text, "%ld.%09ld", (long)now.tv_sec, now.tv_nsec);
            body = text;
#endif
#ifdef LOOKS
            body = look();
#endif
#ifdef CALLS
            body = call();
#endif
            dprintf(peer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body),
                    body);
        }
        close(peer);
    }
    return 1;
}
