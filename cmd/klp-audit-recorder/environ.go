package main

/*
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

// pipe_for_messages is libzypp's message pipe, which was stderr.
static int pipe_for_messages = 2;
static int messages(void) { return pipe_for_messages; }

// hush moves libzypp's message pipe away from stderr, because Go's runtime and the C library write to
// stderr when they die, perhaps more than fits into the pipe. Without /dev/null it uses a folder,
// which cannot be written to either.
static void hush(void) {
	int own = fcntl(2, F_DUPFD_CLOEXEC, 3), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere < 0)
		nowhere = open("/", O_RDONLY | O_CLOEXEC);
	if (own >= 0 && nowhere >= 0 && dup2(nowhere, 2) == 2)
		pipe_for_messages = own;
	if (nowhere > 2)
		close(nowhere);
}

// begin runs before Go's runtime reads its settings. It empties Go's variables, except for klp-audit's
// own settings (internal/goenv).
static __attribute__((constructor)) void begin(int argc, char **argv, char **env) {
	hush();
	for (; *env; env++)
		if (!strncmp(*env, "GO", 2) && (*env)[2] >= 'A' && (*env)[2] <= 'Z' &&
		    strcmp(*env, "GOMAXPROCS=1") && strcmp(*env, "GOTRACEBACK=none"))
			**env = 0;
}
*/
import "C"

import "golang.org/x/sys/unix"

// stderr writes to libzypp's message pipe, which does not block. It bypasses Go's runtime, which
// would wait for a full pipe: the message is lost then, not the commit.
type stderr struct{}

func (stderr) Write(p []byte) (int, error) { return unix.Write(int(C.messages()), p) }
