/* Floor program: the smallest static program that binds, listens, accepts and answers. The time of
 * its start is due to the kernel and the bench, not to a function. It does not parse HTTP or JSON:
 * it reads to the end of the head and of the body, and sends the reply that the function would give
 * to the event of benches/start. It listens on PORT, or on 9000, and closes at end of file. Limits:
 * 8 KiB per request, and Content-Length in the spelling of the benches (RFC 9112, sections 2 and
 * 6). */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char REPLY[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                            "content-length: 53\r\n\r\n"
                            "{\"message\":\"oneminute fired at 2019-08-17T05:26:00Z\"}";
static char buffer[8192 + 1];

/* Reads one request; returns 0 if the peer has closed, or has sent more than the buffer's size. */
static int request(int peer) {
    size_t held = 0;
    for (;;) {
        ssize_t n = read(peer, buffer + held, sizeof buffer - 1 - held);
        if (n <= 0) return 0;
        held += (size_t)n;
        buffer[held] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        char *length = strstr(buffer, "Content-Length: ");
        size_t body = length && length < end ? strtoul(length + 16, 0, 10) : 0;
        if (held >= (size_t)(end + 4 - buffer) + body) return 1;
    }
}

int main(void) {
    const char *port = getenv("PORT");
    int one = 1, peer, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port ? (unsigned short)atoi(port) : 9000),
    };
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 128)) return 1;
    while ((peer = accept(server, 0, 0)) >= 0) {
        while (request(peer) &&
               write(peer, REPLY, sizeof REPLY - 1) == (ssize_t)sizeof REPLY - 1) {}
        close(peer);
    }
    return 1;
}
