package megaclient

import (
	"time"

	"golang.org/x/time/rate"
)

// transfers is what all transfers of a client share.
type transfers struct {
	down, up *gate
	urls     *urlCache
	timing   transferTiming
	limit    *rate.Limiter // of what is downloaded; nil: none
	upLimit  *rate.Limiter // of what is uploaded; nil: none
	windows  *gate         // of spread files (download_parts.go)
}

// smallestWrite is how much of a limited upload is sent at once, at least.
const smallestWrite = 32 << 10

// largestRead is how much is read from a connection at once.
const largestRead = 256 << 10

// transferTiming gathers the times and limits that tests shorten.
type transferTiming struct {
	stallDown  time.Duration // a download without a byte for so long is begun anew
	stallUp    time.Duration // the same for an upload (PROTOCOL 1.8)
	lag        time.Duration // five parts of a spread file wait at least so long for the last before the sixth is asked for
	retryFirst time.Duration // first wait between two tries
	retryMax   time.Duration // longest such wait
	giveUp     time.Duration // a transfer that fails for so long without any progress is given up
	urlLife    time.Duration // of a download URL (PROTOCOL 6.2)
	uploadLife time.Duration // of an upload URL (PROTOCOL 5.3)
	window     time.Duration // over which throughput is measured, to find the number of connections
	saveEvery  int64         // bytes that must have arrived for an upload's state to be worth saving again
}

var defaultTransferTiming = transferTiming{
	stallDown:  15 * time.Second,
	stallUp:    time.Minute,
	lag:        100 * time.Millisecond,
	retryFirst: 250 * time.Millisecond,
	retryMax:   15 * time.Second,
	giveUp:     2 * time.Minute,
	urlLife:    time.Hour,
	uploadLife: 172500 * time.Second,
	window:     500 * time.Millisecond,
	saveEvery:  8 << 20,
}

func newTransfers(cfg Config) *transfers {
	n := cfg.MaxConnections
	if n <= 0 {
		n = mostConnections
	}
	timing := defaultTransferTiming
	t := &transfers{
		down: newGate(n, timing.window), up: newGate(n, timing.window), timing: timing, windows: newGate(raidWindows, timing.window),
	}
	t.windows.spare = raidSpare
	if cfg.Timeout > 0 {
		t.timing.giveUp = cfg.Timeout
		t.timing.stallDown = min(t.timing.stallDown, cfg.Timeout/4)
	}
	if cfg.MaxUpload > 0 {
		t.upLimit = rate.NewLimiter(rate.Limit(cfg.MaxUpload), int(max(cfg.MaxUpload/8, smallestWrite)))
	}
	if cfg.MaxDownload > 0 {
		t.limit = rate.NewLimiter(rate.Limit(cfg.MaxDownload), int(max(cfg.MaxDownload/8, largestRead)))
	}
	t.urls = newURLCache(&t.timing)
	return t
}

// waits gives the growing waits between the tries of one transfer.
func (t transferTiming) waits() *waits {
	b := timing{retryFirst: t.retryFirst, retryMax: t.retryMax}
	return &waits{next: b.newBackoff().NextBackOff, fresh: b.newBackoff, giveUp: t.giveUp}
}
