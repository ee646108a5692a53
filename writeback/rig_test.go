package writeback

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"megadisk/cache"
	"megadisk/integration/steady"
	"megadisk/megaclient"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashChildVariable) != "" {
		os.Exit(crashChild())
	}
	// Few random runs by default, always the same; -rapid.checks=N makes it N.
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
	steady.Rapid()
	goleak.VerifyTestMain(m)
}

const (
	testMail     = "writer@example.org"
	testPassword = "correct horse"
)

// rig is a server with one account, and an engine on it.
type rig struct {
	testing.TB
	ctx     context.Context
	server  *megatest.Server
	account *megatest.Account
	*mount
}

// mount is one engine with its own state and session.
type mount struct {
	t       testing.TB
	ctx     context.Context
	server  *megatest.Server
	session megaclient.Session
	dir     string
	options func(*Options)

	client *megaclient.Client
	cache  *cache.Cache
	engine *Engine
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// testRandom is the same in every ordinary run, and another in every long one.
func testRandom() *rand.Rand { return rand.New(rand.NewPCG(steady.Seed(), 0)) }

// rigLimit ends a test that would hang; the machine may be busy.
const rigLimit = 3 * time.Minute

// never is a rest that no test outlives: only Flush sends.
const never = time.Hour

func newRig(t testing.TB, options func(*Options), opts ...megatest.Option) *rig {
	t.Helper()
	return newRigFor(t, rigLimit, options, opts...)
}

func newRigFor(t testing.TB, limit time.Duration, options func(*Options), opts ...megatest.Option) *rig {
	t.Helper()
	return newRigOf(t, limit, megatest.V1(), options, opts...)
}

func newRigOf(t testing.TB, limit time.Duration, account megatest.AccountOption, options func(*Options), opts ...megatest.Option) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	server := megatest.NewServer(opts...)
	t.Cleanup(server.Close)
	r := &rig{TB: t, ctx: ctx, server: server, account: server.AddAccount(testMail, testPassword, account)}
	r.mount = newMount(t, ctx, server, options)
	r.start()
	require.NoError(t, r.engine.Ready(ctx))
	return r
}

func newMount(t testing.TB, ctx context.Context, server *megatest.Server, options func(*Options)) *mount {
	t.Helper()
	client, err := megaclient.Login(ctx, megaclient.Config{APIURL: server.URL()}, testMail, testPassword, "")
	require.NoError(t, err)
	m := &mount{t: t, ctx: ctx, server: server, session: client.Session(), dir: t.TempDir(), options: options}
	client.Close()
	t.Cleanup(m.stop)
	return m
}

// start opens the engine and runs it.
func (m *mount) start() {
	m.t.Helper()
	m.open()
	m.run()
}

// run runs the open engine.
func (m *mount) run() {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	engine := m.engine
	m.done.Go(func() { _ = engine.Run(ctx) })
}

// open opens the engine without running it.
func (m *mount) open() {
	m.t.Helper()
	m.openClient()
	var err error
	m.engine, err = Open(m.ctx, m.engineOptions())
	require.NoError(m.t, err)
}

// openClient makes what an engine needs.
func (m *mount) openClient() {
	m.t.Helper()
	var err error
	m.client, err = megaclient.Resume(megaclient.Config{APIURL: m.server.URL()}, m.session)
	require.NoError(m.t, err)
	client := m.client
	m.cache, err = cache.Open(cache.Options{
		DiskLimit: -1, DiskFloor: -1, Log: nil,
		Fetch: func(ctx context.Context, f cache.File, off, n int64, w io.Writer) error {
			return client.ReadContent(ctx, megaclient.Handle(f.Handle), off, n, w)
		},
	})
	require.NoError(m.t, err)
}

func (m *mount) engineOptions() Options {
	m.t.Helper()
	key, err := OpenStateKey(m.dir, m.session.MasterKey)
	require.NoError(m.t, err)
	o := Options{Dir: m.dir, StateKey: key, Client: m.client, Cache: m.cache, Host: "rig", MinFree: -1, Reserve: -1, Timings: Timings{
		Settle: 20 * time.Millisecond, SettleMax: 200 * time.Millisecond,
		DeleteSettle: 20 * time.Millisecond, DeleteMax: 200 * time.Millisecond,
		RetryFirst: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, EchoGrace: 300 * time.Millisecond, LateGrace: time.Millisecond, Commit: 50 * time.Millisecond,
	}}
	if m.options != nil {
		m.options(&o)
	}
	return o
}

// stop ends the engine in good order; no harm if it isn't there.
func (m *mount) stop() {
	if m.engine == nil {
		return
	}
	if m.cancel != nil {
		m.cancel()
	}
	m.done.Wait()
	require.NoError(m.t, m.engine.Close())
	m.closeRest()
}

// crash ends the engine as kill -9 does: what is only in memory is lost.
func (m *mount) crash() {
	m.t.Helper()
	m.engine.crash()
	m.done.Wait()
	m.closeRest()
}

func (m *mount) closeRest() {
	_ = m.cache.Close()
	m.client.Close()
	m.engine, m.cancel = nil, nil
}

// crash drops everything in memory and closes the files. Only tests have it.
func (e *Engine) crash() {
	e.shut()
	e.end()
	e.jobs.Wait()
	_ = e.staging.Close()
	_ = e.tree.Close()
}

func (m *mount) ino(p string) tree.Ino {
	m.t.Helper()
	ino, err := m.engine.Tree().Resolve(p)
	require.NoError(m.t, err, p)
	return ino
}

func (m *mount) dirOf(p string) (tree.Ino, string) {
	m.t.Helper()
	dir, name := path.Split(p)
	if dir == "" {
		return tree.DriveIno, name
	}
	return m.ino(strings.TrimSuffix(dir, "/")), name
}

func (m *mount) create(p string) *File {
	m.t.Helper()
	dir, name := m.dirOf(p)
	in, err := m.engine.Create(m.ctx, dir, name, 0o644)
	require.NoError(m.t, err, p)
	f, err := m.engine.Open(m.ctx, in.Ino, true, false)
	require.NoError(m.t, err)
	return f
}

// write makes or overwrites a file, as a shell's > does.
func (m *mount) write(p, content string) {
	m.t.Helper()
	require.NoError(m.t, m.tryWrite(p, content), p)
}

func (m *mount) tryWrite(p, content string) error {
	dir, name, ok := m.place(p)
	if !ok {
		return fmt.Errorf("the folder of %s: %w", p, tree.ErrNotFound)
	}
	in, err := m.engine.Tree().Lookup(dir, name)
	if errors.Is(err, tree.ErrNotFound) {
		in, err = m.engine.Create(m.ctx, dir, name, 0o644)
	}
	if err != nil {
		return err
	}
	f, err := m.engine.Open(m.ctx, in.Ino, true, true)
	if err != nil {
		return err
	}
	defer f.Release()
	if _, err := f.WriteAt(m.ctx, []byte(content), 0); err != nil {
		return err
	}
	return f.Flush(m.ctx)
}

func (m *mount) read(p string) string {
	m.t.Helper()
	content, err := m.tryRead(p)
	require.NoError(m.t, err, p)
	return content
}

func (m *mount) tryRead(p string) (string, error) {
	ino, err := m.engine.Tree().Resolve(p)
	if err != nil {
		return "", err
	}
	f, err := m.engine.Open(m.ctx, ino, false, false)
	if err != nil {
		return "", err
	}
	defer f.Release()
	return readAll(m.ctx, f)
}

func readAll(ctx context.Context, f *File) (string, error) {
	in, err := f.Inode()
	if err != nil {
		return "", err
	}
	buf := make([]byte, in.Size)
	n, err := f.ReadAt(ctx, buf, 0)
	if err == io.EOF {
		err = nil
	}
	return string(buf[:n]), err
}

func (m *mount) mkdir(p string) {
	m.t.Helper()
	dir, name := m.dirOf(p)
	_, err := m.engine.Mkdir(m.ctx, dir, name, 0o755)
	require.NoError(m.t, err, p)
}

func (m *mount) unlink(p string) {
	m.t.Helper()
	dir, name := m.dirOf(p)
	require.NoError(m.t, m.engine.Unlink(m.ctx, dir, name), p)
}

func (m *mount) rmdir(p string) {
	m.t.Helper()
	dir, name := m.dirOf(p)
	require.NoError(m.t, m.engine.Rmdir(m.ctx, dir, name), p)
}

func (m *mount) rename(from, to string) {
	m.t.Helper()
	fd, fn := m.dirOf(from)
	td, tn := m.dirOf(to)
	require.NoError(m.t, m.engine.Rename(m.ctx, fd, fn, td, tn, false), from)
}

func (m *mount) flush() {
	m.t.Helper()
	require.NoError(m.t, m.engine.Flush(m.ctx, 0))
}

// caughtUp waits until the engine has applied all events of now.
func (m *mount) caughtUp() {
	m.t.Helper()
	require.True(m.t, m.engine.stream.waitCurrent(m.ctx, time.Now()))
}

// eventually waits for something without a fixed time, looking after every
// change of tree or journal.
func (m *mount) eventually(cond func() bool) {
	m.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			require.FailNow(m.t, "it never came to be")
		}
	}
}

// names lists a folder here.
func (m *mount) names(p string) []string {
	m.t.Helper()
	list, err := m.engine.Tree().ReadDir(m.ino(p), "", 10000)
	require.NoError(m.t, err)
	names := []string{}
	for _, in := range list {
		names = append(names, in.Name)
	}
	return names
}

// cloud lists the server's drive: contents by path, "/" for folders.
func (r *rig) cloud() map[string]string {
	r.Helper()
	view := map[string]string{}
	for p, entry := range r.account.Tree() {
		require.NoError(r, entry.Err, p)
		if entry.Dir {
			view[p] = "/"
			continue
		}
		view[p] = string(r.account.ReadFile(entry.Handle))
	}
	return view
}

// sent counts commands since the start.
func (r *rig) sent(command string) int { return r.server.Stats().Commands[command] }

func settleNever(o *Options) {
	o.Timings.Settle, o.Timings.SettleMax = never, never
	o.Timings.DeleteSettle, o.Timings.DeleteMax = never, never
}
