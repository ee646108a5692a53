package integration

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"megadisk/integration/program"
	"megadisk/integration/steady"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // whatever the shell's is
	steady.Rapid()
	hearSignals()
	code := m.Run()
	program.CleanUp()
	os.Exit(code)
}

// hearSignals: what was started with & by a shell, or with nohup, ignores signals, and the programs that it starts would
// do so too. Those that are heard, of which nothing is made here, they get as usual.
func hearSignals() {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}
