package megaclient

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"
)

func init() {
	defaultTransferTiming.retryFirst = 2 * time.Millisecond
	defaultTransferTiming.retryMax = 20 * time.Millisecond
	// A busy machine must not look like a failing server, nor like a network to be tried with more connections.
	defaultTransferTiming.giveUp = 2 * time.Minute
	defaultTransferTiming.stallDown = time.Minute
	defaultTransferTiming.window = 24 * time.Hour
	defaultTransferTiming.saveEvery = 1 << 20
}

// SetStall changes how long a transfer waits for a byte.
func SetStall(c *Client, d time.Duration) {
	c.transfers.timing.stallDown, c.transfers.timing.stallUp = d, d
}

// SetLag changes how long the last part of a spread file may take longer than the others.
func SetLag(c *Client, d time.Duration) { c.transfers.timing.lag = d }

// Trust lets the client believe a server with a certificate of its own.
func Trust(c *Client, cert *x509.Certificate) {
	c.warmer.tls.RootCAs = x509.NewCertPool()
	c.warmer.tls.RootCAs.AddCert(cert)
}

// PostToStorage sends something to a storage server.
func (c *Client) PostToStorage(ctx context.Context, url string, body []byte) ([]byte, error) {
	return c.postFileAttr(ctx, url, body, 1<<10)
}

// KeepWarm changes how long a connection that was made ahead waits for its use.
func KeepWarm(c *Client, d time.Duration) { c.warmer.kept = d }

// OpenTo tells how many connections there are to an address.
func OpenTo(c *Client, addr string) (n int) {
	c.warmer.mu.Lock()
	defer c.warmer.mu.Unlock()
	for o, k := range c.warmer.open {
		if o.addr == addr {
			n += k
		}
	}
	return n
}

// SetURLLife changes how long a download URL is used.
func SetURLLife(c *Client, d time.Duration) { c.transfers.timing.urlLife = d }

// Connections gives the connections allowed now, for downloads and uploads.
func Connections(c *Client) (down, up int) { return c.transfers.down.width(), c.transfers.up.width() }

// Waiting tells how many downloads wait for a connection.
func Waiting(c *Client) int { return c.transfers.down.queued() }

func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// SetGiveUp changes how long a transfer may fail.
func SetGiveUp(c *Client, d time.Duration) { c.transfers.timing.giveUp = d }

// RAIDPartSize is the length of a part of a spread file.
func RAIDPartSize(size int64, part int) int64 { return raidPartSize(size, part) }

// JoinParts makes the bytes [off, off+n) of a spread file from its parts, with one of them rebuilt from the others.
func JoinParts(parts [raidParts][]byte, off, n int64, missing int) []byte {
	first, last := raidLines(off, off+n)
	for i := range parts {
		padded := make([]byte, last*raidSector)
		copy(padded, parts[i])
		parts[i] = padded[first*raidSector:]
	}
	parts[missing] = make([]byte, len(parts[missing]))
	rebuildSectors(parts[missing], parts, missing, 0, len(parts[missing]))
	dst := make([]byte, n)
	joinSectors(dst, off, first, parts)
	return dst
}

// ContentURLs reads the URLs of an answer to g.
func ContentURLs(raw []byte) ([]string, error) {
	var urls contentURLs
	err := json.Unmarshal(raw, &urls)
	return urls, err
}
