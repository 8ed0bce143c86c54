/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A fast HTTPS server that stands for /folder of an ESXi host. It serves one file, whatever the path,
 * with ranges, over persistent connections, in a thread for each.
 *
 *   https_server PORT CERTIFICATE.pem KEY.pem FILE READY
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *content;
static long long size;
static SSL_CTX *context;

/* Sends all of it; returns 0 if that fails. */
static int send_all(SSL *ssl, const char *data, long long length) {
  while (length > 0) {
    int piece = length > (1 << 20) ? 1 << 20 : (int)length;
    int sent = SSL_write(ssl, data, piece);
    if (sent <= 0) return 0;
    data += sent;
    length -= sent;
  }
  return 1;
}

static int answer(SSL *ssl, const char *request) {
  long long first = 0, last = size - 1;
  const char *range = strcasestr(request, "\r\nrange: bytes=");
  int is_head = strncmp(request, "HEAD ", 5) == 0;
  char head[512];
  if (range != NULL && sscanf(range + 15, "%lld-%lld", &first, &last) != 2) return 0;
  if (last >= size) last = size - 1; /* RFC 9110: clipped to the size; the curl plugin requests a byte too many */
  if (first > last) return 0;
  int length = snprintf(head, sizeof head,
                        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\n"
                        "Accept-Ranges: bytes\r\nContent-Length: %lld\r\n",
                        range != NULL ? "206 Partial Content" : "200 OK", last - first + 1);
  if (range != NULL) {
    length += snprintf(head + length, sizeof head - length, "Content-Range: bytes %lld-%lld/%lld\r\n",
                       first, last, size);
  }
  length += snprintf(head + length, sizeof head - length, "\r\n");
  return send_all(ssl, head, length) && (is_head || send_all(ssl, content + first, last - first + 1));
}

static void *serve(void *argument) {
  int fd = (int)(long)argument, on = 1;
  char request[16384];
  size_t have = 0;
  SSL *ssl = SSL_new(context);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SSL_set_fd(ssl, fd);
  if (SSL_accept(ssl) == 1) {
    for (;;) {
      int got = SSL_read(ssl, request + have, (int)(sizeof request - 1 - have));
      if (got <= 0) break;
      have += (size_t)got;
      request[have] = '\0';
      if (strstr(request, "\r\n\r\n") == NULL) continue;
      if (!answer(ssl, request)) break;
      have = 0; /* clients send the next request after the answer */
    }
    SSL_shutdown(ssl);
  }
  SSL_free(ssl);
  close(fd);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 6) errx(2, "usage: %s PORT CERTIFICATE KEY FILE READY", argv[0]);
  signal(SIGPIPE, SIG_IGN);
  int file = open(argv[4], O_RDONLY), on = 1;
  struct stat status;
  if (file < 0 || fstat(file, &status) < 0) err(1, "%s", argv[4]);
  size = status.st_size;
  content = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file, 0);
  if (content == MAP_FAILED) err(1, "mmap");
  context = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
    errx(1, "the certificate cannot be used");
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 64) < 0) {
    err(1, "port %s", argv[1]);
  }
  close(open(argv[5], O_CREAT | O_WRONLY, 0600));
  for (;;) {
    int fd = accept(listening, NULL, NULL);
    pthread_t thread;
    if (fd < 0) continue;
    if (pthread_create(&thread, NULL, serve, (void *)(long)fd) == 0) pthread_detach(thread);
  }
}
