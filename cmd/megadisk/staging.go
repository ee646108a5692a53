package main

import (
	"cmp"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
)

// stagingFlags are the options of mount that say how much of the state's disk what waits to be uploaded may take.
// They are of the process that holds the mounts: those of an account's first mount.
type stagingFlags struct {
	size    string
	minFree string
}

func (s *stagingFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.size, "staging-size", "", "most bytes that wait to be uploaded: writes then wait for other files to go up, or fail (default: what the disk has)")
	f.StringVar(&s.minFree, "min-free", "256MiB", "room that new writes leave free on the disk where they wait to be uploaded")
}

// bytesOf reads a number of bytes; none is 0.
func bytesOf(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<60 {
		return 0, usage("--%s is a number of bytes, like 500M or 20G, not %q", flag, text)
	}
	return int64(n), nil
}

func (s *stagingFlags) check() error {
	if n, err := bytesOf("staging-size", s.size); err != nil || s.size != "" && n < 4<<20 {
		return cmp.Or(err, usage("--staging-size is at least 4MiB, not %q", s.size))
	}
	_, err := bytesOf("min-free", s.minFree)
	return err
}

// serve puts the options into those of the process.
func (s *stagingFlags) serve(o serve.Options) serve.Options {
	o.StagingSize, _ = bytesOf("staging-size", s.size) // checked before
	o.MinFree, _ = bytesOf("min-free", s.minFree)
	if o.MinFree == 0 {
		o.MinFree = -1
	}
	return o
}
