package integration

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"megadisk/integration/harness"
)

// TestModel does the same random things in a mount and in a folder of a local disk, which is the model of what POSIX
// says: after each step both have answered the same and what was touched is the same; at the end, after a flush, the
// whole is, in the mount and on the server. What fails is shrunk to the shortest such history.
// MEGADISK_LONG=1 makes it 300 histories, and -rapid.checks any other number.
func TestModel(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue {
		n := "6"
		if os.Getenv("MEGADISK_LONG") == "1" {
			n = "300"
		}
		require.NoError(t, checks.Value.Set(n))
		t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
	}
	h := harness.New(t)
	local, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		name := fmt.Sprint("run", run)
		m := &modelPair{h: h, mount: h.Path(name), local: filepath.Join(local, name)}
		m.both(rt, "mkdir", func(root string) error { return os.Mkdir(root, 0o755) })
		rt.Repeat(m.actions())
		m.compare(rt)
		require.NoError(rt, h.Engine.Flush(h.Context(), 0))
		m.compareCloud(rt, name)
		m.both(rt, "rm -r", os.RemoveAll)
	})
}

// modelPair is a folder in the mount and its model.
type modelPair struct {
	h            *harness.Harness
	mount, local string
}

func (m *modelPair) actions() map[string]func(*rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d/a", "d/b", "d/e/a", "e", "ü"})
	dir := rapid.SampledFrom([]string{"d", "d/e", "e", "a"})
	size := rapid.SampledFrom([]int{0, 1, 100, 4095, 4096, 5000, 131072, 200000})
	in := func(rt *rapid.T, path string, do func(path string) error) {
		m.both(rt, path, func(root string) error { return do(filepath.Join(root, path)) })
		m.same(rt, path)
	}
	onFile := func(rt *rapid.T, flags int, do func(f *os.File) error) {
		in(rt, name.Draw(rt, "name"), func(path string) error {
			f, err := os.OpenFile(path, flags, 0o644)
			if err != nil {
				return err
			}
			return errors.Join(do(f), f.Close())
		})
	}
	return map[string]func(*rapid.T){
		"write": func(rt *rapid.T) {
			text := strings.Repeat(rapid.StringMatching("[a-z]{1,3}").Draw(rt, "text"), size.Draw(rt, "size"))
			in(rt, name.Draw(rt, "name"), func(path string) error { return os.WriteFile(path, []byte(text), 0o644) })
		},
		"patch": func(rt *rapid.T) {
			text, off := rapid.StringMatching("[A-Z]{1,30}").Draw(rt, "text"), int64(size.Draw(rt, "offset"))
			onFile(rt, os.O_RDWR, func(f *os.File) error { _, err := f.WriteAt([]byte(text), off); return err })
		},
		"append": func(rt *rapid.T) {
			text := rapid.StringMatching("[A-Z]{1,30}").Draw(rt, "text")
			onFile(rt, os.O_WRONLY|os.O_APPEND|os.O_CREATE, func(f *os.File) error { _, err := f.WriteString(text); return err })
		},
		"create": func(rt *rapid.T) {
			onFile(rt, os.O_WRONLY|os.O_CREATE|os.O_EXCL, func(*os.File) error { return nil })
		},
		"truncate": func(rt *rapid.T) {
			to := int64(size.Draw(rt, "size"))
			in(rt, name.Draw(rt, "name"), func(path string) error { return os.Truncate(path, to) })
		},
		"punch": func(rt *rapid.T) {
			off, n := int64(size.Draw(rt, "offset")), int64(1+size.Draw(rt, "length"))
			onFile(rt, os.O_RDWR, func(f *os.File) error {
				return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
			})
		},
		"allocate": func(rt *rapid.T) {
			off, n := int64(size.Draw(rt, "offset")), int64(1+size.Draw(rt, "length"))
			onFile(rt, os.O_RDWR, func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, off, n) })
		},
		"chmod": func(rt *rapid.T) {
			mode := rapid.SampledFrom([]fs.FileMode{0o600, 0o644, 0o755}).Draw(rt, "mode")
			in(rt, name.Draw(rt, "name"), func(path string) error { return os.Chmod(path, mode) })
		},
		"mkdir": func(rt *rapid.T) {
			in(rt, dir.Draw(rt, "dir"), func(path string) error { return os.Mkdir(path, 0o755) })
		},
		"rmdir":  func(rt *rapid.T) { in(rt, dir.Draw(rt, "dir"), unix.Rmdir) },
		"unlink": func(rt *rapid.T) { in(rt, name.Draw(rt, "name"), unix.Unlink) },
		"symlink": func(rt *rapid.T) {
			target := name.Draw(rt, "target")
			in(rt, name.Draw(rt, "name"), func(path string) error { return os.Symlink(target, path) })
		},
		"rename": func(rt *rapid.T) {
			all := rapid.OneOf(name, dir)
			from, to := all.Draw(rt, "from"), all.Draw(rt, "to")
			m.both(rt, "rename", func(root string) error { return unix.Rename(filepath.Join(root, from), filepath.Join(root, to)) })
			m.compare(rt)
		},
		"flush": func(rt *rapid.T) { require.NoError(rt, m.h.Engine.Flush(m.h.Context(), 0)) },
	}
}

// both does something in both folders and compares what came of it.
func (m *modelPair) both(rt *rapid.T, what string, do func(root string) error) {
	want, got := errnoOf(do(m.local)), errnoOf(do(m.mount))
	require.Equal(rt, want, got, "%s: %v on a local disk, %v in the mount", what, want, got)
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return 0
}

// same compares one path.
func (m *modelPair) same(rt *rapid.T, path string) {
	require.Equal(rt, describe(filepath.Join(m.local, path)), describe(filepath.Join(m.mount, path)), path)
}

// describe says what is at a path: kind, mode, and content.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return errnoOf(err).Error()
	}
	switch {
	case info.IsDir():
		return "dir"
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		return "link to " + target
	}
	data, err := os.ReadFile(path)
	return fmt.Sprintf("%v %d %v %q", info.Mode(), info.Size(), err, data)
}

// compare compares both folders whole.
func (m *modelPair) compare(rt *rapid.T) {
	require.Equal(rt, m.list(rt, m.local), m.list(rt, m.mount))
}

func (m *modelPair) list(rt *rapid.T, root string) map[string]string {
	all := map[string]string{}
	require.NoError(rt, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		all[rel] = describe(path)
		return err
	}))
	return all
}

// compareCloud compares the model with what the server has.
func (m *modelPair) compareCloud(rt *rapid.T, name string) {
	var here, cloud []string
	require.NoError(rt, filepath.WalkDir(m.local, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(m.local, path)
		text := filepath.Join(name, rel)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			text += " dir"
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(path)
			text += " " + hashed([]byte(target))
		default:
			data, _ := os.ReadFile(path)
			text += " " + hashed(data)
		}
		here = append(here, text)
		return nil
	}))
	for path, e := range m.h.Account.Tree() {
		if path == name || strings.HasPrefix(path, name+"/") {
			cloud = append(cloud, path+" "+cloudEntry(e))
		}
	}
	slices.Sort(here)
	slices.Sort(cloud)
	require.Equal(rt, here, cloud)
}
