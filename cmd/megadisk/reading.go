package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"megadisk/cmd/megadisk/internal/serve"
	"megadisk/megaclient"
)

// readingFlags are the options of mount that say how content is read. They are of the process that holds the mounts:
// those of an account's first mount.
type readingFlags struct {
	timeout        time.Duration
	silence        time.Duration
	maxDownload    string
	maxConnections int
	metered        bool
	verify         string
	cacheSize      string
}

func (r *readingFlags) add(f *pflag.FlagSet) {
	f.DurationVar(&r.timeout, "timeout", time.Minute, "how long a read may wait without any progress before it fails")
	f.DurationVar(&r.silence, "silence", 25*time.Second, "after how long without any sign of the server a connection counts as broken")
	f.StringVar(&r.maxDownload, "max-download", "", "most bytes a second to download, as 500K or 2M (default: no limit)")
	f.IntVar(&r.maxConnections, "max-connections", 0, "most connections for content in each direction (default: up to 16, as many as help)")
	f.BoolVar(&r.metered, "metered", false, "fetch nothing that no program has asked for")
	f.StringVar(&r.verify, "verify", "", "\"strict\": verify every file whole before its first byte is read (default: only files up to 1 MiB)")
	f.StringVar(&r.cacheSize, "cache-size", "", "most bytes of cached content on disk, pinned files included, as 500M or 50G (default: 10 GiB or a tenth of the disk, whichever is less)")
}

// rate reads a limit in bytes a second; 0: none.
func rate(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(strings.TrimSuffix(text, "/s"))
	if err != nil || n == 0 || n > 1<<50 {
		return 0, usage("--%s is a number of bytes a second, like 500K or 2M, not %q", flag, text)
	}
	return int64(n), nil
}

func (r *readingFlags) check() error {
	if r.timeout < time.Second {
		return usage("--timeout is at least one second, like 60s, not %q", r.timeout)
	}
	if r.silence < 2*time.Second {
		return usage("--silence is at least two seconds, like 25s, not %q", r.silence)
	}
	if r.maxConnections < 0 || r.maxConnections > 64 {
		return usage("--max-connections is a number from 1 to 64, not %d", r.maxConnections)
	}
	if r.verify != "" && r.verify != "strict" {
		return usage("--verify is \"strict\" or nothing, not %q", r.verify)
	}
	if n, err := bytesOf("cache-size", r.cacheSize); err != nil || r.cacheSize != "" && n < 8e6 {
		return cmp.Or(err, usage("--cache-size is at least 8M, not %q", r.cacheSize))
	}
	_, err := rate("max-download", r.maxDownload)
	return err
}

// client puts the options into those of the protocol client.
func (r *readingFlags) client(cfg megaclient.Config) megaclient.Config {
	cfg.MaxDownload, _ = rate("max-download", r.maxDownload) // checked before
	cfg.MaxConnections, cfg.Timeout, cfg.Silence = r.maxConnections, r.timeout, r.silence
	return cfg
}

// serve puts them into those of the process.
func (r *readingFlags) serve(o serve.Options) serve.Options {
	o.Timeout, o.Metered, o.Strict = r.timeout, r.metered, r.verify == "strict"
	o.CacheSize, _ = bytesOf("cache-size", r.cacheSize)
	return o
}
