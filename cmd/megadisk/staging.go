package main

import (
	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
)

// stagingFlags are the options of mount that say how much of the state's disk what waits to be uploaded may take.
// They are of the process that holds the mounts: those of an account's first mount.
type stagingFlags struct {
	minFree string
}

func (s *stagingFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.minFree, "min-free", "256MiB", "room that new writes leave free on the disk where they wait to be uploaded")
}

// size reads a number of bytes.
func size(flag, text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<60 {
		return 0, usage("--%s is a number of bytes, like 500M or 20G, not %q", flag, text)
	}
	return int64(n), nil
}

func (s *stagingFlags) check() error {
	_, err := size("min-free", s.minFree)
	return err
}

// serve puts the options into those of the process.
func (s *stagingFlags) serve(o serve.Options) serve.Options {
	o.MinFree, _ = size("min-free", s.minFree) // checked before
	if o.MinFree == 0 {
		o.MinFree = -1
	}
	return o
}
