/* The CNI plugin `loopback`, which the runtime calls for every pod: brings `lo` up in the pod's
 * network namespace. No libc, so that its start costs next to nothing. CNI specification 0.3
 * to 1.0: command and names in the environment, configuration on stdin, answer on stdout. */

enum {
  kNewNet = 0x40000000,
  kInet = 2,
  kDatagram = 2,
  kGetFlags = 0x8913,
  kSetFlags = 0x8914,
  kUp = 1
};

#if defined(__x86_64__)
enum { kRead = 0, kWrite = 1, kOpenat = 257, kSetns = 308, kSocket = 41, kIoctl = 16, kExit = 60 };
__asm__(
    ".global _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
static long call4(long n, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
enum {
  kRead = 63,
  kWrite = 64,
  kOpenat = 56,
  kSetns = 268,
  kSocket = 198,
  kIoctl = 29,
  kExit = 93
};
__asm__(".global _start\n_start:\n mov x29, #0\n mov x0, sp\n bl start\n");
static long call4(long n, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#else
#error "loopback: processor not supported"
#endif

static char input[65536], output[2048];
static long output_size;

static void put(const char* text) {
  while (*text && output_size < (long)sizeof output) output[output_size++] = *text++;
}

static int same(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

/* The value of an environment variable, "" when it is not set. */
static const char* variable(char** environment, const char* name) {
  for (; *environment; ++environment) {
    const char *a = *environment, *b = name;
    while (*b && *a == *b) ++a, ++b;
    if (!*b && *a == '=') return a + 1;
  }
  return "";
}

/* The configuration's cniVersion, which the answer repeats. */
static const char* version(void) {
  static char found[32];
  static const char key[] = "\"cniVersion\"";
  for (long i = 0; i + (long)sizeof key < (long)sizeof input && input[i]; ++i) {
    long k = 0;
    while (key[k] && input[i + k] == key[k]) ++k;
    if (key[k]) continue;
    char* at = input + i + k;
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ':') ++at;
    if (*at++ != '"') break;
    for (int n = 0; n < 31 && *at && *at != '"'; ++n) found[n] = *at++;
    return found;
  }
  return "0.3.1";
}

static __attribute__((noreturn)) void finish(int code) {
  for (long done = 0; done < output_size;) {
    long n = call4(kWrite, 1, (long)(output + done), output_size - done, 0);
    if (n <= 0) break;
    done += n;
  }
  for (;;) call4(kExit, code, 0, 0, 0);
}

static __attribute__((noreturn)) void fail(const char* message) {
  put("{\"cniVersion\":\"");
  put(version());
  put("\",\"code\":100,\"msg\":\"loopback: ");
  put(message);
  put("\"}\n");
  finish(1);
}

static void bring_up(const char* netns) {
  struct {
    char name[16];
    short flags;
    char rest[22];
  } request = {"lo", 0, {0}};
  enum { kCurrentDirectory = -100, kCloseOnExec = 02000000 };
  long space = call4(kOpenat, kCurrentDirectory, (long)netns, kCloseOnExec, 0);
  if (space < 0) fail("cannot open CNI_NETNS");
  if (call4(kSetns, space, kNewNet, 0, 0) < 0) fail("cannot enter CNI_NETNS");
  long fd = call4(kSocket, kInet, kDatagram, 0, 0);
  if (fd < 0 || call4(kIoctl, fd, kGetFlags, (long)&request, 0) < 0) fail("no link lo");
  request.flags |= kUp;
  if (call4(kIoctl, fd, kSetFlags, (long)&request, 0) < 0) fail("cannot set lo up");
}

__attribute__((noreturn)) void start(long* stack) {
  char** environment = (char**)(stack + 1 + stack[0] + 1);
  const char* command = variable(environment, "CNI_COMMAND");
  for (long size = 0; size < (long)sizeof input - 1;) {
    long n = call4(kRead, 0, (long)(input + size), (long)sizeof input - 1 - size, 0);
    if (n <= 0) break;
    size += n;
  }
  if (same(command, "VERSION")) {
    put("{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\"]}"
        "\n");
  } else if (same(command, "ADD")) {
    const char* netns = variable(environment, "CNI_NETNS");
    bring_up(netns);
    put("{\"cniVersion\":\"");
    put(version());
    put("\",\"interfaces\":[{\"name\":\"lo\",\"mac\":\"00:00:00:00:00:00\",\"sandbox\":\"");
    put(netns);
    put("\"}],\"ips\":[{\"version\":\"4\",\"address\":\"127.0.0.1/8\",\"interface\":0}]}\n");
  }
  finish(0);
}
