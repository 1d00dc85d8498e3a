/* Holds a pod's namespaces: waits for signals, reaps children that were left to it, ends on SIGINT
 * or SIGTERM. No libc. Signals are blocked and waited for, since as process 1 of a pid namespace
 * unblocked default ones would be dropped. */

enum { kSigInt = 2, kSigTerm = 15, kSigChld = 17, kNoHang = 1 };

#if defined(__x86_64__)
enum { kRtSigprocmask = 14, kRtSigtimedwait = 128, kWait4 = 61, kExit = 60 };
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
enum { kRtSigprocmask = 135, kRtSigtimedwait = 137, kWait4 = 260, kExit = 93 };
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
#error "pause: processor not supported"
#endif

void _start(void) {
  unsigned long set = 1ul << (kSigInt - 1) | 1ul << (kSigTerm - 1) | 1ul << (kSigChld - 1);
  call4(kRtSigprocmask, 0, (long)&set, 0, sizeof set);
  for (;;) {
    long got = call4(kRtSigtimedwait, (long)&set, 0, 0, sizeof set);
    if (got == kSigInt || got == kSigTerm) call4(kExit, 0, 0, 0, 0);
    while (call4(kWait4, -1, 0, kNoHang, 0) > 0) {
    }
  }
}
