// Command megadisk mounts a MEGA cloud drive as a folder. Each command lives in a file of its own name;
// what belongs to the program and not to the filesystem is in internal/.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"megadisk/cmd/megadisk/internal/daemon"
)

func main() {
	os.Exit(run())
}

func run() int {
	// The first signal ends what is under way cleanly; a second one kills.
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if hangsUp() && !signal.Ignored(syscall.SIGHUP) { // else nohup asks to stay
		ending = append(ending, syscall.SIGHUP) // the terminal was closed
	}
	ctx, stop := signal.NotifyContext(context.Background(), ending...)
	defer stop()
	context.AfterFunc(ctx, stop)

	completeEnvironment()
	root, codes, err := commandFor(os.Args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitDone
	}
	code, text := codes(err), shown(sentence(err))
	if !daemon.Failed(text, code) { // who waits for the mount says it; here it would go to the log, with names in it
		fmt.Fprintln(os.Stderr, "megadisk: "+text)
	}
	return code
}
