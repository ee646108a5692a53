package writeback

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megatest"
)

// uploadFaults are all ways in which megatest can make the sending of changes
// fail, but for those that end the session. Each hits the next requests.
var uploadFaults = []struct {
	name string
	set  func(f *megatest.Faults)
}{
	{"none", func(*megatest.Faults) {}},
	{"a batch is told to come again (-3)", func(f *megatest.Faults) { f.FailBatch("", -3, 2) }},
	{"a batch with p is told that too much is asked (-4)", func(f *megatest.Faults) { f.FailBatch("p", -4, 2) }},
	{"a batch with u fails", func(f *megatest.Faults) { f.FailBatch("u", -3, 2) }},
	{"u is refused for now (-18)", func(f *megatest.Faults) { f.FailCommand("u", -18, 2) }},
	{"u has an error of its own (-1)", func(f *megatest.Faults) { f.FailCommand("u", -1, 2) }},
	{"p has an error of its own (-1)", func(f *megatest.Faults) { f.FailCommand("p", -1, 2) }},
	{"p says again (-3)", func(f *megatest.Faults) { f.FailCommand("p", -3, 2) }},
	{"p says that too much is asked (-4)", func(f *megatest.Faults) { f.FailCommand("p", -4, 2) }},
	{"p does not find its parent (-9)", func(f *megatest.Faults) { f.FailCommand("p", -9, 1) }},
	{"p is over quota (-17)", func(f *megatest.Faults) { f.FailCommand("p", -17, 1) }},
	{"m fails", func(f *megatest.Faults) { f.FailCommand("m", -3, 2) }},
	{"a fails", func(f *megatest.Faults) { f.FailCommand("a", -3, 2) }},
	{"commands answer 500", func(f *megatest.Faults) { f.FailHTTP(megatest.API, 500, 2) }},
	{"commands answer 503", func(f *megatest.Faults) { f.FailHTTP(megatest.API, 503, 2) }},
	{"the connection ends before a batch", func(f *megatest.Faults) { f.DropBefore("", 2) }},
	{"the connection ends before a p", func(f *megatest.Faults) { f.DropBefore("p", 2) }},
	{"the answer of a p is lost", func(f *megatest.Faults) { f.DropAfter("p", 1) }},
	{"the answers of three ps are lost", func(f *megatest.Faults) { f.DropAfter("p", 3) }},
	{"the answer of a u is lost", func(f *megatest.Faults) { f.DropAfter("u", 1) }},
	{"the answer of an m is lost", func(f *megatest.Faults) { f.DropAfter("m", 1) }},
	{"a piece answers 500", func(f *megatest.Faults) { f.FailHTTP(megatest.Uploads, 500, 2) }},
	{"a piece answers 404", func(f *megatest.Faults) { f.FailHTTP(megatest.Uploads, 404, 1) }},
	{"a piece answers 403", func(f *megatest.Faults) { f.FailHTTP(megatest.Uploads, 403, 1) }},
	{"an upload is lost (-4)", func(f *megatest.Faults) { f.FailUpload(-4, 2) }},
	{"an upload fails (-5)", func(f *megatest.Faults) { f.FailUpload(-5, 2) }},
	{"too many transfers (-6)", func(f *megatest.Faults) { f.FailUpload(-6, 2) }},
	{"an upload URL has expired (-8)", func(f *megatest.Faults) { f.FailUpload(-8, 2) }},
	{"a piece's checksum is wrong (-14)", func(f *megatest.Faults) { f.FailUpload(-14, 2) }},
	{"a piece is to come again (-3)", func(f *megatest.Faults) { f.FailUpload(-3, 2) }},
	{"answers of pieces are lost", func(f *megatest.Faults) { f.LoseUploadAnswers(3) }},
	{"the stream is too old", func(f *megatest.Faults) { f.ForgetPackets() }},
	{"polls fail", func(f *megatest.Faults) { f.FailPoll(-3, 2) }},
	{"polls answer 500", func(f *megatest.Faults) { f.FailHTTP(megatest.Events, 500, 2) }},
	{"packets come one by one", func(f *megatest.Faults) { f.SlicePackets(1) }},
	{"the last packets come twice", func(f *megatest.Faults) { f.Redeliver(2) }},
	{"very old packets come twice", func(f *megatest.Faults) { f.Redeliver(50) }},
	{"a puzzle is set", func(f *megatest.Faults) { f.DemandHashcash(200, 2) }},
	{"everything is slow", func(f *megatest.Faults) { f.SetLatency(5 * time.Millisecond) }},
}

// Whatever goes wrong on the way up, in the end the cloud holds what is here,
// once. Most of the time is waiting before another try, so several accounts
// share the faults.
func TestEveryFaultOfUploads(t *testing.T) {
	const accounts = 8
	for part := range accounts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			testFaults(t, part, accounts)
		})
	}
}

func testFaults(t *testing.T, first, step int) {
	r := newRigFor(t, 120*time.Second, func(o *Options) {
		settleNever(o)
		o.Timings.RetryFirst, o.Timings.RetryMax = time.Millisecond, 10*time.Millisecond
	})
	m := model{}
	for i := first; i < len(uploadFaults); i += step {
		fault := uploadFaults[i]
		r.server.Faults().Clear()
		fault.set(r.server.Faults())
		r.faultyWork(m, fmt.Sprint("dir", i))
		r.eventually(func() bool { return r.engine.Flush(r.ctx, 0) == nil })
		r.requireSame(m, r.cloud(), fault.name+": the cloud")
		r.caughtUp()
		r.requireHere(m, fault.name)
	}
	require.Empty(t, r.engine.Status().Pending)
}

// faultyWork is a small piece of everything: folders, small files, one of
// several pieces, an edit of one that is in the cloud, saves over it, moves and
// removals.
func (r *rig) faultyWork(m model, dir string) {
	r.Helper()
	r.mkdir(dir)
	m[dir] = "/"
	put := func(p, content string) {
		r.write(p, content)
		m[p] = content
	}
	large := strings.Repeat(dir+" ", 300_000/len(dir))
	for _, name := range []string{"a", "b", "c"} {
		put(dir+"/"+name, name+" in "+dir)
	}
	put(dir+"/large", large)
	put("common", "common of "+dir) // a new version each time
	put(dir+"/save", "saved in "+dir)
	r.rename(dir+"/save", "saved") // over the last one
	m.move(dir+"/save", "saved")
	for _, old := range []string{"moved", "gone"} {
		if _, ok := m[old]; !ok {
			put(old, "first")
		}
	}
	r.rename("moved", dir+"/moved")
	m.move("moved", dir+"/moved")
	r.unlink("gone")
	delete(m, "gone")
}

// requireHere compares what is shown here with the model.
func (r *rig) requireHere(m model, what string) {
	r.Helper()
	here := model{}
	var list func(dir string)
	list = func(dir string) {
		for _, name := range r.names("/" + dir) {
			p := strings.TrimPrefix(dir+"/"+name, "/")
			if content, err := r.tryRead(p); err == nil {
				here[p] = content
			} else {
				here[p] = "/"
				list(p)
			}
		}
	}
	list("")
	r.requireSame(m, here, what+": here")
}

// requireSame compares without printing all of it.
func (r *rig) requireSame(want, got model, what string) {
	r.Helper()
	wrong := []string{}
	for p, v := range got {
		if w, ok := want[p]; !ok || w != v {
			wrong = append(wrong, fmt.Sprintf("%s: has %.20q, want %.20q", p, v, w))
		}
	}
	for p := range want {
		if _, ok := got[p]; !ok {
			wrong = append(wrong, p+": is missing")
		}
	}
	require.Empty(r, wrong, what)
}
