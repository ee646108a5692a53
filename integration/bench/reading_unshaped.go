package main

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// unshaped is the cold read against Client.Get to nowhere, in turns, and the processor time that each takes, the
// server's and the reading program's included: on few cores that is what decides.
func (r *reading) unshaped() error {
	gib := float64(r.c.size) / (1 << 30)
	var get, ratio, best, bestRatio, user, system, reader, server, inGet []float64
	r.cold = nil
	noise, err := openNoise(r.mount.work, r.c.size)
	if err != nil {
		return err
	}
	if noise != nil {
		defer noise.close()
	}
	for range r.c.runs {
		if err := r.mount.cold(); err != nil {
			return err
		}
		var v float64
		s, err := r.splitOf(func() (err error) { v, _, err = sequential(r.path("read-big")); return err })
		if err != nil {
			return err
		}
		before := seconds(unix.RUSAGE_SELF)
		g, err := timed(float64(r.c.size)/1e6, func() error { return r.client.Get(context.Background(), r.big, io.Discard) })
		if err != nil {
			return err
		}
		inGet = append(inGet, (seconds(unix.RUSAGE_SELF)-before)/gib)
		if noise != nil {
			b, err := r.bound(noise)
			if err != nil {
				return err
			}
			best, bestRatio = append(best, b), append(bestRatio, b/g)
		}
		r.cold, get, ratio = append(r.cold, v), append(get, g), append(ratio, v/g)
		user, system = append(user, s.mount.user/gib), append(system, s.mount.system/gib)
		reader, server = append(reader, s.reader/gib), append(server, s.server/gib)
	}
	r.show(figure{name: "cold sequential read, unshaped", unit: "MB/s"}, r.cold, "")
	r.show(figure{name: "  Client.Get of the same file to nowhere", unit: "MB/s"}, get, "")
	r.show(figure{name: "  the one through the other", unit: "×", target: 0.7, against: "Client.Get, in turns"}, ratio, "")
	if noise != nil {
		note := fmt.Sprintf("a FUSE mount of one block read while Client.Get brings as much: %.4g MB/s", median(best))
		r.show(figure{name: "  what no mount on these cores can be beyond", unit: "×"}, bestRatio, note)
		r.show(figure{name: "  the mount through that", unit: "×"}, []float64{median(r.cold) / median(best)}, "")
	}
	pass := ctrSeconds()
	r.show(figure{name: "  CPU of the mount in user space", unit: "s/GiB", atMost: true, target: 8 * pass, against: "8 passes of the library's CTR"}, user, fmt.Sprintf("(%.3f s)", pass))
	r.show(figure{name: "  CPU of the mount in the kernel (FUSE, TCP, disk)", unit: "s/GiB"}, system, "")
	r.show(figure{name: "  CPU of the reading program", unit: "s/GiB"}, reader, "")
	r.show(figure{name: "  CPU of the server", unit: "s/GiB"}, server, "")
	r.show(figure{name: "  CPU of Client.Get and its server", unit: "s/GiB"}, inGet, "")
	return nil
}

// spread is the cold read of a file that is spread over six URLs (CloudRAID), the server's making of the parts included.
func (r *reading) spread() error {
	var rate []float64
	for range r.c.runs {
		if err := r.mount.cold(); err != nil {
			return err
		}
		if err := r.await("read-spread"); err != nil {
			return err
		}
		v, _, err := sequential(r.path("read-spread"))
		if err != nil {
			return err
		}
		rate = append(rate, v)
	}
	r.show(figure{name: "cold sequential read of a spread file, unshaped", unit: "MB/s"}, rate, "")
	return nil
}
