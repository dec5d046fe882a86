/* One writer, readers in another thread and another process: what they see is never wrong, only
 * a little old, and nothing is lost. Argument: effort. */
#include <pthread.h>
#include <sys/wait.h>

#include "check.h"
#include "trace/histogram.h"

#define LOWEST_NS 1000
#define RANGE_NS 100000

typedef struct shared {
    pa_histogram histogram;
    _Atomic uint64_t recorded; /* after the record: what a reader must at least see */
    _Atomic uint64_t begun;    /* before it: what it can see at most */
    _Atomic int stop;
} shared;

static shared *all;
static uint64_t effort;

static uint64_t look(uint64_t last) {
    const uint64_t least = all->recorded;
    pa_histogram_snapshot s;
    pa_histogram_read(&all->histogram, &s);
    const uint64_t most = all->begun;
    CHECK(s.count >= least && s.count <= most && s.count >= last);
    if (s.count > 0) {
        CHECK(s.p50_ns <= s.p90_ns && s.p90_ns <= s.p99_ns && s.p99_ns <= s.p999_ns);
    }
    if (least > 0) {
        CHECK(s.min_ns >= LOWEST_NS && s.max_ns < LOWEST_NS + RANGE_NS && s.p999_ns <= s.max_ns);
    }
    return s.count;
}

static void *read_until_stopped(void *argument) {
    (void)argument;
    for (uint64_t last = 0; !all->stop;) {
        last = look(last);
    }
    return NULL;
}

int main(int count, char **arguments) {
    effort = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    const pid_t reader = fork();
    CHECK(reader >= 0);
    if (reader == 0) {
        (void)read_until_stopped(NULL);
        _exit(0);
    }
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, read_until_stopped, NULL) == 0);

    const uint64_t total = 2000000 * effort;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < total; ++i) {
        const uint64_t ns = LOWEST_NS + i * 2654435761U % RANGE_NS;
        all->begun = i + 1;
        pa_histogram_record(&all->histogram, ns);
        all->recorded = i + 1;
        sum += ns;
    }
    all->stop = 1;
    pthread_join(thread, NULL);
    int status;
    CHECK(waitpid(reader, &status, 0) == reader && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    pa_histogram_snapshot s;
    pa_histogram_read(&all->histogram, &s);
    CHECK(s.count == total && s.sum_ns == sum && s.clamped == 0);
    puts("histogram stress: ok");
    return 0;
}
