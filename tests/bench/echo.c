/*
 * echo: the limit. Takes UDP packets in batches, flips the QR bit, sends them back: what the kernel's sockets
 * allow a server that does nothing else. Prints the port it listens on.
 *
 *     echo [BYTES]
 *
 * BYTES: the length of what is sent back, whatever came, and then never in fragments: the limit of a server
 * whose answers are so long and sent in that way.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64

static struct mmsghdr in[BATCH];
static struct iovec iov[BATCH];
static struct sockaddr_in peers[BATCH];
static uint8_t packets[BATCH][2048 + 64];

int main(int argc, char **argv)
{
	unsigned long answer_len = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t addr_len = sizeof(addr);
	int bytes = 1 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	int whole = IP_PMTUDISC_PROBE;
	if (answer_len)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &addr_len) < 0) {
		perror("echo");
		return 1;
	}
	printf("%u\n", ntohs(addr.sin_port));
	fflush(stdout);
	for (;;) {
		for (unsigned i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){ packets[i], 2048 };
			in[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
				                         .msg_iovlen = 1,
				                         .msg_name = &peers[i],
				                         .msg_namelen = sizeof(peers[i]) };
		}
		int n = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++) {
			packets[i][2] |= 0x80;
			iov[i].iov_len = answer_len && answer_len <= 2048 ? answer_len : in[i].msg_len;
		}
		for (int sent = 0; sent < n;) {
			int k = sendmmsg(fd, in + sent, (unsigned)(n - sent), 0);
			sent += k > 0 ? k : 1;
		}
	}
}
